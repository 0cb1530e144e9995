import collections

from mod_python import apache

LIMIT = 500
clients = {}  # what each is to be told


def connectionhandler(conn):
    mine = collections.deque()
    clients[id(mine)] = mine
    try:
        conn.write(f"{len(clients)} here\r\n")
        while True:
            try:
                line = conn.readline(LIMIT)
            except TimeoutError:  # nothing said: listen to the others
                line = None
            if line == b"":
                return apache.OK
            if line:
                for one in list(clients.values()):
                    if one is not mine:
                        one.append(line)
            while mine:
                conn.write(mine.popleft())
    finally:
        del clients[id(mine)]

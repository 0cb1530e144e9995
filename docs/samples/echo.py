from mod_python import apache


def connectionhandler(conn):
    while line := conn.readline(1000):
        conn.write(line)
    return apache.OK

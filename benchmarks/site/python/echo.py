"""The protocol that is measured: the manual's echo (4.4)."""


def connectionhandler(conn):
    while 1:
        conn.write(conn.readline())

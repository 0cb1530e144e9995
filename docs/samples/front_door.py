from mod_python import apache

BARRED = {"192.0.2.1"}


def connectionhandler(conn):
    if conn.remote_ip in BARRED:
        return apache.OK
    return apache.DECLINED

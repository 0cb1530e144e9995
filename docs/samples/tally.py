from mod_python import apache

LIMIT = 80


def connectionhandler(conn):
    total = 0
    conn.write("tally: add NUMBER, total, quit\r\n")
    while line := conn.readline(LIMIT):
        if not line.endswith(b"\n"):
            conn.write("line too long\r\n")
            break
        match line.split():
            case [b"add", number] if number.isdigit():
                total += int(number)
                conn.write("ok\r\n")
            case [b"total"]:
                conn.write(f"{total}\r\n")
            case [b"quit"]:
                break
            case _:
                conn.write("what?\r\n")
    return apache.OK

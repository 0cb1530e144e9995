from mod_python import apache


def inputfilter(filter):
    while data := filter.read():
        note(filter, "<", data)
        filter.write(data)


def outputfilter(filter):
    while data := filter.read():
        note(filter, ">", data)
        filter.write(data)


def note(filter, direction, data):
    connection = filter.connection
    first = data.partition(b"\r\n")[0].decode("latin-1")
    text = f"{connection.remote_ip} {direction} {len(data)} {first}"
    connection.base_server.log_error(text, apache.APLOG_INFO)

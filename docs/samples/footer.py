def outputfilter(filter):
    if filter.req.main is not None:
        filter.disable()
        return
    while data := filter.read():
        filter.write(data)
    if data is None:
        filter.write("<p>Printed on recycled electrons.</p>\n")
        filter.close()

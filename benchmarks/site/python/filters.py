"""The filters that are measured, for Kukulkan and for the old module alike."""


def pass_on(filter):
    filter.pass_on()


def copy(filter):
    data = filter.read()
    while data:
        filter.write(data)
        data = filter.read()
    if data is None:
        filter.close()


def upper(filter):
    data = filter.read()
    while data:
        filter.write(data.upper())
        data = filter.read()
    if data is None:
        filter.close()

"""Uploads that are only read and that are taken as forms; query strings of ten fields."""

import urllib.parse

from mod_python import apache, util

TIMES = 100
QUERY = "&".join(f"name{n}=some+value+{n}%21" for n in range(10))


def upload(req):
    size = 0
    while block := req.read(65536):
        size += len(block)
    req.write(str(size), 0)
    return apache.OK


def upload_form(req):
    file = util.FieldStorage(req)["file"].file
    req.write(str(file.seek(0, 2)), 0)
    return apache.OK


def parsed(req, parse):
    for _ in range(TIMES):
        parse(QUERY)
    req.content_type = "text/plain"
    req.write("Hello!", 0)
    return apache.OK


def queries(req):
    return parsed(req, util.parse_qs)


def queries_urllib(req):
    return parsed(req, urllib.parse.parse_qs)

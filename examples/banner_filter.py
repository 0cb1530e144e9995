"""A filter that puts a banner at the top of every HTML page.

Wherever the page comes from: a file, a Python page, or another server.

    PythonOutputFilter banner_filter BANNER
    ProxyPass / http://backend.example.com/
    SetOutputFilter INFLATE;BANNER;DEFLATE

INFLATE and DEFLATE, of mod_deflate, undo and redo the compression of a page.  Where clients
ask for parts of pages, have the backend send whole ones: `RequestHeader unset Range`, of
mod_headers.
"""

import re

BANNER = b'<div id="banner" style="background: gold; padding: 1ex">Maintenance tonight at ten.</div>'

#: The start tag; its attributes may have ">" between quotes.
BODY = re.compile(rb"""<body(?:\s(?:[^>"']|"[^"]*"|'[^']*')*)?>""", re.IGNORECASE)

#: Bytes after which no body is expected any more.
FAR = 65536


def outputfilter(filter):
    """Keep what comes until the tag is whole, then write all and get out of the way."""
    if not hasattr(filter, "kept"):  # the first call; later the headers are not the page's own
        if not is_html_page(filter.req):
            filter.disable()
            return
        filter.kept = b""
    while data := filter.read():
        filter.kept += data
        found = BODY.search(filter.kept)
        if found or len(filter.kept) > FAR:
            end = found.end() if found else 0
            filter.write(filter.kept[:end] + (BANNER if found else b"") + filter.kept[end:])
            filter.disable()
            return
    if data is None:
        filter.write(filter.kept)
        filter.close()


def is_html_page(req):
    """Whether this is a page of its own, not a part that mod_include inserts in one, nor one
    that a backend has cut out of it, whose length it has told."""
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if req.main is not None or req.status == 206:
        return False
    return kind == "text/html" and not req.headers_out.get("Content-Encoding")

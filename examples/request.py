"""What a handler knows of a request; add ?a=query or /more/path to the URL."""

from mod_python import apache

MEMBERS = (
    "method", "the_request", "protocol", "unparsed_uri", "uri", "path_info", "args",
    "filename", "handler", "interpreter", "hostname", "request_time",
)  # fmt: skip


def handler(req):
    """List members of the request and its connection, and the headers."""
    req.content_type = "text/plain; charset=utf-8"
    for name in MEMBERS:
        req.write(f"{'req.' + name:<26} {getattr(req, name)!r}\n", flush=False)
    req.write(f"{'req.connection.remote_addr':<26} {req.connection.remote_addr!r}\n", flush=False)
    req.write("\nreq.headers_in\n", flush=False)
    for name, value in req.headers_in.items():
        req.write(f"    {name}: {value}\n", flush=False)
    return apache.OK

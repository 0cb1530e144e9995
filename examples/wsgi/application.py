"""A WSGI application: any framework's would do as well."""

from html import escape


def application(environ, start_response):
    """Show what the server says of the request (PEP 3333)."""
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{escape(str(value))}" for name, value in sorted(environ.items())
    )
    page = f"<!DOCTYPE html><title>WSGI</title><h1>WSGI</h1><table>{rows}</table>"
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]

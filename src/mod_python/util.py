"""Forms and query strings, for handlers (manual, 4.6).

It can be imported inside httpd only, where the module `_apache` is built in.
"""

from _apache import parse_qs, parse_qsl

__all__ = ["parse_qs", "parse_qsl"]

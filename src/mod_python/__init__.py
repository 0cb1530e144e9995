"""Python inside the Apache HTTP server.

Programs say `from mod_python import apache`; that works inside httpd only.
"""

from mod_python.version import version as mp_version

__all__ = ["mp_version"]

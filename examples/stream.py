"""An answer sent piece by piece, for five seconds."""

import time

from mod_python import apache


def handler(req):
    """Write a line each half second; a write sends at once unless flush=False."""
    req.content_type = "text/plain; charset=utf-8"
    # Browsers wait for this much before they show a page that is still coming.
    req.write(" " * 1024 + "\n")
    for number in range(1, 11):
        req.write(f"line {number} at {time.strftime('%H:%M:%S')}\n")
        time.sleep(0.5)
    return apache.OK

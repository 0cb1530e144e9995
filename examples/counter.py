"""State that lives as long as its process: reload, and it counts."""

import os
import threading

from mod_python import apache

lock = threading.Lock()
requests = 0


def handler(req):
    """Count the requests of this process; its threads share the module."""
    global requests
    with lock:
        requests += 1
        number = requests
    req.content_type = "text/plain"
    req.write(f"Request {number} of process {os.getpid()}, in thread {threading.get_ident()}.\n")
    return apache.OK

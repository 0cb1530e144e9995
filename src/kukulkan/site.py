"""The handler of a directory served by `kukulkan serve`: the file asked for is the handler.

A request for `/wiki/page.py` imports `page.py` from that directory and calls
its `handler(req)`. Where Apache would go on to serve the file itself, which
is what declining means to it, the answer is 404: a source is never sent.
"""

import os
from typing import Any

from mod_python import apache


def handler(req: Any) -> int:
    """Answer with the `handler` of the module that `req.filename` names.

    Returns:
        What that handler returned, except that DECLINED becomes 404; 404 too
        for a file that is no module or has no `handler`.
    """
    directory, file = os.path.split(req.filename)
    name, suffix = os.path.splitext(file)
    if suffix.lower() != ".py" or not os.path.isfile(req.filename):
        return apache.HTTP_NOT_FOUND
    reload = req.get_config().get("PythonAutoReload") != "0"
    module = apache.import_module(name, autoreload=reload, path=[directory])
    answer = getattr(module, "handler", None)
    if answer is None:
        req.log_error(f"{req.filename} has no function named handler", apache.APLOG_ERR)
        return apache.HTTP_NOT_FOUND
    try:
        status = answer(req)
    except apache.SERVER_RETURN as returned:
        if returned.args and returned.args[0] == apache.DECLINED:
            return apache.HTTP_NOT_FOUND
        raise
    return apache.HTTP_NOT_FOUND if status == apache.DECLINED else status

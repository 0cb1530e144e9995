"""The handler of a directory served by `kukulkan serve`: each `.py` file is what it looks like.

A module with a function `handler` is a handler: a request for `/wiki/page.py` calls its
`handler(req)`. One that has only functions that other directives call, such as
`outputfilter`, answers nothing. Any other is published: `/wiki/page.py/edit` calls its
`edit()` (mod_python.publisher). Where Apache would go on to serve the file itself, which
is what declining means to it, the answer is 404: a source is never sent.
"""

import os
from typing import Any

from mod_python import apache, publisher

#: What other directives than PythonHandler call, if nothing else is said.
OTHERS = frozenset(
    (
        "accesshandler",
        "authenhandler",
        "authzhandler",
        "cleanuphandler",
        "connectionhandler",
        "fixuphandler",
        "headerparserhandler",
        "inithandler",
        "inputfilter",
        "loghandler",
        "outputfilter",
        "postreadrequesthandler",
        "transhandler",
        "typehandler",
    )
)


def handler(req: Any) -> int:
    """Answer with the module that `req.filename` names.

    Returns:
        What its handler returned, except that DECLINED becomes 404; what the publisher
        says; 404 too for a file that is no module.
    """
    if not req.filename.lower().endswith(".py") or not os.path.isfile(req.filename):
        return apache.HTTP_NOT_FOUND
    reload = req.get_config().get("PythonAutoReload") != "0"
    members = vars(apache.import_module(req.filename, autoreload=reload))
    answer = members.get("handler")
    if answer is None:
        return publisher.handler(req) if OTHERS.isdisjoint(members) else apache.HTTP_NOT_FOUND
    try:
        status: int = answer(req)
    except apache.SERVER_RETURN as returned:
        if returned.args and returned.args[0] == apache.DECLINED:
            return apache.HTTP_NOT_FOUND
        raise
    return apache.HTTP_NOT_FOUND if status == apache.DECLINED else status

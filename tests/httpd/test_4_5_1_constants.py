"""Manual 4.2 and 4.5.1 and what later versions added: the constants of
mod_python.apache."""

import pytest

STATUSES = {
    "HTTP_CONTINUE": 100,
    "HTTP_SWITCHING_PROTOCOLS": 101,
    "HTTP_PROCESSING": 102,
    "HTTP_OK": 200,
    "HTTP_CREATED": 201,
    "HTTP_ACCEPTED": 202,
    "HTTP_NON_AUTHORITATIVE": 203,
    "HTTP_NO_CONTENT": 204,
    "HTTP_RESET_CONTENT": 205,
    "HTTP_PARTIAL_CONTENT": 206,
    "HTTP_MULTI_STATUS": 207,
    "HTTP_ALREADY_REPORTED": 208,
    "HTTP_IM_USED": 226,
    "HTTP_MULTIPLE_CHOICES": 300,
    "HTTP_MOVED_PERMANENTLY": 301,
    "HTTP_MOVED_TEMPORARILY": 302,
    "HTTP_SEE_OTHER": 303,
    "HTTP_NOT_MODIFIED": 304,
    "HTTP_USE_PROXY": 305,
    "HTTP_TEMPORARY_REDIRECT": 307,
    "HTTP_PERMANENT_REDIRECT": 308,
    "HTTP_BAD_REQUEST": 400,
    "HTTP_UNAUTHORIZED": 401,
    "HTTP_PAYMENT_REQUIRED": 402,
    "HTTP_FORBIDDEN": 403,
    "HTTP_NOT_FOUND": 404,
    "HTTP_METHOD_NOT_ALLOWED": 405,
    "HTTP_NOT_ACCEPTABLE": 406,
    "HTTP_PROXY_AUTHENTICATION_REQUIRED": 407,
    "HTTP_REQUEST_TIME_OUT": 408,
    "HTTP_CONFLICT": 409,
    "HTTP_GONE": 410,
    "HTTP_LENGTH_REQUIRED": 411,
    "HTTP_PRECONDITION_FAILED": 412,
    "HTTP_REQUEST_ENTITY_TOO_LARGE": 413,
    "HTTP_REQUEST_URI_TOO_LARGE": 414,
    "HTTP_UNSUPPORTED_MEDIA_TYPE": 415,
    "HTTP_RANGE_NOT_SATISFIABLE": 416,
    "HTTP_EXPECTATION_FAILED": 417,
    "HTTP_IM_A_TEAPOT": 418,
    "HTTP_MISDIRECTED_REQUEST": 421,
    "HTTP_UNPROCESSABLE_ENTITY": 422,
    "HTTP_LOCKED": 423,
    "HTTP_FAILED_DEPENDENCY": 424,
    "HTTP_UPGRADE_REQUIRED": 426,
    "HTTP_PRECONDITION_REQUIRED": 428,
    "HTTP_TOO_MANY_REQUESTS": 429,
    "HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE": 431,
    "HTTP_UNAVAILABLE_FOR_LEGAL_REASONS": 451,
    "HTTP_INTERNAL_SERVER_ERROR": 500,
    "HTTP_NOT_IMPLEMENTED": 501,
    "HTTP_BAD_GATEWAY": 502,
    "HTTP_SERVICE_UNAVAILABLE": 503,
    "HTTP_GATEWAY_TIME_OUT": 504,
    "HTTP_VERSION_NOT_SUPPORTED": 505,
    "HTTP_VARIANT_ALSO_VARIES": 506,
    "HTTP_INSUFFICIENT_STORAGE": 507,
    "HTTP_LOOP_DETECTED": 508,
    "HTTP_NOT_EXTENDED": 510,
    "HTTP_NETWORK_AUTHENTICATION_REQUIRED": 511,
}

RESULTS = {
    "OK": 0,
    "DECLINED": -1,
    "DONE": -2,
    "REQ_PROCEED": 0,
    "REQ_NOACTION": -1,
    "REQ_ABORTED": 500,
    "REQ_EXIT": "REQ_EXIT",
}

OTHERS = {
    "CGI_MAGIC_TYPE": "application/x-httpd-cgi",
    "INCLUDES_MAGIC_TYPE": "text/x-server-parsed-html",
    "INCLUDES_MAGIC_TYPE3": "text/x-server-parsed-html3",
    "DIR_MAGIC_TYPE": "httpd/unix-directory",
    "AP_CONN_UNKNOWN": 0,
    "AP_CONN_CLOSE": -1,
    "AP_CONN_KEEPALIVE": 1,
    "APR_UNKFILE": 127,
}

# Counted up: prefix, first number, the names in order.
SEQUENCES = [
    ("REMOTE_", 0, "HOST NAME NOLOOKUP DOUBLE_REV"),
    ("PROXYREQ_", 0, "NONE PROXY REVERSE RESPONSE"),
    (
        "M_",
        0,
        "GET PUT POST DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK "
        "UNLOCK VERSION_CONTROL CHECKOUT UNCHECKOUT CHECKIN UPDATE LABEL REPORT MKWORKSPACE "
        "MKACTIVITY BASELINE_CONTROL MERGE INVALID",
    ),
    ("AP_REQ_", 0, "ACCEPT_PATH_INFO REJECT_PATH_INFO DEFAULT_PATH_INFO"),
    (
        "FINFO_",
        0,
        "MODE INO DEV NLINK UID GID SIZE ATIME MTIME CTIME FNAME NAME FILETYPE",
    ),
    ("URI_", 0, "SCHEME HOSTINFO USER PASSWORD HOSTNAME PORT PATH QUERY FRAGMENT"),
    ("REQUEST_", 0, "NO_BODY CHUNKED_ERROR CHUNKED_DECHUNK"),
    ("APR_", 0, "NOFILE REG DIR CHR BLK PIPE LNK SOCK"),
    ("AP_MPMQ_", 0, "NOT_SUPPORTED STATIC DYNAMIC"),
    (
        "AP_MPMQ_",
        1,
        "MAX_DAEMON_USED IS_THREADED IS_FORKED HARD_LIMIT_DAEMONS HARD_LIMIT_THREADS MAX_THREADS "
        "MIN_SPARE_DAEMONS MIN_SPARE_THREADS MAX_SPARE_DAEMONS MAX_SPARE_THREADS "
        "MAX_REQUESTS_DAEMON MAX_DAEMONS",
    ),
    ("APLOG_", 0, "EMERG ALERT CRIT ERR WARNING NOTICE INFO DEBUG"),
]

FINFO_MASKS = {
    "LINK": 0x1,
    "MTIME": 0x10,
    "CTIME": 0x20,
    "ATIME": 0x40,
    "SIZE": 0x100,
    "CSIZE": 0x200,
    "DEV": 0x1000,
    "INODE": 0x2000,
    "NLINK": 0x4000,
    "TYPE": 0x8000,
    "USER": 0x10000,
    "GROUP": 0x20000,
    "UPROT": 0x100000,
    "GPROT": 0x200000,
    "WPROT": 0x400000,
    "ICASE": 0x1000000,
    "NAME": 0x2000000,
    "MIN": 0x8170,
    "IDENT": 0x3000,
    "OWNER": 0x30000,
    "PROT": 0x700000,
    "NORM": 0x73B170,
    "DIRENT": 0x2000000,
}


def counted():
    """The constants of SEQUENCES with their values."""
    return {
        prefix + name: number
        for prefix, first, names in SEQUENCES
        for number, name in enumerate(names.split(), first)
    }


GROUPS = {
    "statuses": STATUSES,
    "results": RESULTS,
    "others": OTHERS,
    "sequences": counted(),
    "finfo masks": {f"APR_FINFO_{name}": value for name, value in FINFO_MASKS.items()},
}


@pytest.mark.parametrize("group", GROUPS)
def test_values(httpd, group):
    """The constants exist and have the values promised."""
    expected = GROUPS[group]
    answer = httpd.run(f"return {{name: getattr(apache, name, 'missing') for name in {sorted(expected)!r}}}")
    assert answer == expected


def test_module_magic_number(httpd):
    """MODULE_MAGIC_NUMBER_* are httpd's."""
    major, minor = httpd.run("return [apache.MODULE_MAGIC_NUMBER_MAJOR, apache.MODULE_MAGIC_NUMBER_MINOR]")
    assert major == 20120211
    assert minor > 0


def test_server_return_is_an_exception(httpd):
    """SERVER_RETURN is an exception class."""
    assert httpd.run("return issubclass(apache.SERVER_RETURN, Exception)")


def test_version(httpd):
    """mod_python.mp_version is that of the version file and of Server's component."""
    here, file = httpd.run(
        """
        import mod_python
        from mod_python import version
        return [mod_python.mp_version, version.version]
        """
    )
    assert here == file


def test_argv(httpd):
    """sys.argv is ['mod_python']."""
    assert httpd.run("import sys\nreturn sys.argv") == ["mod_python"]

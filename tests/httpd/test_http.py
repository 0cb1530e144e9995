"""HTTP around handlers: keep-alive, pipelining, HTTP/2, filters of Apache's own."""

import pytest

PYTHON = "SetHandler python-program\nPythonHandler echo"

ECHO = """
    from mod_python import apache

    def handler(req):
        body = req.read()
        req.write("%s %s %d %s" % (req.method, req.protocol, len(body), req.args))
        return apache.OK
    """


def get(site, path, *headers):
    lines = [f"GET {site.prefix}{path} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_keep_alive(httpd):
    """Several requests go over one connection."""
    site = httpd.site(PYTHON, {"echo.py": ECHO})
    with site.connect() as connection:
        for n in range(5):
            connection.send(get(site, f"x?{n}"))
            assert connection.response().body == f"GET HTTP/1.1 0 {n}".encode()


def test_pipelining(httpd):
    """Requests sent at once are answered in order."""
    site = httpd.site(PYTHON, {"echo.py": ECHO})
    with site.connect() as connection:
        connection.send(
            b"".join(get(site, f"x?{n}") for n in range(4)) + get(site, "x?end", "Connection: close")
        )
        data = connection.read_all()
    positions = [data.index(f"GET HTTP/1.1 0 {n}".encode()) for n in [0, 1, 2, 3, "end"]]
    assert positions == sorted(positions)


def test_http10(httpd):
    """HTTP/1.0 clients get no chunks."""
    site = httpd.site(PYTHON, {"echo.py": ECHO})
    answer = site.raw(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
    assert answer.body == b"GET HTTP/1.0 0 None"
    assert "Transfer-Encoding" not in answer.headers


@pytest.mark.only_mpm("event")
def test_http2(httpd):
    """HTTP/2 requests are served, with and without body, many over one connection."""
    site = httpd("Protocols h2c http/1.1", modules=("http2",)).site(PYTHON, {"echo.py": ECHO})
    for n in range(5):
        answer = site.http2("GET", f"x?{n}")
        assert (answer.http_version, answer.text) == ("HTTP/2", f"GET HTTP/2.0 0 {n}")
    answer = site.http2("POST", "x", content=b"x" * 300000)
    assert answer.text == "POST HTTP/2.0 300000 None"


@pytest.mark.only_mpm("event")
def test_http2_in_parallel(httpd):
    """Requests of one HTTP/2 connection run in parallel, each with its own request."""
    import asyncio

    import httpx

    server = httpd("Protocols h2c http/1.1", modules=("http2",))
    site = server.site(
        PYTHON, {"echo.py": ECHO.replace("body =", "__import__('time').sleep(.01)\n        body =")}
    )

    async def run():
        async with httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=60) as client:
            return await asyncio.gather(*(client.get(f"{site.url}x?{n}") for n in range(30)))

    answers = [answer.text for answer in asyncio.run(run())]
    assert answers == [f"GET HTTP/2.0 0 {n}" for n in range(30)]


@pytest.mark.only_mpm("event")
def test_http2_client_that_leaves(httpd):
    """A stream that the client resets is an OSError for the handler."""
    import httpx

    site = httpd("Protocols h2c http/1.1", modules=("http2",)).site(
        PYTHON,
        {
            "echo.py": """
                from mod_python import apache

                def handler(req):
                    try:
                        while True:
                            req.write("x" * 10000)
                    except OSError:
                        apache.log_error("stream gone", apache.APLOG_NOTICE)
                    return apache.OK
                """
        },
    )
    with (
        httpx.Client(http1=False, http2=True, trust_env=False) as client,
        client.stream("GET", site.url + "x") as response,
    ):
        next(response.iter_bytes())
    site.expect_log("stream gone")


def test_compression(httpd):
    """Apache's filters work on what a handler writes."""
    server = httpd("AddOutputFilterByType DEFLATE text/plain", modules=("filter", "deflate"))
    site = server.site(
        PYTHON,
        {
            "echo.py": """
                def handler(req):
                    req.content_type = "text/plain"
                    req.write("spam " * 1000, 0)
                    return 0
                """
        },
    )
    answer = site.get("x", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.text == "spam " * 1000


def test_options_star(httpd):
    """OPTIONS * reaches no handler that it should not, and does no harm."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        PythonPostReadRequestHandler star
        PythonTransHandler star
        PythonFixupHandler star
        PythonLogHandler star
        """
    code = """
        def postreadrequesthandler(req):
            return 0 if req.uri and req.filename is None else 500

        def transhandler(req):
            return -1

        fixuphandler = loghandler = transhandler
        """
    answer = httpd(config, {"lib/star.py": code}).raw(
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "OPTIONS"
    )
    assert answer.status == 200


def test_reverse_proxy(httpd):
    """Phases run for proxied requests too."""
    config = """
        ProxyPass /front/ http://127.0.0.1:${port}/
        <Location /front>
            PythonPath "sys.path + ['${root}/lib']"
            PythonFixupHandler proxied
        </Location>
        """
    code = """
        from mod_python import apache

        def fixuphandler(req):
            req.headers_in["X-Via"] = "%d %s" % (req.proxyreq, req.filename.split(":")[0])
            return apache.OK
        """
    server = httpd(config, {"lib/proxied.py": code}, modules=("proxy", "proxy_http"), workers=4)
    site = server.site(
        PYTHON, {"echo.py": "def handler(req):\n    req.write(req.headers_in['X-Via'])\n    return 0\n"}
    )
    assert server.get(f"front{site.prefix}x").text == "2 proxy"

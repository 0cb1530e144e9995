"""Manual 6.2, apache.setup_cgi() and restore_nocgi(), for handlers of one's own."""


def test_setup_cgi(httpd):
    """A handler may have what a script has, for a while; then all is as before."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler own",
        {
            "own.py": """
                import os, sys
                from mod_python import apache

                def handler(req):
                    before = os.getcwd(), sys.path[:], dict(os.environ), sys.stdout
                    env, si, so = apache.setup_cgi(req)
                    print("Status: 201 Made")
                    print("Content-Type: text/plain\\r\\n\\r")
                    print(env["QUERY_STRING"], si.read(), sys.stdin.buffer.read(), os.getcwd() == os.path.dirname(__file__))
                    so.write("so ")
                    so.flush()
                    so.buffer.write(b"bytes\\n")
                    apache.restore_nocgi(env, si, so)
                    after = os.getcwd(), sys.path[:], dict(os.environ), sys.stdout
                    req.write(f"{before == after} {req.status}")
                    return apache.OK
                """
        },
    )
    answer = site.post("own.py?q", content="body")
    assert (answer.status_code, answer.text) == (201, "q body b'' True\nso bytes\nTrue 201")


def test_restore_without_setup(httpd):
    """restore_nocgi() has something to restore, or says so."""
    assert (
        httpd.run(
            """
        try:
            apache.restore_nocgi(None, None, None)
        except RuntimeError as error:
            return str(error)
        """
        )
        == "restore_nocgi() without setup_cgi() before it in this thread"
    )


def test_setup_cgi_without_a_response(httpd):
    """What restore_nocgi() finds wrong is the request's status."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler own",
        {
            "own.py": "from mod_python import apache\ndef handler(req):\n    apache.restore_nocgi(*apache.setup_cgi(req))\n"
        },
    )
    assert site.get("own.py").status_code == 500
    site.expect_log("KK0141")

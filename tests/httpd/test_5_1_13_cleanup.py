"""Manual 5.1.13, PythonCleanupHandler."""

CODE = """
    from mod_python import apache

    def note(text):
        apache.log_error("cleanup: " + text, apache.APLOG_NOTICE)

    def handler(req):
        req.spam = "eggs"
        req.register_cleanup(note, "registered")
        req.write("response")
        return apache.OK

    def cleanuphandler(req):
        note(f"handler {req.phase} {req.spam} {req.uri.rpartition('/')[2]}")
        req.register_cleanup(note, "too late")
        return apache.HTTP_CONFLICT
    """

CONFIG = "SetHandler python-program\nPythonHandler clean\nPythonCleanupHandler clean"


def test_is_the_last(httpd):
    """It runs after the cleanups that were registered; no more can be registered in
    it, and its result is ignored."""
    site = httpd.site(CONFIG, {"clean.py": CODE})
    answer = site.get("x")
    assert (answer.status_code, answer.text) == (200, "response")
    site.expect_log("cleanup: handler PythonCleanupHandler eggs x")
    site.expect_log("cleanup: registered")
    ours = [r.message for r in site.server.error_log.recent() if "cleanup: " in r.message]
    assert [text.split("cleanup: ")[1].split()[0] for text in ours] == ["registered", "handler"]


def test_errors_go_to_the_log_only(httpd):
    """Its errors are logged and not sent, even with PythonDebug On."""
    site = httpd.site(
        CONFIG + "\nPythonDebug On",
        {
            "clean.py": """
                def handler(req):
                    req.write("response")
                    return 0

                def cleanuphandler(req):
                    raise ValueError("spam")
                """
        },
    )
    assert site.get("x").text == "response"
    site.expect_log("KK010[17].*PythonCleanupHandler clean.*ValueError: spam")


def test_for_static_files(httpd):
    """It runs after any request."""
    site = httpd.site(
        "PythonCleanupHandler clean::only",
        {
            "clean.py": """
                from mod_python import apache

                def only(req):
                    apache.log_error("cleanup after " + req.filename, apache.APLOG_NOTICE)
                """,
            "page.txt": "a page\n",
        },
    )
    assert site.get("page.txt").text == "a page\n"
    site.expect_log("cleanup after .*page.txt")


def test_writing_in_it_is_pointless(httpd):
    """Writing to the client in a cleanup is an error or nothing, never a crash."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler clean\nPythonCleanupHandler clean",
        {
            "clean.py": """
                from mod_python import apache

                def handler(req):
                    req.write("response")
                    return apache.OK

                def cleanuphandler(req):
                    try:
                        req.write("too late")
                    except Exception as error:
                        pass
                    apache.log_error("cleanup done", apache.APLOG_NOTICE)
                """
        },
    )
    assert site.get("x").text == "response"
    site.expect_log("cleanup done")


def test_request_stays_usable(httpd):
    """A cleanup that was given the request may read its members."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler clean",
        {
            "clean.py": """
                from mod_python import apache

                def handler(req):
                    req.register_cleanup(done, req)
                    return apache.OK

                def done(req):
                    text = f"{req.method} {req.headers_in['Host']} {req.server.server_hostname}"
                    apache.log_error("cleanup of " + text, apache.APLOG_NOTICE)
                """
        },
    )
    site.get("x", headers={"Host": "spam"})
    site.expect_log("cleanup of GET spam www.example.com")

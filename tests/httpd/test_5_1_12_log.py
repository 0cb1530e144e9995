"""Manual 5.1.12, PythonLogHandler."""

CODE = """
    from mod_python import apache

    def loghandler(req):
        req.log_error(f"logged {req.status} {req.bytes_sent} {req.uri}", apache.APLOG_NOTICE)
        return apache.OK
    """


def test_runs_after_the_response(httpd):
    """It knows how the request ended."""
    site = httpd.site("PythonLogHandler logging_module", {"logging_module.py": CODE, "page.txt": "12345"})
    site.get("page.txt")
    site.expect_log("logged 200 [0-9]+ /site[0-9]*/page.txt")


def test_runs_for_errors(httpd):
    """It runs after errors too."""
    site = httpd.site("PythonLogHandler logging_module", {"logging_module.py": CODE})
    site.get("missing")
    site.expect_log("logged 404")


def test_apaches_log_is_written_too(httpd):
    """Apache's own log is written as well."""
    server = httpd('CustomLog logs/access_log "%U %s"')
    site = server.site("PythonLogHandler logging_module", {"logging_module.py": CODE, "page.txt": ""})
    site.get("page.txt")
    site.expect_log("logged 200")
    assert f"{site.prefix}page.txt 200" in (server.root / "logs/access_log").read_text()


def test_errors_in_it_change_nothing(httpd):
    """An error in it is logged; the client has its response."""
    site = httpd.site(
        "PythonLogHandler bad_logging",
        {"bad_logging.py": "def loghandler(req):\n    1 / 0\n", "page.txt": "a page\n"},
    )
    assert site.get("page.txt").text == "a page\n"
    site.expect_log("KK0101: PythonLogHandler bad_logging.*ZeroDivisionError")

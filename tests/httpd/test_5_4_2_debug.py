"""Manual 5.4.2, PythonDebug."""

import pytest

CODE = """
    def handler(req):
        secret = "<script>"
        raise ValueError(secret + " & more")
    """

PYTHON = "SetHandler python-program\nPythonHandler failing\n"
LOGGED = "KK0101: PythonHandler failing.*ValueError: <script> & more"


def failing(httpd, debug):
    return httpd.site(PYTHON + debug, {"failing.py": CODE})


@pytest.mark.parametrize("debug", ["", "PythonDebug Off"])
def test_off(httpd, debug):
    """Off, the default: the client learns nothing but that it is an error."""
    site = failing(httpd, debug)
    answer = site.get("x")
    assert answer.status_code == 500
    assert not {"ValueError", "failing", "script", "Traceback"} & set(answer.text.split())
    assert "failing.py" not in answer.text
    site.expect_log(LOGGED)


def test_on_as_text(httpd):
    """On: the traceback goes to the client, and to the log; the status is 500."""
    site = failing(httpd, "PythonDebug On")
    answer = site.get("x")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "Traceback (most recent call last)" in answer.text
    assert "ValueError: <script> & more" in answer.text
    assert f"{site.directory}/failing.py" in answer.text
    site.expect_log(LOGGED)


def test_on_as_html(httpd):
    """For a browser it is HTML, escaped."""
    site = failing(httpd, "PythonDebug On")
    answer = site.get("x", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "ValueError: &lt;script&gt; &amp; more" in answer.text
    assert "<script>" not in answer.text
    site.expect_log(LOGGED)


def test_log_record(httpd):
    """The log has the traceback once, as one record, with the request's context."""
    site = failing(httpd, "")
    site.get("x")
    record = site.expect_log(LOGGED)
    assert record.level == "error"
    assert "[client 127.0.0.1:" in record.message
    assert f"{site.directory}/failing.py:3" in record.message
    assert record.message.count("Traceback (most recent call last)") == 1


def test_inner_off_beats_outer_on(httpd):
    """Off in a directory beats On around it."""
    server = httpd("PythonDebug On")
    site = server.site(PYTHON + "PythonDebug Off", {"failing.py": CODE})
    assert "Traceback" not in site.get("x").text
    site.expect_log(LOGGED)


def test_after_output(httpd):
    """When part of the response has been sent the traceback follows it, and the response
    breaks off: no chunk tells that it is complete."""
    site = httpd.site(
        PYTHON + "PythonDebug On",
        {"failing.py": "def handler(req):\n    req.write('begun ')\n    1 / 0\n"},
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = connection.read_all()
    assert b"begun " in answer
    assert b"ZeroDivisionError" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    site.expect_log("KK0101: PythonHandler failing.*ZeroDivisionError")


def test_chained_exceptions(httpd):
    """The causes of an exception are shown."""
    site = httpd.site(
        PYTHON + "PythonDebug On",
        {
            "failing.py": """
                def handler(req):
                    try:
                        1 / 0
                    except ZeroDivisionError as error:
                        raise KeyError("outer") from error
                """
        },
    )
    answer = site.get("x")
    assert "ZeroDivisionError" in answer.text and "KeyError: 'outer'" in answer.text
    assert "direct cause" in answer.text
    site.expect_log("KK0101.*KeyError: 'outer'")


@pytest.mark.parametrize("phase", ["HeaderParser", "Access", "Type", "Fixup"])
def test_in_other_phases(httpd, phase):
    """Errors in other phases are shown as well."""
    site = httpd.site(
        f"Python{phase}Handler failing\nPythonDebug On",
        {"failing.py": f"def {phase.lower()}handler(req):\n    1 / 0\n", "page.txt": "a page\n"},
    )
    answer = site.get("page.txt")
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.text and "a page" not in answer.text
    site.expect_log(f"KK0101: Python{phase}Handler failing.*ZeroDivisionError")

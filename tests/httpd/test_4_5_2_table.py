"""Manual 4.5.2, the table object: each check of table_checks.py, run inside Apache."""

from pathlib import Path

import pytest

CHECKS = Path(__file__).with_name("table_checks.py")
NAMES = [
    line.split("(")[0].removeprefix("def ")
    for line in (CHECKS.read_text().splitlines() if CHECKS.exists() else [])
    if line.startswith("def check_")
]


@pytest.mark.parametrize("name", NAMES)
def test_table(httpd, name):
    """A check of table_checks.py holds for apache.table."""
    server = httpd("# tables", {"lib/table_checks.py": CHECKS.read_text()})
    server.run(
        f"import table_checks\ntable_checks.{name}(apache)",
        config="PythonPath \"sys.path + ['${root}/lib']\"",
    )


def test_there_are_checks():
    """The checks were found."""
    assert NAMES


HEADERS = {"X-Spam": "eggs", "x-OTHER": "bacon"}


def test_headers_in_is_live(httpd):
    """headers_in shows the client's headers, with the client's spelling."""
    names = httpd.run("return list(req.headers_in.keys())", headers=HEADERS)
    assert "X-Spam" in names and "x-OTHER" in names
    assert httpd.run("return dict(req.headers_in)['x-OTHER']", headers=HEADERS) == "bacon"


def test_lookup_ignores_case(httpd):
    """Names are looked up in any case."""
    assert httpd.run("return req.headers_in['x-sPAM']", headers=HEADERS) == "eggs"
    assert httpd.run("return 'X-SPAM' in req.headers_in", headers=HEADERS) is True


def test_changes_reach_apache(httpd):
    """What is put into headers_out is sent."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler headers",
        {
            "headers.py": """
                from mod_python import apache

                def handler(req):
                    req.headers_out["X-One"] = "1"
                    req.headers_out.add("Set-Cookie", "a=1")
                    req.headers_out.add("Set-Cookie", "b=2")
                    req.headers_out["X-Gone"] = "x"
                    del req.headers_out["X-Gone"]
                    req.write("x")
                    return apache.OK
                """
        },
    )
    headers = site.get("x").headers
    assert headers["X-One"] == "1"
    assert headers.get_list("Set-Cookie") == ["a=1", "b=2"]
    assert "X-Gone" not in headers


def test_duplicates_from_the_client(httpd):
    """Two headers of one name come as Apache gives them: joined."""
    values = httpd.run("return req.headers_in['X-Twice']", headers=[("X-Twice", "1"), ("X-Twice", "2")])
    assert values == "1, 2"

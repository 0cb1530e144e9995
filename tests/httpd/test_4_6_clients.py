"""Manual 4.6: forms as real clients send them."""

import ast
import shutil
import subprocess

import httpx
import pytest
import requests

from plugins.browser import CHROMIUM, Browser

SHOW = """
    from mod_python import apache, util

    def handler(req):
        form = util.FieldStorage(req, keep_blank_values=1, strict_parsing=1)
        req.content_type = "text/plain; charset=utf-8"
        shown = []
        for field in form.list:
            value = field.value if isinstance(field, util.Field) else str(field)
            shown.append((field.name, value, field.filename, field.type))
        req.write(ascii(shown))
        return apache.OK
    """
PAGE = """
    <!DOCTYPE html><meta charset="utf-8">
    <form action="show" method="post" enctype="{enctype}">
    <input name="täxt" value="ü €"><input name="empty"><textarea name="lines">one
    two</textarea>
    <select name="many" multiple><option selected>1<option>2<option selected>3</select>
    <input type="checkbox" name="on" checked><input type="checkbox" name="off">
    {inputs}<button name="button" value="pressed">Send</button></form>
    """
BINARY = bytes(range(256)) * 300 + b"\r\n--"
NAME = 'näme "quoted" 日本.bin'


@pytest.fixture
def site(httpd):
    """A site that shows the fields of forms."""
    return httpd.site("SetHandler python-program\nPythonHandler show\n", {"show.py": SHOW})


def shown(text):
    """What the handler saw."""
    return ast.literal_eval(text)


def text(name, value):
    return (name, value, None, "text/plain")


@pytest.mark.parametrize("client", [httpx, requests])
def test_libraries(site, client):
    """httpx and requests: fields, several of a name, uploads with and without a type."""
    data = {"a": "ü €", "many": ["1", "3"], "empty": ""}
    expected = [text("a", "ü €"), text("many", "1"), text("many", "3"), text("empty", "")]
    assert shown(client.post(f"{site.url}x", data=data).text) == expected
    assert shown(client.get(f"{site.url}x", params=data).text) == expected
    files = [("f", (NAME, BINARY)), ("f", ("plain.txt", b"", "text/html; charset=utf-8"))]
    got = shown(client.post(f"{site.url}x", data=data, files=files).text)
    assert got[:4] == expected
    name, value, filename, _ = got[4]
    assert (name, value, filename) == ("f", BINARY, NAME)
    assert got[5] == ("f", b"", "plain.txt", "text/html")


def curl(url, *arguments):
    """What curl prints."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(site, tmp_path):
    """curl: -d, --data-urlencode, -F with text, files, several files, types and names."""
    file = tmp_path / NAME
    file.write_bytes(BINARY)
    (tmp_path / "page.html").write_text("<p>")
    url = f"{site.url}x"
    assert shown(curl(url, "-d", "a=1", "--data-urlencode", "b=ü &")) == [text("a", "1"), text("b", "ü &")]
    escaped = str(file).replace('"', '\\"')
    got = shown(
        curl(
            url,
            *("-F", "a=ü"),
            *("-F", f'f=@"{escaped}"'),
            *("-F", f"g=@{tmp_path}/page.html"),
            *("-F", f"h=@{tmp_path}/page.html;type=Text/X;filename=other name"),
            *("-F", "i=5;type=application/json"),
            *("-F", f"j=<{tmp_path}/page.html"),
        )
    )
    assert got == [
        text("a", "ü"),
        ("f", BINARY, NAME, "application/octet-stream"),
        ("g", b"<p>", "page.html", "text/html"),
        ("h", b"<p>", "other name", "text/x"),
        ("i", "5", None, "application/json"),
        ("j", "<p>", None, "text/html"),
    ]
    (tmp_path / "large").write_bytes(BINARY * 50)  # for which curl expects 100 Continue
    [(_, value, filename, _)] = shown(curl(url, "-F", f"f=@{tmp_path}/large"))
    assert value == BINARY * 50 and filename == "large"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_chromium(site, tmp_path):
    """A browser: both encodings, and files chosen from the disk, or none."""
    file = tmp_path / NAME
    file.write_bytes(BINARY)
    (tmp_path / "page.html").write_text("<p>")
    site.write("urlencoded.html", PAGE.format(enctype="application/x-www-form-urlencoded", inputs=""))
    inputs = (
        '<input type="file" name="f"><input type="file" name="g" multiple><input type="file" name="none">'
    )
    site.write("multipart.html", PAGE.format(enctype="multipart/form-data", inputs=inputs))
    site.write(".htaccess", '<Files "show">\nSetHandler python-program\nPythonHandler show\n</Files>')
    fields = [text("täxt", "ü €"), text("empty", ""), text("lines", "one\r\ntwo")]
    fields += [text("many", "1"), text("many", "3"), text("on", "on")]
    button = [text("button", "pressed")]
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{site.url}urlencoded.html")
        browser.click("button")
        assert shown(browser.text()) == fields + button
        browser.open(f"{site.url}multipart.html")
        browser.choose_files("[name=f]", file)
        browser.choose_files("[name=g]", tmp_path / "page.html", file)
        browser.click("button")
        octets = "application/octet-stream"
        files = [
            ("f", BINARY, NAME, octets),
            ("g", b"<p>", "page.html", "text/html"),
            ("g", BINARY, NAME, octets),
        ]
        assert shown(browser.text()) == [*fields, *files, ("none", b"", "", octets), *button]


@pytest.mark.only_mpm("event")
def test_http2(httpd):
    """Over HTTP/2."""
    server = httpd("Protocols h2c http/1.1\n", modules=("http2",))
    site = server.site("SetHandler python-program\nPythonHandler show\n", {"show.py": SHOW})
    answer = site.http2("POST", "x", data={"a": "ü"}, files={"f": (NAME, BINARY * 20)})
    assert answer.http_version == "HTTP/2"
    [first, (_, value, filename, _)] = shown(answer.text)
    assert first == text("a", "ü") and (value, filename) == (BINARY * 20, NAME)
    assert shown(site.http2("GET", "x?a=1").text) == [text("a", "1")]

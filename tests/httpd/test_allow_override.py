"""PythonAllowOverride: whether .htaccess files may have directives of Python."""

import re

import pytest

FILES = {"page.txt": "the page", "hello.py": "def handler(req):\n    req.write('Hello!')\n    return 0\n"}

# A line of each, as it could stand in an .htaccess file.
LINES = {
    "PythonHandlerModule": "hello",
    "PythonOption": "key value",
    "PythonPath": "\"sys.path + ['/x']\"",
    "PythonInterpreter": "other",
    "PythonAutoReload": "On",
    "PythonDebug": "On",
    "PythonEnablePdb": "Off",
    "PythonInterpPerDirectory": "On",
    "PythonInterpPerDirective": "On",
}
PHASES = ["", "HeaderParser", "Init", "Access", "Authen", "Authz", "Type", "Fixup", "Log", "Cleanup"]
LINES |= {f"Python{phase}Handler": "hello" for phase in PHASES}

VIRTUAL_HOSTS = """
    PythonAllowOverride Off
    <VirtualHost *:${port}>
        ServerName first.example.com
    </VirtualHost>
    <VirtualHost *:${port}>
        ServerName closed.example.com
    </VirtualHost>
    <VirtualHost *:${port}>
        ServerName open.example.com
        PythonAllowOverride On
    </VirtualHost>
    """


@pytest.mark.only_mpm("event")
def test_all_directives_are_tried(httpd):
    """What Apache lists as allowed in .htaccess is what the next test tries."""
    listing = httpd.unstarted().directives()
    found = re.findall(r"^(Python\w+) \(mod_python.c\)\n.*\n.*?(\.htaccess)?$", listing, re.MULTILINE)
    assert len(found) > len(LINES)
    assert {name for name, allowed in found if allowed} == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_off(httpd, name):
    """Off: each is an error of the request, which says what to do, and nothing of Python runs."""
    site = httpd("PythonAllowOverride Off").site(f"{name} {LINES[name]}", FILES)
    answer = site.get("page.txt")
    assert answer.status_code == 500
    assert "Python" not in answer.text
    record = site.expect_log(rf"[.]htaccess: {name} not allowed here")
    assert "PythonAllowOverride is Off" in record.message
    assert "<Directory>" in record.message


def test_off_in_sections(httpd):
    """No section of an .htaccess file is a way around."""
    for section in ("Files page.txt", "IfModule python_module", "If \"'a' == 'a'\"", "Limit GET"):
        name = section.split()[0]
        text = f"<{section}>\nPythonHandler hello\n</{name}>"
        site = httpd("PythonAllowOverride Off").site(text, FILES)
        assert site.get("page.txt").status_code == 500
        site.expect_log("PythonHandler not allowed here")


@pytest.mark.parametrize("line", ["", "PythonAllowOverride On"])
def test_on(httpd, line):
    """On, the default: AllowOverride alone decides."""
    site = httpd(line).site("SetHandler python-program\nPythonHandler hello", FILES)
    assert site.get("page.txt").text == "Hello!"


def test_off_leaves_the_rest_alone(httpd):
    """.htaccess may have other directives; the server's configuration, those of Python."""
    server = httpd(
        """
        PythonAllowOverride Off
        <Location /served>
            SetHandler python-program
            PythonHandler hello
            PythonPath "sys.path + ['${root}/lib']"
        </Location>
        """,
        {"lib/hello.py": FILES["hello.py"]},
    )
    assert server.get("served").text == "Hello!"
    site = server.site("Options +FollowSymLinks", FILES)
    assert site.get("page.txt").text == "the page"


def test_handler_name_alone_is_harmless(httpd):
    """SetHandler python-program without a handler of Python's leaves the file to Apache."""
    site = httpd("PythonAllowOverride Off").site("SetHandler python-program", FILES)
    answer = site.get("page.txt")
    assert (answer.status_code, answer.text) == (200, "the page")


def test_virtual_hosts(httpd):
    """They inherit it, and may have a value of their own."""
    site = httpd(VIRTUAL_HOSTS).site("SetHandler python-program\nPythonHandler hello", FILES)
    for host in ("first", "closed"):
        assert site.get("page.txt", headers={"Host": f"{host}.example.com"}).status_code == 500
        site.expect_log("PythonHandler not allowed here")
    assert site.get("page.txt", headers={"Host": "open.example.com"}).text == "Hello!"


def test_get_config(httpd):
    """Programs can see it."""
    body = "return req.server.get_config().get('PythonAllowOverride')"
    assert httpd("PythonAllowOverride On").run(body) == "1"
    assert httpd.run(body) is None


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("section", ["Directory /x", "Location /x", "Files x"])
def test_it_belongs_to_the_server(httpd, section):
    """In a section it is a configuration error."""
    name = section.split()[0]
    status, text = httpd.configtest(f"<{section}>\nPythonAllowOverride Off\n</{name}>")
    assert status != 0
    assert "line 2 of" in text and "PythonAllowOverride" in text and "not allowed" in text


def test_not_in_htaccess(httpd):
    """An .htaccess file cannot allow itself."""
    site = httpd("PythonAllowOverride Off").site("PythonAllowOverride On", FILES)
    assert site.get("page.txt").status_code == 500
    site.expect_log("PythonAllowOverride not allowed here")

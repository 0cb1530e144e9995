"""Manual 6.1.2: what the publisher must not let anybody reach, tried over HTTP.

What can be tried without a server is in tests/unit/test_publisher_objects.py.
"""

import pytest

CONFIG = """
    PythonDebug Off
    AllowEncodedSlashes NoDecode
    <Directory "${htdocs}/set">
        SetHandler python-program
        PythonHandler mod_python.publisher
    </Directory>
    <Directory "${htdocs}/add">
        AddHandler python-program .py
        PythonHandler mod_python.publisher
    </Directory>
    <Directory "${htdocs}/set/unlinked">
        Options -FollowSymLinks
    </Directory>
    <Directory "${htdocs}/set/owned">
        Options -FollowSymLinks +SymLinksIfOwnerMatch
    </Directory>
    <Files "guarded.py">
        Require all denied
    </Files>
    """

PAGE = """
    import os
    import subprocess
    import sys
    from html import escape
    from os import environ, getcwd
    from subprocess import run

    _SECRET = SECRET = "the-secret"
    TABLE = {"key": SECRET}
    PATTERN = "{0.__class__}"

    class Root:
        leaf = "leaf"
        _hidden = SECRET
        def method(self):
            return "method"

    root = Root()

    def index():
        return "index"

    def page():
        return "page"
    """

FILES = {
    "htdocs/set/page.py": PAGE,
    "htdocs/add/page.py": PAGE,
    "htdocs/set/_private.py": PAGE,
    "htdocs/set/__init__.py": PAGE,
    "htdocs/set/.hidden.py": PAGE,
    "htdocs/set/package/__init__.py": PAGE,
    "htdocs/set/package/inner.py": PAGE,
    "htdocs/set/guarded.py": PAGE,
    "htdocs/set/compiled.pyc": b"the-secret",
    "htdocs/set/text.txt": "the-secret",
    "htdocs/set/unlinked/real.py": PAGE,
    "htdocs/set/owned/real.py": PAGE,
    "htdocs/above.py": PAGE,
    "above.py": PAGE,
}

#: Paths as they go over the wire.
HOSTILE = [
    # attributes
    "page/_SECRET",
    "page/%5FSECRET",
    "page/__dict__",
    "page/__builtins__",
    "page/__loader__/get_source",
    "page/index/__globals__",
    "page/index/__code__/co_consts",
    "page/index/__defaults__",
    "page/index/func_globals",
    "page/root/_hidden",
    "page/root/__class__/__init__/__globals__",
    "page/root/method/__func__",
    "page/root/method/im_func",
    "page/Root/leaf",
    "page/Root/__subclasses__",
    "page/Root/mro",
    "page/SECRET/format",
    "page/PATTERN/format",
    "page/PATTERN/format?0=x",
    "page/TABLE/key",
    "page/TABLE/keys",
    "page/TABLE/clear",
    "page/os",
    "page/os/environ",
    "page/os/system?command=id",
    "page/sys/modules",
    "page/subprocess/run?args=id",
    "page/run?args=id",
    "page/escape?s=x",
    "page/getcwd",
    "page/environ",
    "page/print",
    "page/open?file=/etc/passwd",
    # elements
    "page/SECRET%20",
    "page/SECRET.",
    "page/SECRET%0a",
    "page/secret",
    "page/%EF%BC%B3ECRET",
    "page/%EF%BC%BFSECRET",
    "page/%ff",
    "page/%c0%afetc",
    "page/%ed%b3%bf",
    "page/root%2Fleaf",
    "page/root%5Cleaf",
    "page/root\\leaf",
    "page/" + "a" * 250,
    "page/" + "root/" * 800,
    # files
    "page.",
    "page.pyc",
    "page.py.",
    "page.py%20",
    "page.py~",
    "PAGE/SECRET",
    "page%2epy%00/SECRET",
    "page%00.py/SECRET",
    "_private/SECRET",
    "_private.py/SECRET",
    "%5Fprivate/SECRET",
    "__init__/SECRET",
    "__init__.py/SECRET",
    "package/__init__/SECRET",
    "package/__init__.py/SECRET",
    ".hidden/SECRET",
    ".hidden.py/SECRET",
    "compiled/SECRET",
    "compiled.pyc",
    "text.txt",
    "text",
    "os/environ",
    "os.path/join",
    "os.py/environ",
    "sys/path",
    "subprocess/run?args=id",
    "mod_python/publisher/handler",
    "mod_python.publisher/handler",
    "mod_python.apache/config_tree",
    "package.inner/SECRET",
    "package..inner/SECRET",
    "..page/SECRET",
    "...page/SECRET",
    "%2e%2e%2fabove/SECRET",
    "..%2fabove/SECRET",
    "..%5cabove/SECRET",
    "%2Fetc%2Fpasswd",
    "%c0%ae%c0%ae/above/SECRET",
]

#: What Apache itself refuses, and the code of its log record.
REFUSED = {
    "page/" + "a" * 7000: "AH00127",
    "page/" + "root/" * 1400: "AH00127",
    "." * 3000: "AH00036",
    "../../above/SECRET": "AH10244",
    "%2e%2e/%2e%2e/above/SECRET": "AH10244",
    "guarded.py/SECRET": "AH01630",
}


@pytest.fixture
def server(httpd):
    """Links as an administrator may have made them."""
    server = httpd(CONFIG, FILES)
    for name in ("unlinked", "owned"):
        link = server.htdocs / "set" / name / "link.py"
        if not link.is_symlink():
            link.symlink_to("real.py")
    return server


def is_nothing(answer):
    """Whether an answer tells nothing."""
    text = answer.body.decode("iso-8859-1")
    return (
        answer.status in (400, 403, 404)
        and "the-secret" not in text
        and "Traceback" not in text
        and "PythonHandler" not in text
        and "/htdocs" not in text
    )


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: f"{path:.40}")
def test_what_is_not_there(server, path):
    """Neither value nor source, and no word on why; Apache still serves."""
    answer = server.raw_request(b"set/" + path.encode())
    assert is_nothing(answer), (answer.status, answer.body)
    assert server.get("set/page/page").text == "page"


@pytest.mark.parametrize(("path", "code"), REFUSED.items(), ids=lambda text: f"{text:.40}")
def test_what_apache_refuses(server, path, code):
    """It does not come to the publisher."""
    answer = server.raw_request(b"set/" + path.encode())
    assert is_nothing(answer), (answer.status, answer.body)
    server.expect_log(code)


@pytest.mark.parametrize(
    "path", [path for path in HOSTILE if path.startswith("page/")], ids=lambda path: f"{path:.40}"
)
def test_what_is_not_there_behind_an_extension(server, path):
    """The same in the manual's other layout."""
    answer = server.raw_request(b"add/page.py/" + path.removeprefix("page/").encode())
    assert is_nothing(answer), (answer.status, answer.body)


def test_what_is_there(server):
    """The paths above fail for the right reason."""
    for path in ("page/SECRET", "page/TABLE", "package/inner/SECRET", "page/root/leaf", "page/PATTERN"):
        assert server.get(f"set/{path}").status_code == 200, path
    assert server.get("add/page.py/SECRET").text == "the-secret"
    # Apache has these be the same URL, before anything is mapped.
    for path in (b"page//SECRET//", b"page/root/%2e%2e/SECRET"):
        assert server.raw_request(b"set/" + path).body == b"the-secret"


def test_links_are_followed_as_options_say(server):
    """Also where Apache has not seen the file."""
    assert server.get("set/unlinked/real/page").text == "page"
    assert server.get("set/unlinked/link/page").status_code == 403
    assert server.get("set/unlinked/link.py/page").status_code == 403
    server.expect_log("AH00037: Symbolic link not allowed")
    assert server.get("set/owned/link/page").text == "page"


@pytest.mark.parametrize("reload", ["On", "Off"])
def test_links_are_followed_as_options_of_each_request_say(httpd, reload):
    """That one request might follow a link, or that there was none, is not the next one's leave."""
    options = '<Location "/other">\nOptions -FollowSymLinks\n</Location>\n'
    directory = (
        '<Directory "${htdocs}/links">\nSetHandler python-program\nPythonHandler mod_python.publisher\n'
        f"PythonAutoReload {reload}\n"
    )
    server = httpd(
        f'{directory}</Directory>\nAlias "/other" "${{htdocs}}/links"\n{options}',
        {"htdocs/links/real.py": PAGE, "htdocs/links/becomes.py": PAGE},
    )
    becomes = server.htdocs / "links" / "becomes.py"
    (server.htdocs / "links" / "link.py").symlink_to("real.py")
    for name in ("link", "becomes"):
        assert server.get(f"links/{name}/page").text == "page"
    assert server.get("other/becomes/page").text == "page"
    becomes.unlink()
    becomes.symlink_to("real.py")
    for name in ("link", "becomes"):
        assert server.get(f"other/{name}/page").status_code == 403
        assert server.get(f"links/{name}/page").text == "page"
    becomes.unlink()
    assert server.get("other/becomes/page").status_code == 404


def test_a_name_is_kept_only_if_it_is_there(httpd):
    """Else everybody could fill the memory."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mod_python.publisher",
        {
            "page.py": """
                def count():
                    from mod_python import publisher
                    return str(len(publisher._pages))
                class Any:
                    def __getattr__(self, name):
                        if name.startswith("__"):
                            raise AttributeError(name)
                        return name
                any = Any()
                """
        },
    )
    before = int(site.get("page/count").text)
    for number in range(20):
        assert site.get(f"page/missing{number}").status_code == 404
        assert site.get(f"page/any/{number}{'x' * 300}").status_code == 200
    assert int(site.get("page/count").text) <= before + 1


def test_foreign_objects_do_not_outlive_their_module(httpd):
    """What is kept of a page does not keep its old module."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mod_python.publisher",
        {"page.py": "class Big: pass\nbig = Big()\ndef show(): return 'one'\n"},
    )
    count = """
        import gc
        def index():
            gc.collect()
            return str(sum(type(each).__name__ == "Big" for each in gc.get_objects()))
        """
    site.write("count.py", count)
    for number in range(5):
        text = f"class Big: pass\nbig = Big()\ndef show(): return '{number}{'x' * number}'\n"
        (site.directory / "page.py").write_text(text)
        assert site.get("page/show").text[0] == str(number)
    assert site.get("count").text == "1"

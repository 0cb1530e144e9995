"""Manual 3.1 and 6.1, the publisher handler: layouts, traversal, arguments, results."""

import pytest

CONFIG = """
    <Directory "${htdocs}/set">
        SetHandler python-program
        PythonHandler mod_python.publisher
    </Directory>
    <Directory "${htdocs}/add">
        AddHandler python-program .py .pub
        PythonHandler mod_python.publisher
    </Directory>
    <Directory "${htdocs}/listed">
        SetHandler python-program
        PythonHandler mod_python.publisher | .html
    </Directory>
    """

HELLO = '''
    """ Publisher example """

    def say(req, what="NOTHING"):
        return "I am saying %s" % what
    '''

PAGES = """
    import asyncio
    from mod_python import apache

    VALUE = "a value"
    NUMBER = 7
    NOTHING = None
    BYTES = bytes(range(256))

    class Class:
        pass

    class Tree:
        leaf = "a leaf"
        def __init__(self, depth=0):
            self.branch = Tree(depth - 1) if depth else None
        def __str__(self):
            return "a tree"
        def grow(self, req, by="1"):
            return f"grown by {by}"

    class Caller:
        def __call__(self, req, name="nobody"):
            return f"called by {name}"

    tree = Tree(2)
    caller = Caller()

    def index(req):
        return "the index"

    def kinds(req, a="", b="x"):
        return f"a={a} b={b} {type(a).__name__}"

    def several(req, a):
        return "+".join(a)

    def rest(req, a, **rest):
        return f"{a} " + " ".join(f"{name}={'+'.join(value)}" for name, value in sorted(rest.items()))

    def required(req, first, second, *, third, fourth=""):
        return "unreached"

    async def asynchronous(req, name="nobody"):
        await asyncio.sleep(0)
        return f"awaited {name}"

    def form(req):
        return repr(sorted(req.form.keys())) + repr(req.form is req.form)

    def lazily(req):
        return repr(req.read(5))

    def page(req):
        return "<html>" + "x" * 200 + "</HTML>\\n" + " " * 80

    def early(req):
        return "</html>" + " " * 94

    def typed(req):
        req.content_type = "application/json"
        return "{}"

    def text(req):
        return "Žluťoučký kůň"

    def nothing(req):
        req.write("written", 0)

    def status(req):
        req.status = apache.HTTP_CREATED
        return "created"

    def raises(req):
        raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)

    def chain(req, left="3"):
        return (lambda: chain(req, int(left) - 1)) if int(left) else "the end"

    def endless(req):
        return endless

    def fails(req):
        raise ValueError("a fine mess")

    def gives_a_class(req):
        return Class

    def echo(name):
        return name

    def sees_request(req):
        return f"{req.path_info} {req.method}"
    """

FILES = {
    **{f"htdocs/{where}/hello.py": HELLO for where in ("set", "add")},
    **{f"htdocs/{where}/pages.py": PAGES for where in ("set", "add")},
    "htdocs/set/index.py": "def index(): return 'index of set'\ndef other(): return 'other of set'\n",
    "htdocs/set/sub/index.py": "def index(): return 'index of sub'\ndef other(): return 'other of sub'\n",
    "htdocs/set/sub/pages.py": "def index(): return 'pages of sub'\n",
    "htdocs/set/a.b.py": "def index(): return 'dots'\n",
    "htdocs/set/my-page.py": "def index(): return 'a hyphen'\n",
    "htdocs/set/sub/calendar.py": "def index(): return 'not the standard one'\n",
    "htdocs/set/sub/uses.py": "import calendar\ndef index(): return str(calendar.index())\n",
    "htdocs/add/standard.py": "import calendar\ndef index(): return str(calendar.isleap(2000))\n",
    "htdocs/add/index.py": "def missing(): return 'missing of add'\n",
    "htdocs/add/page.txt": "a file\n",
    "htdocs/listed/form.py": "def index(): return 'form'\n",
}


@pytest.fixture
def server(httpd):
    return httpd(CONFIG, FILES)


@pytest.fixture
def get(server):
    """The status and text of a page of pages.py."""

    def get(path, **options):
        answer = server.get(f"set/pages/{path}", **options)
        return answer.status_code, answer.text

    return get


@pytest.mark.parametrize(
    "path", ["add/hello.py/say", "set/hello/say", "set/hello.py/say", "add/hello.pub/say"]
)
def test_example(server, path):
    """hello.py/say answers as printed, in both layouts."""
    assert server.get(path).text == "I am saying NOTHING"
    assert server.get(path + "?what=hello").text == "I am saying hello"
    assert server.post(path, data={"what": "posted"}).text == "I am saying posted"
    assert server.get(path + "/").text == "I am saying NOTHING"


def test_extensions_of_htaccess(httpd):
    """Those of AddHandler are stripped wherever it stands, in either case, and nowhere else."""
    config = "AddHandler mod_python .py HTML\nPythonHandler mod_python.publisher\n"
    site = httpd.site(config, {"hello.py": HELLO, "hello.html": "", "hello.HTML": ""})
    for path in ("hello.html/say", "hello.HTML/say", "hello.py/say"):
        assert site.get(path).text == "I am saying NOTHING"
    other = httpd.site("SetHandler python-program\nPythonHandler mod_python.publisher", {"hello.py": HELLO})
    assert other.get("hello.html/say").status_code == 404


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("set/", "index of set"),
        ("set/index", "index of set"),
        ("set/index.py/other", "other of set"),
        ("set/other", "other of set"),
        ("set/other/", "other of set"),
        ("set/sub/", "index of sub"),
        ("set/sub/other", "other of sub"),
        ("set/pages", "the index"),
        ("set/pages/", "the index"),
        ("set/sub/pages", "pages of sub"),
        ("set/a.b", "dots"),
        ("set/a.b.py", "dots"),
        ("set/my-page", "a hyphen"),
        ("add/missing.py", "missing of add"),
        ("listed/form.html", "form"),
        ("add/page.txt", "a file\n"),
    ],
)
def test_defaults(server, path, text):
    """`index` is the module, and the object, of what is not named."""
    assert server.get(path).text == text


def test_a_module_may_be_named_as_a_standard_one(server):
    """It is found by its neighbours, and by nobody else."""
    assert server.get("set/sub/calendar").text == "not the standard one"
    assert server.get("set/sub/uses").text == "not the standard one"
    assert server.get("add/standard.py").text == "True"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("VALUE", "a value"),
        ("NUMBER", "7"),
        ("tree", "a tree"),
        ("tree/leaf", "a leaf"),
        ("tree/branch/branch/leaf", "a leaf"),
        ("tree/branch/grow?by=2", "grown by 2"),
        ("caller?name=Eva", "called by Eva"),
        ("asynchronous?name=Eva", "awaited Eva"),
        ("chain", "the end"),
        ("NOTHING", ""),
        ("nothing", "written"),
        ("text", "Žluťoučký kůň"),
        ("sees_request", "/sees_request GET"),
    ],
)
def test_objects(get, path, text):
    """Values as text; what can be called is called, and what that returns."""
    assert get(path) == (200, text)


@pytest.mark.parametrize("path", ["Class", "gives_a_class"])
def test_classes(get, path):
    """Published as text."""
    assert get(path) == (200, "<class 'pages.Class'>")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kinds?a=1&c=3&req=x", "a=1 b=x StringField"),
        ("kinds?a=&b=", "a= b= StringField"),
        ("several?a=1&a=2", "1+2"),
        ("rest?a=1&b=2&b=3&c=&req=x", "1 b=2+3 c="),
        ("form", "[]True"),
        ("form?b=1&a=", "['a', 'b']True"),
    ],
)
def test_fields(get, path, text):
    """Go to arguments of their names."""
    assert get(path) == (200, text)


def test_fields_of_a_body(server):
    """After those of the URL."""
    answer = server.post("set/pages/kinds?b=url", data={"a": "body"})
    assert "body" in answer.text
    assert "url" in answer.text


def test_uploads_are_fields(httpd):
    """Text of the form is text, a file a Field."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mod_python.publisher",
        {
            "page.py": """
                def up(title, file):
                    return f"{title} {file.filename} {file.type} {file.file.read()!r}"
                """
        },
    )
    answer = site.post("page/up", data={"title": "A"}, files={"file": ("x.bin", b"\0\r\n", "image/png")})
    assert answer.text == r"A x.bin image/png b'\x00\r\n'"


def test_a_body_is_read_when_it_is_needed(server):
    """A function that takes the request only may read it itself, whatever its type."""
    answer = server.post("set/pages/lazily", content=b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.text) == (200, "b'{}'")
    answer = server.post("set/pages/kinds", content=b"{}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 501


def test_missing_arguments(get):
    """The client's fault; the page says which are missing."""
    status, text = get("required?second=x")
    assert status == 400
    assert "<code>first</code>, <code>third</code>" in text
    assert "second" not in text
    assert "fourth" not in text


def test_content_type(server):
    """Guessed by the end of the text, unless the function has set it."""
    for path, content_type in {
        "page": "text/html",
        "early": "text/plain",
        "VALUE": "text/plain",
        "BYTES": "text/plain",
        "NOTHING": None,
        "typed": "application/json",
    }.items():
        assert server.get(f"set/pages/{path}").headers.get("Content-Type") == content_type, path


ENDS = {
    "last": "x" * 500 + "</html>",
    "first": "</html>" + "x" * 93,
    "too-early": "</html>" + "x" * 94,
    "half": "<" * 120 + "/html>" + "</htm",
    "case": "</HtMl>",
    "of-two-bytes": "\u017e" * 300 + "</HTML>" + "\u017e" * 93,
    "of-two-bytes-too-early": "\u017e" * 300 + "</HTML>" + "\u017e" * 94,
    "of-four-bytes": "\U0001f40d" * 300 + "</html>" + "\U0001f40d" * 93,
    "alike": "</h\uff54ml></\u0125tml>\u212a",
    "short": "html>",
    "empty": "",
}


@pytest.mark.parametrize("kind", ["str", "type('Text', (str,), {})"])
def test_what_is_html(httpd, kind):
    """A page with "</html>" among its last hundred characters; for others than plain str too."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mod_python.publisher",
        {"page.py": f"ENDS = {ENDS!a}\nKind = {kind}\ndef show(req): return Kind(ENDS[req.args])\n"},
    )
    for name, text in ENDS.items():
        answer = site.get(f"page/show?{name}")
        expected = "text/html" if "</html>" in text[-100:].lower() else "text/plain"
        assert (answer.headers["Content-Type"], answer.content) == (expected, text.encode()), name


def test_known_pages(httpd):
    """What is found before, where changed files are not noticed, is treated as what is new."""
    site = httpd.site(
        "PythonAutoReload Off\nSetHandler python-program\nPythonHandler mod_python.publisher",
        {
            "page.py": """
                def show(req): return req.method + " " + req.form.getfirst("a", "nothing")
                def echo(req): return req.form["a"]
                def none(req): return None
                def data(req): return b"data"
                def later(req): return lambda req, a: "later " + a
                """
        },
    )
    for _ in range(3):
        assert site.get("page/show").text == "GET nothing"
        assert site.get("page/show?a=1").text == "GET 1"
        assert site.get("page/show?a=1&a=2").text == "GET 1"
        assert site.post("page/show", data={"a": "2"}).text == "POST 2"
        assert site.head("page/show").headers["Content-Length"] == str(len("HEAD nothing"))
        assert site.request("PUT", "page/show").status_code == 405
        assert "GET" in site.request("DELETE", "page/show").headers["Allow"]
        assert site.get("page/echo?a=%ff%c3%a9").content == b"\xff\xc3\xa9"
        assert site.get("page/none").content == b""
        assert site.get("page/data").content == b"data"
        assert site.get("page/later?a=b").text == "later b"
        assert site.get("page/later").status_code == 400
        assert site.get("page/show/more").status_code == 404


def test_bytes(server):
    """Go unchanged."""
    assert server.get("set/pages/BYTES").content == bytes(range(256))


def test_what_is_no_utf_8_goes_back_as_it_came(server):
    """A client's bytes are not the program's error."""
    assert server.get("set/pages/echo?name=%ff%c3%a9").content == b"\xff\xc3\xa9"


def test_nothing_is_flushed(server):
    """Apache knows the length, for HEAD too, whose body is not sent."""
    answer = server.head("set/pages/text")
    assert answer.headers["Content-Length"] == str(len("Žluťoučký kůň".encode()))
    assert answer.content == b""
    assert server.get("set/pages/text").headers["Content-Length"] == answer.headers["Content-Length"]


def test_status(get):
    """A function may set it, and raise SERVER_RETURN."""
    assert get("status") == (201, "created")
    assert get("raises")[0] == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
def test_other_methods(server, method):
    """Are refused with what is allowed."""
    answer = server.request(method, "set/pages/tree")
    assert answer.status_code == 405
    assert {"GET", "HEAD", "POST"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
    assert not {"PUT", "DELETE"} & set(answer.headers["Allow"].replace(" ", "").split(","))


def test_errors(server):
    """An exception is a 500, and in the log only; so is a function that returns itself."""
    answer = server.get("set/pages/fails")
    assert answer.status_code == 500
    assert "mess" not in answer.text
    server.expect_log("KK0101: PythonHandler mod_python.publisher: ValueError: a fine mess")
    assert server.get("set/pages/endless").status_code == 500
    server.expect_log("KK0101: PythonHandler mod_python.publisher: RecursionError")


def test_changed_modules_are_reloaded(httpd):
    """With PythonAutoReload; new files are found, and those that have gone are not."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mod_python.publisher",
        {"page.py": "def show(): return 'one'\n", "index.py": "def other(): return 'index'\n"},
    )
    assert site.get("page/show").text == "one"
    assert site.get("page/show").text == "one"
    (site.directory / "page.py").write_text("def show(): return 'two!'\n")
    assert site.get("page/show").text == "two!"
    (site.directory / "page.py").write_text(
        "def show():\n    def __auth__(req, user, pw): return 0\n    return 'x'\n"
    )
    assert site.get("page/show").status_code == 401
    (site.directory / "page.py").unlink()
    assert site.get("page/show").status_code == 404
    assert site.get("other").text == "index"
    (site.directory / "other.py").write_text("def index(): return 'a module'\n")
    assert site.get("other").text == "a module"


def test_replaced_modules_are_freed(httpd):
    """Whatever the publisher has found out about their functions."""
    code = """
        import gc, sys, weakref

        class Kind: pass

        sys.of_test = [*getattr(sys, "of_test", ()), weakref.ref(Kind)]

        def render(text="x"): return text

        def show(req, how=render, /, *, kind: Kind = Kind(), by: "str" = render):
            def __auth__(req, user, password): return True
            __access__ = 1
            return by(how(str(kind is not None)))

        def kept():
            gc.collect()
            return str(sum(each() is not None for each in sys.of_test))
        """
    site = httpd.site("SetHandler python-program\nPythonHandler mod_python.publisher", {"page.py": code})
    for n in range(4):
        site.write("page.py", code + f"\n        # {'x' * n}")
        assert site.get("page/show", auth=("eggs", "spam")).text == "True"
        assert site.get("page/kept").text == "1"


@pytest.mark.parametrize("reload", ["On", "Off"])
def test_globals_may_change(httpd, reload):
    """What a name stands for is looked up at each request."""
    site = httpd.site(
        f"PythonAutoReload {reload}\nSetHandler python-program\nPythonHandler mod_python.publisher",
        {
            "page.py": """
                def show(): return "one"
                def other(): return "two"
                def swap():
                    global show
                    show = other
                def protect():
                    global __auth__
                    __auth__ = 0
                def protect_function():
                    other.__auth__ = 0
                """
        },
    )
    assert [site.get("page/show").text for _ in range(2)] == ["one", "one"]
    site.get("page/swap")
    assert [site.get("page/show").text for _ in range(2)] == ["two", "two"]
    site.get("page/protect_function")
    assert [site.get("page/show").status_code for _ in range(2)] == [401, 401]
    assert site.get("page/swap").status_code == 200
    site.get("page/protect")
    assert site.get("page/swap").status_code == 401


def test_broken_module(httpd):
    """Reported as any handler's."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mod_python.publisher",
        {"page.py": "def index(:\n", "lacks.py": "open('/no/such/file')\n"},
    )
    assert site.get("page").status_code == 500
    site.expect_log("KK0101: PythonHandler mod_python.publisher: SyntaxError")
    assert [site.get("lacks").status_code for _ in range(2)] == [500, 500]
    site.expect_log("KK0101: PythonHandler mod_python.publisher: FileNotFoundError", 2)

"""LATER 9, PSP: the handler, the class PSP, error pages, sessions, display_code()."""

import concurrent.futures
import re
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "notes.psp"

CONFIG = """
    PythonOption mod_python.session.session_type MemorySession
    PythonOption mod_python.psp.cache_database_filename /nonexistent/ignored
    <Directory "${htdocs}">
        AddHandler python-program .psp .psp_
        PythonHandler mod_python.psp
        PythonDebug Off
    </Directory>
    <Directory "${htdocs}/debug">
        PythonDebug On
    </Directory>
    <Directory "${htdocs}/early">
        PythonFixupHandler early
    </Directory>
    <Directory "${htdocs}/own">
        SetHandler python-program
        PythonHandler own
    </Directory>
    """

OWN = """
    from mod_python import apache, psp

    def handler(req):
        req.content_type = "text/plain"
        return globals()[req.args](req) or apache.OK

    def relative(req):
        page = psp.PSP(req, filename="page.tmpl", vars={"a": 1, "b": 2})
        page.run({"b": 3}, flush=1)

    def as_text(req):
        req.write("before ")
        req.write("%s after" % psp.PSP(req, string="<%= a %>", vars={"a": "within"}))

    def both(req):
        try:
            psp.PSP(req, "page.tmpl", "text")
        except ValueError as error:
            req.write(str(error))

    def include(req):
        psp.PSP(req, string='<%@ include file="page.tmpl"%>', vars={"a": 1, "b": 2}).run()

    def names(req):
        psp.PSP(req, string="<%= [req.uri, type(psp).__name__, __file__, __mp_path__] %>").run()

    def removed(req):
        psp.PSP(req, string="<%= session.is_new() %>").run()
        req.write(" %s" % hasattr(req, "session"))

    def chosen(req):
        page = psp.PSP(req, string="<%= form, session, psp %>", vars={"form": 1, "session": 2})
        page.run({"session": 3, "psp": 4})

    def shown(req):
        psp.PSP(req, string="<b>").display_code()

    def parsed(req):
        req.write(psp.parse("page.tmpl", __file__.rpartition("/")[0]) + psp.parsestring("x"))

    def flushed(req):
        psp.PSP(req, string="x").run(flush=1)
        req.write(str(req.bytes_sent), 0)

    def unflushed(req):
        psp.PSP(req, string="x").run()
        req.write(str(req.bytes_sent), 0)
    """

EARLY = """
    from mod_python import apache, Session

    def fixuphandler(req):
        req.form = {"from": "early"}
        req.session = Session.Session(req)
        req.session["n"] = 7
        return apache.OK
    """

FILES = {
    "htdocs/hello.psp": '<h1>Příliš</h1>\r\n<%\nif 1:\n    req.write("t")\n%>est<%=" "+"ok"%>',
    "htdocs/many.psp": "<% for n in range(20000): %>0123456789<%\n%>",
    "htdocs/form.psp": "<%= sorted(form.keys()) %> <%= form is req.form %> <%= form.getfirst('a') %>",
    "htdocs/apply.psp": "<%\ndef f(a, b='B', *, c):\n    return a + b + c\n\n%><%= psp.apply_data(f, c='C') %>",
    "htdocs/lazy.psp": "<%= [getattr(req, name, None) for name in ('for' + 'm', 'sess' + 'ion')] %>",
    "htdocs/count.psp": "<% session['n'] = session.get('n', 0) + 1 %><%= session['n'] %>",
    "htdocs/twice.psp": (
        "<% from mod_python.psp import PSP %><% session['n'] = 10 %>"
        "<% PSP(req, 'count.psp').run() %> <%= session['n'] %>"
    ),
    "htdocs/login.psp": "<% session['n'] = 40 %><% psp.redirect('/count.psp') %>",
    "htdocs/moved.psp": "<% psp.redirect('/x?a=1&b=2', permanent=1) %>",
    "htdocs/forbidden.psp": (
        "<% from mod_python import apache %><% psp.set_error_page('error.psp') %>"
        "<% raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN) %>"
    ),
    "htdocs/error.psp": "|<%= exception[0].__name__ %>: <%= exception[1] %> <%= bool(exception[2]) %>",
    "htdocs/counterror.psp": "|<%= exception[1] %> <%= session['n'] %><% session['n'] = 50 %>",
    "htdocs/fails.psp": "begun\n<% psp.set_error_page('error.psp') %>\n<% 1/0 %>never",
    "htdocs/sub/fails.psp": "begun <% psp.set_error_page('/error.psp') %><% {}['k'] %>",
    "htdocs/sessionfails.psp": (
        "<% psp.set_error_page('counterror.psp') %><% session['n'] = 5 %><% raise ValueError('no') %>"
    ),
    "htdocs/errorfails.psp": "<% psp.set_error_page('missing.psp') %><% 1/0 %>",
    "htdocs/plain.psp": "one\ntwo\n<%\nx = 1\ny = x / 0\n%>",
    "htdocs/syntax.psp": "one\ntwo <% x = = 1 %>\n",
    "htdocs/latin.psp": b"caf\xe9",
    "htdocs/included.psp": 'one\n<%@ include file="part.inc" %>\n',
    "htdocs/part.inc": "two\n\n<%= undefined %>\n",
    "htdocs/missing_file.psp": "<% open('/nonexistent/file') %>",
    "htdocs/type.psp": "<% req.content_type = 'text/plain; charset=utf-8' %>é",
    "htdocs/debug/page.psp": "<p>\n<%= 1 < 2 %>\n",
    "htdocs/debug/syntax.psp": "one\ntwo <% x = = 1 %>\n",
    "htdocs/early/page.psp": "<%= form %> <%= session['n'] %> <%= session is req.session %>",
    "htdocs/early/later.psp": "<% session %><% req.register_cleanup(lambda n: None, 1) %>",
    "htdocs/early/early.py": EARLY,
    "htdocs/own/own.py": OWN,
    "htdocs/own/page.tmpl": "<%= a %><%= b %>",
}


@pytest.fixture
def server(httpd):
    return httpd(CONFIG, FILES)


def test_page(server):
    """A page is text/html, in UTF-8, and whole before it is sent."""
    answer = server.get("hello.psp")
    assert answer.status_code == 200
    assert answer.content == "<h1>Příliš</h1>\ntest ok".encode()
    assert answer.headers["content-type"] == "text/html"


def test_page_may_set_its_type(server):
    """What the page says of its type counts."""
    assert server.get("type.psp").headers["content-type"] == "text/plain; charset=utf-8"


def test_nothing_is_flushed(server):
    """A short page has a Content-Length; HEAD has it too, and no body."""
    assert server.get("form.psp").headers["content-length"] == "12"
    answer = server.head("form.psp")
    assert answer.status_code == 200 and not answer.content


def test_long_page(server):
    """A page longer than what is gathered is complete."""
    assert server.get("many.psp").text == "0123456789" * 20000


PIECES = """<% req.content_type = "text/plain; charset=utf-8" %>a<%= "\u65e5" %>b<%= 1.5 %>
<%
for i in range(40):
%><%= "x" * 1000 %>,<%
%>
<%= "y" * 100000 %>.
"""


@pytest.mark.parametrize("how", ["", "# flushed"])
def test_pieces(httpd, how):
    """What is written in pieces, small and large, is what joined text would be."""
    server = httpd(CONFIG + how, {"htdocs/pieces.psp": (how and "<% req.flush() %>") + PIECES})
    assert (
        server.get("pieces.psp").text
        == "a\u65e5b1.5\n" + ("x" * 1000 + ",") * 40 + "\n" + "y" * 100000 + ".\n"
    )


@pytest.mark.parametrize("where", ["from the start", "from the middle"])
def test_write_of_a_program(httpd, where):
    """A req.write() that a program has put in the place of Apache's is what pages write with."""
    code = """
        from mod_python import apache, psp

        def handler(req):
            out = []
            def capture():
                req.write = lambda data, flush=1: out.append(data)
            if req.args:
                capture()
            psp.PSP(req, string="a<%= 1 %>b<% capture() %>c<%= 2 %>d", vars={"capture": capture}).run()
            del req.write
            req.write("written: %r" % ("".join(out),))
            return apache.OK
        """
    server = httpd(CONFIG, {"htdocs/own/own.py": code})
    if where == "from the start":
        assert server.get("own/x?1").text == "written: 'a1bc2d'"
    else:
        assert server.get("own/x").text == "a1bwritten: 'c2d'"


def test_expression_that_cannot_be_sent(httpd):
    """A lone surrogate is an error of the page, which has been written up to there."""
    page = "a<%\ntry:\n%>b<%= '\\udc80' %>c<%\nexcept UnicodeEncodeError as error:\n  x = 1\n%>!<%= error %>"
    server = httpd(CONFIG, {"htdocs/lone.psp": page})
    assert server.get("lone.psp").text.startswith("ab!'utf-8' codec can't encode")


def test_expression_that_writes(httpd):
    """What an expression does comes before what is written of it."""
    page = "a<%= req.write('b', 0) or 'c' %>d<%= req.flush() or 'e' %>f"
    server = httpd(CONFIG, {"htdocs/order.psp": page})
    assert server.get("order.psp").text == "abcdef"


@pytest.mark.parametrize("path", ["missing.psp", "hello.psp/../missing.psp", "missing/x.psp"])
def test_missing_page(server, path):
    """What does not exist is 404, and no error."""
    assert server.get(path).status_code == 404


def test_page_that_misses_a_file_itself(server):
    """FileNotFoundError of the page's own code is an error like any other."""
    assert server.get("missing_file.psp").status_code == 500
    server.expect_log(r"KK0101 ?.*FileNotFoundError.*missing_file\.psp:1")


def test_changed_page(httpd):
    """A page is as its file is now."""
    site = httpd.site("SetHandler python-program\nPythonHandler mod_python.psp", {"p.psp": "one"})
    assert site.get("p.psp").text == "one"
    site.write("p.psp", "two<%= 1 %>")
    assert site.get("p.psp").text == "two1"
    (site.directory / "p.psp").unlink()
    assert site.get("p.psp").status_code == 404


# Forms and sessions


def test_form(server):
    """`form` has URL and body, blank values too, and is req.form."""
    assert server.get("form.psp?b=&a=1").text == "['a', 'b'] True 1"
    assert server.post("form.psp", data={"a": "2"}).text == "['a'] True 2"


def test_form_and_session_are_made_if_named_only(server):
    """A page that names neither reads no body and sends no cookie."""
    answer = server.post("lazy.psp", data={"a": "2"})
    assert answer.text == "[None, None]"
    assert "set-cookie" not in answer.headers


def test_form_and_session_of_an_earlier_handler(server):
    """What the request has already is used, and stays."""
    assert server.get("early/page.psp").text == "{'from': 'early'} 7 True"


def test_apply_data(server):
    """apply_data() passes the fields that a function has parameters for, and what it is given."""
    assert server.get("apply.psp?a=1&x=2").text == "1BC"


def test_session_is_saved(server):
    """What a page puts into its session is there at the next request."""
    first = server.get("count.psp")
    cookie = {"Cookie": first.headers["set-cookie"].partition(";")[0]}
    assert first.text == "1"
    assert [server.get("count.psp", headers=cookie).text for _ in range(2)] == ["2", "3"]


def test_session_of_a_page_within_a_page(server):
    """A page that another one runs shares its session."""
    assert server.get("twice.psp").text == "11 11"


@pytest.mark.only_mpm("event")
def test_session_is_unlocked(server):
    """Many requests of one session at a time lose nothing, and none waits for ever."""
    cookie = {"Cookie": server.get("count.psp").headers["set-cookie"].partition(";")[0]}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: server.get("count.psp", headers=cookie).text, range(40)))
    assert sorted(texts, key=int) == [str(n) for n in range(2, 42)]


def test_redirect_saves_the_session(server):
    """A page that redirects has its session saved: SERVER_RETURN is no error."""
    answer = server.get("login.psp")
    assert (answer.status_code, answer.headers["location"]) == (302, "/count.psp")
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert server.get("count.psp", headers=cookie).text == "41"


def test_permanent_redirect(server):
    """permanent=1 is 301."""
    answer = server.get("moved.psp")
    assert (answer.status_code, answer.headers["location"]) == (301, "/x?a=1&b=2")


# Errors


def test_status_is_no_error(server):
    """SERVER_RETURN passes the error page by."""
    answer = server.get("forbidden.psp")
    assert answer.status_code == 403 and "SERVER_RETURN" not in answer.text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("fails.psp", "begun\n\n|ZeroDivisionError: division by zero True"),
        ("sub/fails.psp", "begun |KeyError: 'k' True"),
    ],
)
def test_error_page(server, path, text):
    """An error page goes on where the page stopped, beside it or below the document root."""
    answer = server.get(path)
    assert (answer.status_code, answer.text) == (200, text)


def test_error_page_has_the_session(server):
    """It is the same session, saved with what the error page puts into it."""
    answer = server.get("sessionfails.psp")
    assert answer.text == "|no 5"
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert server.get("count.psp", headers=cookie).text == "51"


def test_error_page_that_is_missing(server):
    """It is an error that names the file, with the first one."""
    assert server.get("errorfails.psp").status_code == 500
    record = server.expect_log(r"KK0101: .*missing\.psp")
    assert "ZeroDivisionError" in record.message


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("plain.psp", r"KK0101: .*ZeroDivisionError: division by zero \(.*/plain\.psp:5\)"),
        ("plain.psp", r'File "[^"]*/plain\.psp", line 5, in <module>\\n    y = x / 0'),
        ("syntax.psp", r"KK0101: .*SyntaxError: invalid syntax \(.*/syntax\.psp:2\)"),
        ("syntax.psp", r"two <% x = = 1 %>"),
        ("latin.psp", r"SyntaxError: pages are UTF-8.*0xe9.*latin\.psp:1"),
        ("included.psp", r"NameError.*\(.*/part\.inc:3\)"),
        ("included.psp", r'included\.psp", line 2|part\.inc", line 3, in <module>\\n    <%= undefined %>'),
    ],
)
def test_error_names_the_line_of_the_page(server, path, pattern):
    """The log has the page's own file, line and text; the client has nothing of it."""
    answer = server.get(path)
    assert answer.status_code == 500
    assert "Error" not in answer.text.replace("Internal Server Error", "")
    server.expect_log(pattern)


def test_debug_shows_the_line(server):
    """PythonDebug On: so does the client."""
    answer = server.get("debug/syntax.psp", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "two &lt;% x = = 1 %&gt;" in answer.text and "syntax.psp:2" in answer.text
    server.expect_log("KK0101")


# Code


def test_display_code(server):
    """PythonDebug On and a name with "_" behind it: the page beside its code, escaped."""
    answer = server.get("debug/page.psp_")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert re.search(r"<td>2</td><td><pre>&lt;%= 1 &lt; 2 %&gt;</pre></td>", answer.text)
    assert "req.write(str(1 &lt; 2) + &#x27;\\n&#x27;, 0)" in answer.text


def test_code_is_no_secret_in_debug_only(server):
    """PythonDebug Off: there is no such page."""
    assert server.get("hello.psp_").status_code == 404


# PSP in handlers


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("relative", "13"),
        ("as_text", "before within after"),
        ("include", "12"),
        ("names", "['/own/x', 'PSPInterface', '<psp string>', []]"),
        ("parsed", "req.write(str(a), 0)\nreq.write(str(b), 0)\nreq.write('x', 0)\n"),
        ("removed", "True False"),
        ("chosen", "(1, 3, 4)"),
        ("unflushed", "x0"),
    ],
)
def test_psp_in_a_handler(server, what, text):
    """PSP runs files and strings, with variables of the constructor and of run()."""
    assert server.get(f"own/x?{what}").text == text


def test_flush(server):
    """run(flush=1) sends what was written."""
    assert int(server.get("own/x?flushed").text.removeprefix("x")) >= 1


def test_both_sources(server):
    """A filename and a string is a ValueError."""
    assert "not from both" in server.get("own/x?both").text


def test_display_code_of_a_string(server):
    """display_code() is there for strings, too."""
    assert "<pre>&lt;b&gt;</pre>" in server.get("own/x?shown").text


def test_example(httpd):
    """The notes of the examples: written, escaped, the last first, and in the session."""
    config = """
        SetHandler python-program
        PythonHandler mod_python.psp
        PythonOption mod_python.session.session_type MemorySession
        """
    site = httpd.site(config, {"notes.psp": EXAMPLE.read_text()})
    first = site.get("notes.psp")
    assert "There are none yet." in first.text and "<ul>" not in first.text
    cookie = {"Cookie": first.headers["set-cookie"].partition(";")[0]}
    for note in ("one", "<b>two</b>", ""):
        answer = site.post("notes.psp", data={"note": note}, headers=cookie)
        assert answer.status_code == 302
    text = site.get("notes.psp", headers=cookie).text
    assert "There are none yet." not in text
    assert re.findall("<li>(.*)</li>", text) == ["&lt;b&gt;two&lt;/b&gt;", "one"]
    assert text.count("<ul>") == text.count("</ul>") == 1

"""Python in server-side includes: <!--#python eval="..." --> and exec="..."."""

import re
from datetime import date
from pathlib import Path

import pytest

HTACCESS = "Options +Includes\nAddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n"
ERROR = "[an error occurred while processing this directive]"


@pytest.fixture
def ssi(httpd):
    """A server that has mod_include."""
    return httpd("# with mod_include", modules=("include",))


def page(server, text, htaccess=HTACCESS, files=None):
    """What a page comes to, and the site it is on."""
    site = server.site(htaccess, {"page.shtml": text, **(files or {})})
    answer = site.get("page.shtml")
    assert answer.status_code == 200
    return site, answer.text.rstrip("\n")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 + 1", "2"),
        ("None", ""),
        ("0", "0"),
        ("  'spam' ", "spam"),
        ("'\u00e9\u65e5'", "\u00e9\u65e5"),
        ("b'x'", "b'x'"),
        ("1 &lt; 2 and &quot;&amp;&quot;", "&"),
        ("(1 +\n 2)", "3"),
        ("[c for c in 'abc']", "['a', 'b', 'c']"),
        ("__file__.rpartition('/')[2]", "page.shtml"),
        ("filter.req.uri.rpartition('/')[2]", "page.shtml"),
        ("filter.name, filter.is_input, filter.closed", "('INCLUDES', False, False)"),
        ("filter.read()", ""),
        ("print('spam', file=filter, end='')", "spam"),
        ("filter.req.ssi_globals is globals()", "True"),
        ("len('x' * 100000)", "100000"),
    ],
)
def test_eval(ssi, code, text):
    """An expression writes its str(), and None writes nothing."""
    assert page(ssi, f'<<!--#python eval="{code}" -->>')[1] == f"<{text}>"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("filter.write('spam')", "spam"),
        ("\nfor i in range(3):\n    filter.write(str(i))\n", "012"),
        ("\r\nif 1 &lt; 2:\r\n    filter.write('&amp;')\r\n", "&"),
        ("\n\n\nfilter.write('a'); filter.write(b'b')\n\n", "ab"),
        ("1 + 1", ""),
        ("pass", ""),
        ("def f():\n  return globals()['filter']\nf().write('spam')", "spam"),
        ("import os.path\nfilter.write(os.path.basename(__file__))", "page.shtml"),
        ("filter.write('a'); filter.flush(); filter.write('b'); filter.close()", "ab"),
        ("filter.pass_on(); filter.write('a'); filter.disable()", "a"),
    ],
)
def test_exec(ssi, code, text):
    """A block begins in column one; its outer line breaks are nothing, and entities are decoded."""
    assert page(ssi, f'<<!--#python exec="{code}" -->>'.encode())[1] == f"<{text}>"


def test_what_blocks_write_stays_in_its_place(ssi):
    """Little, much, and much in several pieces, between text and other directives."""
    parts = [
        "a<!--#python exec=\"filter.write('b' * 10)\" -->c",
        '<!--#set var="d" value="D" --><!--#echo var="d" -->',
        "<!--#python exec=\"filter.write('e' * 9000)\" -->f",
        "<!--#python exec=\"[filter.write('g' * 3000) for i in range(30)]\" -->h",
        "<!--#python eval=\"'i' * 2000000\" -->j<!--#python eval=\"'k'\" -->",
    ]
    _, text = page(ssi, "".join(parts))
    runs = [(match[1], len(match[0])) for match in re.finditer(r"(.)\1*", text)]
    expected = {"b": 10, "e": 9000, "g": 90000, "i": 2000000}
    assert runs == [(letter, expected.get(letter, 1)) for letter in "abcDefghijk"]


@pytest.mark.parametrize("by_handler", [False, True])
def test_what_blocks_write_to_the_request(httpd, by_handler):
    """It stands where the block does, flushed or not, also in a page that a handler writes."""
    server = httpd("# with both", modules=("include", "filter"))
    text = """a<!--#python exec="filter.write('b'); filter.req.write('c'); filter.write('d')" -->e
<!--#python exec="
req = filter.req
for i in range(3):
    filter.write('%d' % i)
    req.write('<%d>' % i, 0)
req.write('f' * 100000, 0)
filter.write('g' * 100000)
req.sendfile(req.document_root() + '/ssi.txt')
filter.write('i')
" -->j"""
    (server.htdocs / "ssi.txt").write_text("h" * 10)
    code = f"""
        from mod_python import apache
        def handler(req):
            req.content_type = "text/html"
            text = {text!r}
            req.write(text[:20], 0)
            req.write(text[20:])
            req.write("k", 0)
            return apache.OK
        """
    htaccess = "Options +Includes\nSetHandler mod_python\nPythonHandler pages\nSetOutputFilter INCLUDES\n"
    if by_handler:
        site = server.site(htaccess, {"pages.py": code})
    else:
        site = server.site(HTACCESS, {"page.shtml": (text + "k").encode()})
    expected = "abcde\n0<0>1<1>2<2>" + "f" * 100000 + "g" * 100000 + "h" * 10 + "ijk"
    answer = site.get("page.shtml").text
    assert answer == expected, (len(answer), answer[:200], answer[-200:])


def test_redirect_in_a_block(ssi):
    """An internal redirect amid a page ends it: what followed would be taken for the next response."""
    site = ssi.site(HTACCESS, {"other.html": "other"})
    code = f"filter.write('x'); filter.req.internal_redirect('{site.prefix}other.html'); filter.write('y')"
    site.write("page.shtml", f'aaaa<!--#python exec="{code}" -->bbbb<!--#python eval="1" -->')
    with site.connect() as connection:
        request = f"GET {site.prefix}page.shtml HTTP/1.1\r\nHost: x\r\n\r\n"
        last = f"GET {site.prefix}other.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.send((request + last).encode())
        data = connection.read_all()
    assert b"bbbb" not in data and b"y" not in data.rpartition(b"\r\n\r\n")[2]
    first, _, second = data.rpartition(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith((b"other", b"0\r\n\r\n")) and second.endswith(b"other")


def test_filter_that_a_block_adds(ssi):
    """It sees the rest of the page, and its end."""
    code = """
        from mod_python import apache
        def upper(filter):
            filter.kept = getattr(filter, "kept", b"")
            while data := filter.read():
                filter.kept += data
            if data is None:
                filter.write(filter.kept.upper())
                filter.close()
        """
    add = "r = filter.req; r.register_output_filter('UP', 'up::upper', '%s'); r.add_output_filter('UP')"
    site = ssi.site(HTACCESS, {"up.py": code})
    site.write("page.shtml", f'a<!--#python exec="{add % site.directory}" -->b<!--#python eval="\'c\'" -->d')
    assert site.get("page.shtml").text.lower() == "abcd"
    assert site.get("page.shtml").text.endswith("BCD")


def test_block_in_what_a_wsgi_application_sends(ssi):
    """The length that it has announced is for what it writes itself."""
    code = """
        def application(environ, start_response):
            body = b"<<!--#python exec='filter.req.write(\\"z\\" * 100)' -->>"
            start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
            return [body[:20], body[20:]]
        """
    htaccess = (
        "Options +Includes\nSetHandler mod_python\nPythonHandler mod_python.wsgi\n"
        "PythonOption mod_python.wsgi.application app\nSetOutputFilter INCLUDES\n"
    )
    site = ssi.site(htaccess, {"app.py": code})
    assert site.get("x").text == "<" + "z" * 100 + ">"


def test_blocks_share_their_globals(ssi):
    """Those of one request; the next begins anew."""
    text = """<!--#python exec="x = globals().get('x', 0) + 1" --><!--#python exec="
def twice(n):
    return n * 2
x += 1" --><!--#python eval="twice(x)" -->"""
    site, answer = page(ssi, text)
    assert answer == "4" == site.get("page.shtml").text.rstrip("\n")


def test_ssi_globals_of_an_earlier_handler(ssi):
    """The dict is the one that a handler has set."""
    code = """
        from mod_python import apache
        def fixuphandler(req):
            req.ssi_globals = {"name": "Ada", "log": []}
            req.register_cleanup(lambda g: req.log_error("blocks: %r" % (g["log"],)), req.ssi_globals)
            return apache.OK
        """
    site, text = page(
        ssi,
        '<!--#python eval="name" --><!--#python exec="log.append(name)" -->',
        HTACCESS + "PythonFixupHandler fix\n",
        {"fix.py": code},
    )
    assert text == "Ada"
    site.expect_log(r"blocks: \['Ada'\]")


def test_output_of_a_handler(ssi):
    """What a Python handler writes may have blocks, which share what it has set."""
    code = """
        from mod_python import apache
        def handler(req):
            req.content_type = "text/html"
            req.add_output_filter("INCLUDES")
            req.ssi_globals = {"spam": "eggs"}
            req.write("<<!--#python ev")
            req.flush()
            req.write("al='spam' -->>")
            return apache.OK
        """
    site = ssi.site("Options +Includes\nSetHandler mod_python\nPythonHandler pages\n", {"pages.py": code})
    assert site.get("x").text == "<eggs>"


DECLARED = "FilterDeclare PAGES CONTENT_SET\nFilterProvider PAGES INCLUDES true\nFilterChain PAGES"


@pytest.mark.parametrize(
    "how", ["SetOutputFilter INCLUDES", "AddOutputFilterByType INCLUDES text/html", DECLARED]
)
def test_output_of_a_handler_by_configuration(httpd, how):
    """The same with the filter configured, also through mod_filter."""
    server = httpd("# with both", modules=("include", "filter"))
    code = """
        from mod_python import apache
        def handler(req):
            req.content_type = "text/html"
            req.ssi_globals = {"spam": "eggs"}
            req.write("<<!--#python eval='spam' -->>")
            return apache.OK
        """
    site = server.site(
        f"Options +Includes\nSetHandler mod_python\nPythonHandler pages\n{how}\n", {"pages.py": code}
    )
    assert site.get("x").text == "<eggs>"


def test_included_pages(ssi):
    """A page that is included is a request of its own, with globals of its own."""
    part = "<!--#python eval=\"globals().get('x', 'none')\" -->,<!--#python exec=\"x = 'part'\" -->"
    text = '<!--#python exec="x = \'page\'" --><!--#include virtual="part.shtml" --><!--#python eval="x" -->'
    assert page(ssi, text, files={"part.shtml": part})[1].replace("\n", "") == "none,page"


@pytest.mark.parametrize("condition", ['<!--#if expr="false" -->', '<!--#if expr="true" --><!--#else -->'])
def test_what_is_left_out_is_not_run(ssi, condition):
    """In a branch that is not taken, nor is a mistake there reported."""
    text = f'a{condition}<!--#python exec="1/0" --><!--#python spam="" --><!--#endif -->b'
    assert page(ssi, text)[1] == "ab"


@pytest.mark.parametrize(
    "directive",
    [
        "<!--#python -->",
        '<!--#python eval="" -->',
        "<!--#python exec='' -->",
        '<!--#python spam="1" -->',
        '<!--#python eval="1" exec="2" -->',
        '<!--#python eval="1" eval="2" -->',
        "<!--#python eval -->",
    ],
)
def test_directives_that_are_none(ssi, directive):
    """Missing, empty, unknown and several attributes: the page goes on with the error's text."""
    site, text = page(ssi, f"a{directive}b")
    assert text == f"a{ERROR}b"
    site.expect_log(r"KK0114: #python .* in /.*/page\.shtml: write eval=")


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ('eval="1/0"', r"ZeroDivisionError: division by zero \(/.*page\.shtml:2\)"),
        ('eval="1 &lt; x"', r"NameError: name 'x' is not defined \(/.*page\.shtml:2\)"),
        ('exec="\na = 1\n\nraise ValueError(a)\n"', r"ValueError: 1 \(/.*page\.shtml:5\)"),
        ('eval="1 +"', r"SyntaxError: invalid syntax \(/.*page\.shtml:2\)"),
        ('exec="\nif 1:\nx = 2"', r"IndentationError: .* \(/.*page\.shtml:4\)"),
        ('exec="  x = 1"', "IndentationError: unexpected indent"),
        ('eval="x = 1"', "SyntaxError: invalid syntax"),
        ('eval="exit(3)"', "SystemExit: 3"),
        ('eval="filter.write(None)"', "TypeError"),
        ('exec="from mod_python import apache; raise apache.SERVER_RETURN(403)"', "SERVER_RETURN: 403"),
        ("exec=\"filter.close(); filter.write('x')\"", "ValueError: I/O operation on a closed filter"),
    ],
)
def test_exceptions(ssi, directive, message):
    """Logged, with the line of the page; the page has the error's text, and goes on."""
    site, text = page(ssi, f"a\n<!--#python {directive} -->b<!--#python eval=\"'c'\" -->")
    assert text == f"a\n{ERROR}bc"
    site.expect_log(f"KK0112: filter INCLUDES: #python e(val|xec): .*{message}")


def test_errmsg_of_the_page(ssi):
    """<!--#config errmsg --> is what the page shows; what was written before stays."""
    text = '<!--#config errmsg="Oops" --><!--#python exec="filter.write(\'half\'); 1/0" -->!'
    site, answer = page(ssi, text, HTACCESS + "PythonDebug On\n")
    assert answer == "halfOops!"
    site.expect_log("ZeroDivisionError")


def test_traceback_shows_the_page(ssi):
    """Each frame with its line of the page, and the column below the code."""
    text = 'a\n<p>\u00e9<!--#python exec="def f():\n  return 1/0" -->\n<!--#python eval="f()" -->'
    site, _ = page(ssi, text)
    trace = site.expect_log("ZeroDivisionError").message
    assert re.search(r'page\.shtml", line 4, in <module>\\n    <!--#python eval="f\(\)" -->', trace), trace
    assert re.search(r'page\.shtml", line 3, in f\\n', trace), trace


def test_two_of_the_same_blocks(ssi):
    """Which of them it is, is not known: no line is better than a wrong one."""
    site, text = page(ssi, '<!--#python eval="x" --><!--#python eval="x" -->')
    assert text == ERROR * 2
    site.expect_log(r"NameError: .* \(<#python eval in /.*/page\.shtml>:1\)", times=2)


def test_a_page_that_changes(ssi):
    """A block is found again where it has moved to."""
    site, _ = page(ssi, 'a\n<!--#python eval="x" -->')
    site.expect_log(r"page\.shtml:2\)")
    site.write("page.shtml", 'a\n\n\n<!--#python eval="x" -->\n')
    assert ERROR in site.get("page.shtml").text
    site.expect_log(r"page\.shtml:4\)")


def test_includesnoexec(ssi):
    """Not run, and said so."""
    htaccess = HTACCESS.replace("+Includes", "-Includes +IncludesNOEXEC")
    site, text = page(ssi, 'a<!--#python eval="1" -->b<!--#echo var="DOCUMENT_NAME" -->', htaccess)
    assert text == f"a{ERROR}bpage.shtml"
    site.expect_log(r"KK0115: #python used but not allowed in /.*/page\.shtml")


def test_globals_that_are_no_dict(ssi):
    """What an earlier handler has set wrongly is said."""
    code = """
        from mod_python import apache
        def fixuphandler(req):
            req.ssi_globals = ["spam"]
            return apache.OK
        """
    site, text = page(
        ssi, '<!--#python eval="1" -->', HTACCESS + "PythonFixupHandler fix\n", {"fix.py": code}
    )
    assert text == ERROR
    site.expect_log("TypeError: req.ssi_globals is to be a dict, not list")


def test_import_module(ssi):
    """Finds what lies beside the page, and notices that it has changed."""
    text = """<!--#python exec="
from mod_python import apache
filter.write(apache.import_module('./helper.py').NAME)
filter.write(apache.import_module('~/helper.py').NAME)
" -->"""
    site, answer = page(ssi, text, files={"helper.py": "NAME = 'spam'\n"})
    assert answer == "spamspam"
    site.write("helper.py", "NAME = 'changed'\n")
    assert site.get("page.shtml").text.strip() == "changedchanged"


def test_pythonpath(httpd):
    """Import statements find what is on PythonPath."""
    server = httpd(
        "PythonPath \"sys.path + ['${root}/lib']\"", {"lib/spam_ssi.py": "X = 'eggs'"}, modules=("include",)
    )
    assert page(server, "<!--#python eval=\"__import__('spam_ssi').X\" -->")[1] == "eggs"


def test_interpreter_of_the_page(ssi):
    """As a handler's there: PythonInterpreter says which."""
    text = "<!--#python eval=\"__import__('mod_python.apache').apache.interpreter\" -->"
    assert page(ssi, text)[1] == "www.example.com"
    assert page(ssi, text, HTACCESS + "PythonInterpreter spam\n")[1] == "spam"
    assert page(ssi, text, HTACCESS + "PythonInterpPerDirective On\n")[1] == "www.example.com"
    site, answer = page(ssi, text, HTACCESS + "PythonInterpPerDirectory On\n")
    assert answer == f"{site.directory}/"


def test_timeout(httpd):
    """A block over PythonRequestTimeout is ended; the page goes on."""
    server = httpd("PythonRequestTimeout 1", modules=("include",))
    site, text = page(server, 'a<!--#python exec="while True: pass" -->b')
    assert text == f"a{ERROR}b"
    site.expect_log("KK0190: filter INCLUDES: #python exec: .*RequestTimeout")


@pytest.mark.parametrize("writer", ["filter", "filter.req"])
def test_client_that_leaves(ssi, writer):
    """A block that writes to nobody is told so; that is no error."""
    text = f"<!--#python exec=\"while True: {writer}.write(b'x' * 100000)\" -->"
    site = ssi.site(HTACCESS, {"page.shtml": text})
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}page.shtml HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.read_until(b"xxx")
        connection.reset()
    site.write("other.shtml", '<!--#python eval="1" -->')
    assert site.get("other.shtml").text == "1"


def test_what_outlives_the_page(ssi):
    """The filter cannot be used behind its block, nor the request behind its end."""
    text = """<!--#python exec="
import sys
before = getattr(sys, '_kept', None)
try:
    before and before.write('x')
except BaseException as error:
    filter.write(type(error).__name__)
sys._kept = filter" -->"""
    site, answer = page(ssi, text)
    assert answer == ""
    assert site.get("page.shtml").text.strip() == "ReferenceError"
    assert ssi.run("import sys; kept = sys._kept; del sys._kept; return kept.closed") is True


def test_without_mod_include(httpd):
    """The module loads; there is no directive to be had."""
    assert httpd("# without mod_include").run("return 1") == 1


def test_sample(ssi):
    """The page of docs/ssi.md."""
    sample = (Path(__file__).parents[2] / "docs" / "samples" / "stock.shtml").read_text()
    _, text = page(ssi, sample)
    assert f"<h1>Stock of {date.today().year}</h1>\n<ul>\n" in text
    assert text.endswith("<li>eggs: sold out</li><li>spam: 3</li>\n</ul>")

"""PSP pages: what they come to, and where their errors are (LATER, section 9)."""

import traceback

import pytest


class Request:
    """Keeps what is written to it."""

    def __init__(self):
        self.written = []

    def write(self, data, flush=1):
        assert flush == 0
        self.written.append(data)


@pytest.fixture
def code(own):
    return own("_psp_code")


@pytest.fixture
def psp(code, own):
    return own("_psp")


@pytest.fixture
def run(code):
    """What a page writes, given as text; keywords are its global variables."""

    def run(text, directory=None, **variables):
        return written(code, code.from_string(text, directory), **variables)

    return run


def written(code, compiled, **variables):
    """What a compiled page writes."""
    request = Request()
    code.execute(compiled, {"req": request, **variables})
    return "".join(request.written)


SYNTAX = {
    "nothing": ("", ""),
    "text": ("Hello, world\n", "Hello, world\n"),
    "quotes": ("'\"'''\"\"\"`", "'\"'''\"\"\"`"),
    "backslashes": ("\\ \\n \\\\ \\", "\\ \\n \\\\ \\"),
    "braces and percents": ("{x} %s %% {{", "{x} %s %% {{"),
    "a loose end": ("a %> b < % c", "a %> b < % c"),
    "CRLF": ("one\r\ntwo\r\n", "one\ntwo\n"),
    "CR": ("one\rtwo", "one\rtwo"),
    "blanks and tabs": ("  \t a\n\n\n  b\t\n", "  \t a\n\n\n  b\t\n"),
    "not ASCII": ("Příliš žluťoučký 🐎\u2028x", "Příliš žluťoučký 🐎\u2028x"),
    "NUL in text": ("a\0b", "a\0b"),
    "an expression": ("1 + 1 = <%= 1 + 1 %>.", "1 + 1 = 2."),
    "expressions without blanks": ("<%=1%><%=2%>", "12"),
    "an expression unescaped": ("<%= '<b>&' %>", "<b>&"),
    "an expression that is None": ("<%= None %>", "None"),
    "an expression that is a tuple": ("<%= 1, 2 %>", "(1, 2)"),
    "an expression that compares": ("<%= 1 == 1 %>", "True"),
    "an expression that is a comprehension": ("<%= [x for x in 'ab'] %>", "['a', 'b']"),
    "a generator with a colon": ("<%= (lambda: 'x')() %>", "x"),
    "a starred expression": ("<%= *'ab', %>", "('a', 'b')"),
    "an expression with a comment": ("<%= 5 # five %>.", "5."),
    "an expression on several lines": ("<%= max(\n1,\n2) # most\n%>.", "2."),
    "an expression on several lines of Windows": ("<%= max(\r\n1,\r\n2)\r\n%>.", "2."),
    "text behind expressions": (
        "<%= 1 %>a\n<%= 2 # two\n%>b\nc\n<%= 3 %>\n\n<%= (4,\n5) %>.\n",
        "1a\n2b\nc\n3\n\n(4, 5).\n",
    ),
    "an expression, then nothing, then text": ("<%= 1 %><%-- --%>a<%= 2 %><% %>b", "1a2b"),
    "another str": ("<% str = repr %>'a'<%= 'b' %>.", "'a''b'."),
    "another str in a function": ("<%\ndef f(str):\n%>'a'<%= 'b' %>.<%\n\n%><% f(repr) %>", "'a''b'."),
    "another str by globals()": ("<% globals()['str'] = repr %>'a'<%= 'b' %>.", "'a''b'."),
    "an expression that writes": ("<%= req.write('b', 0) or 'c' %>d", "bcd"),
    "code": ("<% x = 3 %><%= x %>", "3"),
    "text that is no Latin": ("\u65e5<%= '\u672c' %>\u8a9e<%= '\xe9' %>", "\u65e5\u672c\u8a9e\xe9"),
    "nothing in expressions": ("<%= '' %><%= '' %>.", "."),
    "empty code": ("a<% %>b<%%>c", "abc"),
    "code that writes": ("a<% req.write('b', 0) %>c", "abc"),
    "code with a comment": ("<% x = 3 # three %><%= x %>", "3"),
    "several statements": ("<% x = 1; y = 2 %><%= x + y %>", "3"),
    "a comment": ("a<%-- b --%>c", "ac"),
    "a comment with code": ("a<%-- <% raise %> <%= x %> --%>c", "ac"),
    "a comment with line breaks": ("a<%--\n\nx = \n--%>c", "ac"),
    "a comment with dashes": ("a<%------%>c", "ac"),
    "code that begins with a minus": ("<%-1 %>a", "a"),
    "code of Windows": ("<%\r\nif 1:\r\n    x = 1\r\n    y = 2\r\n%><%= x + y %>", "3"),
    "code of old Macs": ("<%\rif 1:\r    x = 1\r    y = 2\r%><%= x + y %>", "3"),
    "a string over lines": ("<% x = '''a\n  b  \nc''' %><%= x %>", "a\n  b  \nc"),
    "a function": ("<%\ndef double(x):\n    return 2 * x\n\n%><%= double(4) %>", "8"),
    "another req": (
        "a<%\nclass Kept:\n  def write(self, text, flush): old.write(text.upper(), 0)\n"
        "old, req = req, Kept()\n%>b<%= 'c' %>d<%\nreq = old\n%>e",
        "aBCDe",
    ),
    "another req in a function": (
        "<%\nclass Kept:\n  def write(self, text, flush): out.append(text)\nout = []\ndef f(req):\n%>a<%= 1 %>"
        "<%\n\n%>b<%\nf(Kept())\n%><%= out %>",
        "b['a', '1']",
    ),
    "another req by globals()": (
        "<%\nclass Kept:\n  def write(self, text, flush): out.append(text)\nout, old = [], req\n"
        "globals()['req'] = Kept()\n%>a<%\nglobals()['req'] = old\n%><%= out %>",
        "['a']",
    ),
    "text in a function": ("<%\ndef item(x):\n%><li><%= x %><%\n%><% item(1); item(2) %>", "<li>1<li>2"),
}

INDENTATION = {
    "the example": ('<%\nif 1:\n    req.write("t", 0)\n%>est<%=" "+"ok"%>', "test ok"),
    "a block on one line": ("<% for x in 'abc': %>[<%= x %>]", "[a][b][c]"),
    "it stays": ("<% for x in 'ab': %><% y = x %><%= y %>.<% z = 1 %>;", "a.;b.;"),
    "blocks within blocks": ("<% for x in 'ab': %><% for y in '12': %><%= x + y %> ", "a1 a2 b1 b2 "),
    "all blocks are closed": ("<% for x in 'ab': %><% for y in '12': %>.<%\n%>end", "....end"),
    "closed with blanks behind": ("<% for x in 'ab': %>.<%  \n%>end", "..end"),
    "blanks alone close nothing": ("<% for x in 'ab': %>.<%  %>,", ".,.,"),
    "else": ("<%\nif 0:\n%>yes<%\nelse:\n%>no<%\n%>.", "no."),
    "else on one line": ("<%\nif 0:\n%>yes<%\nelse: %>no<%\n%>.", "no."),
    "try": ("<%\ntry:\n%>a<% 1/0 %>b<%\nexcept ZeroDivisionError:\n%>c<%\nfinally:\n%>d<%\n%>e", "acde"),
    "it is the last line's": ("<%\nfor x in 'ab':\n    y = x\n%><%= y %>.", "a.b."),
    "and not the colon's": ("<%\nfor x in 'ab':\n    y = x\nz = 1\n%><%= y %>.", "b."),
    "a comment counts": ("<%\nfor x in 'ab':\n    y = x\n# end\n%><%= y %>.", "b."),
    "an indented comment counts": ("<%\nfor x in 'ab':\n    # persists\n%><%= x %>.", "a.b."),
    "a comment that closes": ("<%\nfor x in 'ab':\n    y = x\n%>.<%\n# end %>end", "..end"),
    "an empty line is zero": ("<%\nfor x in 'ab':\n    y = x\n\n%><%= y %>.", "b."),
    "blanks are a line": (
        "<%\nfor x in 'ab':\n    for y in '12':\n        z = y\n    %><%= x + z %>.",
        "a2.b2.",
    ),
    "blanks of another number": ("<%\nfor x in 'ab':\n  y = x\n  %><%= y %>.", "a.b."),
    "the first column is no line": ("<%\nfor x in 'ab':\n    y = x\n%><%= y %>.", "a.b."),
    "the first line is at the current": ("<% for x in 'ab': %><% y = x\n%><%= y %>.", "a.b."),
    "the rest is absolute": ("<% for x in 'ab': %><% if x == 'a':\n        y = 1\n    %>.", ".."),
    "one level deeper": ("<%\nfor x in 'ab':\n    for y in '12':\n%><%= x + y %>.", "a1.a2.b1.b2."),
    "a colon and a comment": ("<% for x in 'ab': # each %><%= x %>", "ab"),
    "a colon in a comment": ("<% x = 1 # see: %><%= x %>", "1"),
    "a colon in a string": ("<% x = ':' %><%= x %>", ":"),
    "a hash in a string": ("<% if '#' != \"'#\": %>a", "a"),
    "blanks behind a colon": ("<% if 1:   %>a", "a"),
    "a colon, and blanks alone": ("<%\nif 1:\n    %>a<%\n    x = 1\n%>b", "ab"),
    "a colon, and blanks too few": ("<%\nif 1:\n    if 2:\n  %>a", "a"),
    "a colon, and an empty line": ("<%\nfor x in 'ab':\n\n%><%= x %>", "ab"),
    "tabs": ("<%\nfor x in 'ab':\n%>.<%\n\ty = x\n\tif y:\n%><%= y %>", ".a.b"),
    "two blanks": ("<%\nfor x in 'ab':\n  y = x\n%><%= y %><%\n  for z in '12':\n%>.<%\n    z\n%>", "a..b.."),
    "a colon on the last of some lines": ("<% x = 1\nif x: %>a<%\n%>b", "ab"),
}


@pytest.mark.parametrize(("page", "result"), SYNTAX.values(), ids=SYNTAX)
def test_syntax(run, page, result):
    """Each kind of piece writes what it stands for."""
    assert run(page) == result


@pytest.mark.parametrize(("page", "result"), INDENTATION.values(), ids=INDENTATION)
def test_indentation(run, page, result):
    """What follows code is within the blocks that the rules say."""
    assert run(page) == result


MISTAKES = {
    "code without end": ("a\nb <% x = 1", 2, "never closed"),
    "expression without end": ("<%= x", 1, "never closed"),
    "comment without end": ("\n\n<%-- x %>", 3, "never closed"),
    "no expression": ("\n<%= %>", 2, "without an expression"),
    "an unknown directive": ("\n<%@ page language='java' %>", 2, "include file="),
    "an include of nothing": ('<%@ include file="" %>', 1, "include file="),
    "no Python": ("one\ntwo\n<% x = = 1 %>", 3, "invalid syntax"),
    "no expression of Python": ("one\ntwo <%= 1 + %>", 2, "invalid syntax"),
    "a return": ("text\n\n<% return %>", 3, "'return' outside function"),
    "no body": ("<%\n# first\nif 1:\n\n%>\n<%\nx = 1\n    y = 2\n%>", 8, "unexpected indent"),
    "an unclosed block": ("<%\n\nif 1:\n# end\nx = 1\n%>", 5, "after 'if' statement on line 3"),
    "NUL in code": ("<% x = '\0' %>", 1, "null byte"),
}


@pytest.mark.parametrize(("page", "line", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_have_their_line(run, page, line, message):
    """A page that is none is a SyntaxError with the page's line and that line's text."""
    with pytest.raises(SyntaxError, match=message) as caught:
        run(page)
    assert caught.value.filename == "<psp string>"
    assert caught.value.lineno == line
    if caught.value.text:
        assert caught.value.text.rstrip("\n") == page.split("\n")[line - 1]


def test_mistakes_have_their_column(run):
    """The mark stands below the mistake, as the page has it."""
    page = "é <%= 1 %> é <%= é $ 1 %>"
    with pytest.raises(SyntaxError) as caught:
        run(page)
    assert page[caught.value.offset - 1] == "$"


FAULTS = {
    "expression": ("a\nb\n<%= 1/0 %>", [3]),
    "code": ("<% x = 1 %>\n\n<% 1/0 %>", [3]),
    "code on lines": ("a\n<%\n\n\n1/0\n%>", [5]),
    "code behind an expression on lines": ("<%= (1,\n2,\n3) %>\n<% 1/0 %>", [4]),
    "a line of an expression": ("<%= (1,\n2,\n1/0) %>", [3]),
    "Windows": ("a\r\n<%\r\nx = 1\r\n1/0\r\n%>", [4]),
    "old Macs": ("a\r<%\rx = 1\r1/0\r%>", [4]),
    "a function": ("<%\ndef f():\n    return 1/0\n%>\n\n\n<%\n%><% f() %>", [8, 3]),
    "behind a comment": ("<%--\n\n--%><% 1/0 %>", [3]),
    "behind text of many lines": ("a\n" * 50 + "<%= 1/0 %>", [51]),
    "in a block": ("<% for x in 'ab': %>\n<p>\n<%= 1/0 %>\n</p>", [3]),
}


def lines_of(error, file):
    """The lines of a file in a traceback."""
    return [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == file]


@pytest.mark.parametrize(("page", "lines"), FAULTS.values(), ids=FAULTS)
def test_tracebacks_have_lines_of_the_page(run, page, lines):
    """Where an exception comes from is a line of the page."""
    with pytest.raises(ZeroDivisionError) as caught:
        run(page)
    assert lines_of(caught.value, "<psp string>") == lines


def test_traceback_shows_the_line_and_marks_the_place(code, tmp_path):
    """A page in a file is shown in the traceback, the mark at the column of the page."""
    (tmp_path / "page.psp").write_text("<p>\n<b>é</b> <%= 1/0 %> and <%= 2 %>\n")
    compiled = code.from_file(str(tmp_path / "page.psp"))
    with pytest.raises(ZeroDivisionError) as caught:
        written(code, compiled)
    _, shown, marks = traceback.format_exception(caught.value)[-2].splitlines()
    assert shown.strip() == "<b>é</b> <%= 1/0 %> and <%= 2 %>"
    assert marks.index("~") - (len(shown) - len(shown.lstrip())) == shown.strip().index("1/0")


def test_parse_answers_python(psp, tmp_path):
    """parsestring() and parse() return source that compiles and does the same."""
    assert psp.parsestring("a\n<% if x: %><%= x %>") == (
        "req.write('a\\n', 0)\nif x:\n    req.write(str(x), 0)\n"
    )
    (tmp_path / "p.psp").write_text("<%= 1 %>")
    assert psp.parse("p.psp", str(tmp_path)) == psp.parse(str(tmp_path / "p.psp")) == "req.write(str(1), 0)\n"


def test_include(code, psp, tmp_path):
    """An included file is PSP source in place: it sees variables, and may open a block."""
    (tmp_path / "page.psp").write_text('a<% x = 1 %><%@ include file="top.inc"%><%= y %>.<%\n%>z')
    (tmp_path / "top.inc").write_text("<%\nfor y in 'ab':\n%>[<%= x %>]")
    assert written(code, code.from_file(str(tmp_path / "page.psp"))) == "a[1]a.[1]b.z"
    assert "for y" in psp.parse("page.psp", str(tmp_path))


def test_include_within_include(code, tmp_path):
    """A name begins beside the file that includes, or else beside the page."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "page.psp").write_text("<%@ include file='sub/one.inc' %>")
    (tmp_path / "sub/one.inc").write_text('<%@include file = "two.inc"%><%@ include file="three.inc"%>')
    (tmp_path / "sub/two.inc").write_text("two")
    (tmp_path / "three.inc").write_text(" three")
    assert written(code, code.from_file(str(tmp_path / "page.psp"))) == "two three"


def test_include_of_itself(code, tmp_path):
    """Recursion is an error, said of the line that closes the circle."""
    (tmp_path / "page.psp").write_text('<%@ include file="one.inc"%>')
    (tmp_path / "one.inc").write_text('\n<%@ include file="page.psp"%>')
    with pytest.raises(SyntaxError, match="includes itself") as caught:
        code.from_file(str(tmp_path / "page.psp"))
    assert (caught.value.filename, caught.value.lineno) == (str(tmp_path / "one.inc"), 2)


def test_include_twice(code, tmp_path):
    """One file may be included twice."""
    (tmp_path / "page.psp").write_text('<%@ include file="x"%><%@ include file="x"%>')
    (tmp_path / "x").write_text("x")
    assert written(code, code.from_file(str(tmp_path / "page.psp"))) == "xx"


def test_include_that_is_missing(code, tmp_path):
    """A missing include is an error of the page's line."""
    (tmp_path / "page.psp").write_text('\n<%@ include file="x"%>')
    with pytest.raises(SyntaxError, match="'x': No such file") as caught:
        code.from_file(str(tmp_path / "page.psp"))
    assert caught.value.lineno == 2


def test_include_of_a_string_needs_a_directory(psp):
    """A page without a place has no relative names."""
    with pytest.raises(SyntaxError, match="needs a directory"):
        psp.parsestring('<%@ include file="x"%>')


def test_errors_in_an_include(code, tmp_path):
    """Mistakes and exceptions within an include have its name and line; the page's stay."""
    page, part = tmp_path / "page.psp", tmp_path / "part.inc"
    page.write_text('a\n<%@ include file="part.inc"%>\n\n<% f() %>')
    part.write_text("one\ntwo <%= = %>")
    with pytest.raises(SyntaxError) as caught:
        code.from_file(str(page))
    assert (caught.value.filename, caught.value.lineno) == (str(part), 2)
    assert caught.value.text == "two <%= = %>"
    part.write_text("<%\n\ndef f():\n    1/0\n\n%>")
    compiled = code.from_file(str(page))
    with pytest.raises(ZeroDivisionError) as failed:
        written(code, compiled)
    code.relocate(failed.value, compiled)
    assert lines_of(failed.value, str(page)) == [4]
    assert lines_of(failed.value, str(part)) == [4]
    assert "1/0" in "".join(traceback.format_exception(failed.value))


def test_what_is_no_utf8(code, tmp_path):
    """A page in another encoding is an error that says which byte of which line."""
    (tmp_path / "page.psp").write_bytes(b"one\ntwo caf\xe9\n")
    with pytest.raises(SyntaxError, match="0xe9") as caught:
        code.from_file(str(tmp_path / "page.psp"))
    assert caught.value.lineno == 2


def test_byte_order_mark(code, tmp_path):
    """Windows' mark of UTF-8 is no text."""
    (tmp_path / "page.psp").write_bytes(b"\xef\xbb\xbfone")
    assert written(code, code.from_file(str(tmp_path / "page.psp"))) == "one"


def test_code_is_kept_until_a_file_changes(code, tmp_path):
    """A page is compiled once, and anew when it or what it includes has changed."""
    (tmp_path / "page.psp").write_text('1<%@ include file="part"%>')
    (tmp_path / "part").write_text("2")
    path = str(tmp_path / "page.psp")
    first = code.from_file(path)
    assert code.from_file(path) is first
    (tmp_path / "part").write_text("two")
    assert written(code, code.from_file(path)) == "1two"
    (tmp_path / "page.psp").write_text("alone")
    assert written(code, code.from_file(path)) == "alone"
    assert code.from_string("<%= 1 %>", None) is code.from_string("<%= 1 %>", "/elsewhere")


def test_a_page_that_has_gone(code, tmp_path):
    """What is kept of a file that has gone does not run."""
    (tmp_path / "page.psp").write_text("x")
    code.from_file(str(tmp_path / "page.psp"))
    (tmp_path / "page.psp").unlink()
    with pytest.raises(FileNotFoundError):
        code.from_file(str(tmp_path / "page.psp"))


def test_least_used_entry_is_dropped(code):
    """A full cache drops what was asked for least."""
    assert code.HitsCache().size == code.FileCache().size == 512
    cache = code.HitsCache(3)
    for name in "abc":
        cache[name] = name.upper()
    assert [cache[name] for name in "aacc"] == list("AACC")
    cache["d"] = "D"
    assert "b" not in cache and len(cache) == 3
    assert cache.get("b") is None and cache.get("b", 1) == 1
    with pytest.raises(KeyError):
        cache["b"]
    cache["a"] = "again"
    assert cache["a"] == "again" and len(cache) == 3


def test_file_cache_forgets_what_has_changed(code, tmp_path):
    """An entry is there as long as its file is unchanged."""
    path = tmp_path / "file"
    path.write_text("1")
    cache = code.FileCache(2)
    cache[str(path)] = "one"
    assert cache[str(path)] == "one"
    path.write_text("22")
    with pytest.raises(KeyError):
        cache[str(path)]


def test_display(own, psp):
    """The table has each line of the page, escaped, beside its code."""
    shown = own("_psp_display").render(psp.parse_text("<p>\n<%= x & y %>\n"))
    assert "<td>2</td><td><pre>&lt;%= x &amp; y %&gt;</pre></td>" in shown
    assert "<pre>req.write(str(x &amp; y) + &#x27;\\n&#x27;, 0)" in shown

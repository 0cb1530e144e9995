"""Manual 5.2, PythonInputFilter and PythonOutputFilter, and their connection-level
companions: where they may stand, what they name, how they are activated."""

import pytest

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

# A filter per name that puts its mark before and behind what it reads.
MARKS = """
    def marking(mark):
        def filter_with_mark(filter):
            if not hasattr(filter, "begun"):
                filter.begun = True
                filter.write(mark + "(")
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.write(")")
                filter.close()
        return filter_with_mark

    outputfilter = marking("out")
    inputfilter = marking("in")
    a, b, c = marking("a"), marking("b"), marking("c")
    """

ECHO = "def handler(req):\n    req.write(req.read())\n    return 0\n"
PYTHON = "SetHandler python-program\nPythonHandler echo\n"


def serve(httpd, directives, **options):
    """A server with these directives whose lib/marks.py are the filters above."""
    return httpd(LIB + directives, {"lib/marks.py": MARKS}, **options)


# Names


def test_default_names(httpd):
    """Without an object's name: outputfilter and inputfilter."""
    server = serve(httpd, "PythonOutputFilter marks OUT\nPythonInputFilter marks IN")
    site = server.site(PYTHON + "SetOutputFilter OUT\nSetInputFilter IN", {"echo.py": ECHO})
    assert site.post("x", content=b"spam").text == "out(in(spam))"


def test_object_name(httpd):
    """module::object names another one."""
    site = serve(httpd, "PythonOutputFilter marks::a A").site("SetOutputFilter A", {"page.txt": "spam"})
    assert site.get("page.txt").text == "a(spam)"


def test_name_defaults_to_the_handler(httpd):
    """Without a name the filter is called as its handler is written."""
    site = serve(httpd, "PythonOutputFilter marks::a").site("SetOutputFilter marks::a", {"page.txt": "spam"})
    assert site.get("page.txt").text == "a(spam)"


def test_names_are_of_no_case(httpd):
    """As all filters' names, they are the same in any case."""
    site = serve(httpd, "PythonOutputFilter marks::a Spam").site("SetOutputFilter sPAM", {"page.txt": "spam"})
    assert site.get("page.txt").text == "a(spam)"


def test_same_name_for_input_and_output(httpd):
    """An input and an output filter may have the same name."""
    server = serve(httpd, "PythonOutputFilter marks MARKS\nPythonInputFilter marks MARKS")
    site = server.site(PYTHON + "SetOutputFilter MARKS\nSetInputFilter MARKS", {"echo.py": ECHO})
    assert site.post("x", content=b"spam").text == "out(in(spam))"


def test_one_handler_under_two_names(httpd):
    """A handler may be registered under several names."""
    site = serve(httpd, "PythonOutputFilter marks::a A\nPythonOutputFilter marks::a AGAIN").site(
        "SetOutputFilter A;AGAIN", {"page.txt": "spam"}
    )
    assert site.get("page.txt").text == "a(a(spam))"


# Activation


def test_set_output_filter_chain(httpd):
    """SetOutputFilter takes several names, innermost first."""
    directives = "".join(f"PythonOutputFilter marks::{name} {name.upper()}\n" for name in "abc")
    site = serve(httpd, directives).site("SetOutputFilter A;B;C", {"page.txt": "spam"})
    assert site.get("page.txt").text == "c(b(a(spam)))"


def test_add_output_filter_by_extension(httpd):
    """AddOutputFilter is for the files of an extension."""
    site = serve(httpd, "PythonOutputFilter marks::a A").site(
        "AddOutputFilter A .txt", {"page.txt": "spam", "page.html": "spam"}
    )
    assert site.get("page.txt").text == "a(spam)"
    assert site.get("page.html").text == "spam"


def test_add_output_filter_by_type(httpd):
    """AddOutputFilterByType, of mod_filter, takes them too."""
    server = serve(httpd, "PythonOutputFilter marks::a A", modules=("filter",))
    site = server.site("AddOutputFilterByType A text/plain", {"page.txt": "spam", "page.html": "spam"})
    assert site.get("page.txt").text == "a(spam)"
    assert site.get("page.html").text == "spam"


def test_filter_provider(httpd):
    """FilterProvider, of mod_filter, gives them its own name: they pass everything, and say so."""
    config = """
        PythonOutputFilter marks::a A
        FilterDeclare smart
        FilterProvider smart A "%{CONTENT_TYPE} =~ m#^text/plain#"
        FilterChain smart
        """
    site = serve(httpd, config, modules=("filter",)).site(files={"page.txt": "spam", "page.html": "spam"})
    assert site.get("page.txt").text == "spam"
    site.expect_log("KK0113: filter smart")
    assert site.get("page.html").text == "spam"


def test_add_input_filter(httpd):
    """AddInputFilter is for the files of an extension, SetInputFilter for all, in order."""
    server = serve(httpd, "PythonInputFilter marks::a A\nPythonInputFilter marks::b B")
    site = server.site(PYTHON + "AddInputFilter A .spam", {"echo.py": ECHO})
    assert site.post("x.spam", content=b"x").text == "a(x)"
    assert site.post("x.eggs", content=b"x").text == "x"
    site = server.site(PYTHON + "SetInputFilter A;B", {"echo.py": ECHO})
    assert sorted(site.post("x", content=b"x").text.replace("(x))", "").split("(")) == ["a", "b"]


def test_add_filter_from_python(httpd):
    """req.add_output_filter() and add_input_filter() activate them for one request."""
    code = """
        def fixuphandler(req):
            if req.args:
                req.add_output_filter("A")
                req.add_input_filter("B")
            return 0

        def handler(req):
            req.write(req.read())
            return 0
        """
    server = serve(httpd, "PythonOutputFilter marks::a A\nPythonInputFilter marks::b B")
    site = server.site(
        "SetHandler python-program\nPythonHandler adding\nPythonFixupHandler adding", {"adding.py": code}
    )
    assert site.post("x?add", content=b"spam").text == "a(b(spam))"
    assert site.post("x", content=b"spam").text == "spam"


def test_add_filter_in_the_content_handler(httpd):
    """A content handler may add an output filter before it writes."""
    code = "def handler(req):\n    req.add_output_filter('a')\n    req.write('spam')\n    return 0\n"
    site = serve(httpd, "PythonOutputFilter marks::a A").site(
        "SetHandler python-program\nPythonHandler adding", {"adding.py": code}
    )
    assert site.get("x").text == "a(spam)"


@pytest.mark.parametrize("kind", ["output", "input"])
def test_add_unknown_filter(httpd, kind):
    """A name that no filter has is an exception that says so."""
    text = httpd.run(
        f"""
        try:
            req.add_{kind}_filter("NO_SUCH_FILTER")
        except Exception as error:
            return str(error)
        """
    )
    assert "NO_SUCH_FILTER" in text


# Scopes


def test_directory_scope(httpd):
    """In <Directory> the filter is known there; its directory is on sys.path."""
    config = """
        <Directory "${root}/htdocs">
            PythonOutputFilter marks::a A
            SetOutputFilter A
        </Directory>
        """
    site = httpd(config, {"htdocs/marks.py": MARKS}).site(files={"page.txt": "spam"})
    assert site.get("page.txt").text == "a(spam)"


def test_location_scope(httpd):
    """In <Location> too."""
    config = "<Location />\nPythonOutputFilter marks::a A\nSetOutputFilter A\n</Location>"
    site = serve(httpd, config).site(files={"page.txt": "spam"})
    assert site.get("page.txt").text == "a(spam)"


def test_files_scope(httpd):
    """In <Files> too."""
    config = '<Files "*.txt">\nPythonOutputFilter marks::a A\nSetOutputFilter A\n</Files>'
    site = serve(httpd, config).site(files={"page.txt": "spam", "page.html": "spam"})
    assert site.get("page.txt").text == "a(spam)"
    assert site.get("page.html").text == "spam"


def test_inner_scope_overrides(httpd):
    """An inner scope may give a name to another handler; what it does not mention stays."""
    config = """
        PythonOutputFilter marks::a A
        PythonOutputFilter marks::b B
        <Location /inner>
            PythonOutputFilter marks::c A
        </Location>
        <Location />
            SetOutputFilter A;B
        </Location>
        """
    server = serve(httpd, config)
    server.write("htdocs/inner/page.txt", "spam")
    server.write("htdocs/outer/page.txt", "spam")
    assert server.get("outer/page.txt").text == "b(a(spam))"
    assert server.get("inner/page.txt").text == "b(c(spam))"


def test_virtual_hosts(httpd):
    """A virtual host inherits the server's filters and has its own."""
    config = """
        PythonOutputFilter marks::a A
        <VirtualHost *>
            ServerName first
            PythonOutputFilter marks::b B
        </VirtualHost>
        <VirtualHost *>
            ServerName second
            PythonOutputFilter marks::c A
            PythonOutputFilter marks::c B
        </VirtualHost>
        """
    site = serve(httpd, config).site("SetOutputFilter A;B", {"page.txt": "spam"})
    assert site.get("page.txt", headers={"Host": "first"}).text == "b(a(spam))"
    assert site.get("page.txt", headers={"Host": "second"}).text == "c(c(spam))"


def test_active_out_of_its_scope(httpd):
    """Where a name is active but means no handler everything passes, and the log tells."""
    config = """
        <Location /elsewhere>
            PythonOutputFilter marks::a A
            PythonInputFilter marks::a A
        </Location>
        """
    site = serve(httpd, config).site(PYTHON + "SetOutputFilter A\nSetInputFilter A", {"echo.py": ECHO})
    assert site.post("x", content=b"spam").text == "spam"
    site.expect_log("KK0113.*PythonOutputFilter")
    site.expect_log("KK0113.*PythonInputFilter")


def test_not_in_htaccess(httpd):
    """.htaccess must not register filters."""
    site = httpd.site("PythonOutputFilter spam SPAM", {"page.txt": "spam"})
    assert site.get("page.txt").status_code == 500
    site.expect_log("PythonOutputFilter not allowed here")


@pytest.mark.parametrize(
    "directive",
    ["PythonConnectionInputFilter", "PythonConnectionOutputFilter", "PythonConnectionHandler"],
)
@pytest.mark.parametrize("scope", ['<Directory "/">', "<Location />", '<Files "*">'])
@pytest.mark.only_mpm("event")
def test_connection_directives_scope(httpd, directive, scope):
    """What is for a connection stands at server or virtual host level only."""
    end = f"</{scope[1:].split()[0]}>"
    status, text = httpd.configtest(f"{scope}\n{directive} spam\n{end}\n")
    assert status != 0
    assert f"{directive} not allowed" in text or f"{directive} cannot occur within" in text


# Bad input

WRONG = [
    ("PythonOutputFilter", "PythonOutputFilter"),
    ("PythonOutputFilter a b c", "PythonOutputFilter"),
    ("PythonOutputFilter :: SPAM", "no handler"),
    ("PythonOutputFilter a:: SPAM", "no handler"),
    ("PythonInputFilter ::b SPAM", "no handler"),
    ("PythonOutputFilter a INCLUDES", "INCLUDES.*another name"),
    ("PythonOutputFilter a includes", "includes.*another name"),
    ("PythonOutputFilter a DEFLATE", "DEFLATE.*another name"),
    ("PythonInputFilter a DEFLATE", "DEFLATE.*another name"),
    ("PythonOutputFilter a CONTENT_LENGTH", "CONTENT_LENGTH.*another name"),
    ("PythonOutputFilter a CORE", "CORE.*another name"),
    ("PythonInputFilter a HTTP_IN", "HTTP_IN.*another name"),
    ("PythonConnectionOutputFilter a CHUNK", "CHUNK.*another name"),
    ("PythonOutputFilter a SPAM\nPythonOutputFilter b SPAM", "SPAM.*two filters"),
    ("PythonOutputFilter a SPAM\nPythonOutputFilter b spam", "spam.*two filters"),
    ("PythonOutputFilter a\nPythonOutputFilter a", "two filters"),
    ("PythonInputFilter a SPAM\nPythonInputFilter a SPAM", "SPAM.*two filters"),
    (
        "<Location />\nPythonInputFilter a SPAM\nPythonInputFilter b SPAM\n</Location>",
        "SPAM.*two filters",
    ),
    ("PythonOutputFilter a SPAM\nPythonConnectionOutputFilter a SPAM", "SPAM.*for requests"),
    ("PythonConnectionInputFilter a SPAM\nPythonInputFilter a SPAM", "SPAM.*for connections"),
]


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(("directives", "message"), WRONG)
def test_wrong_directive(httpd, directives, message):
    """configtest fails, naming file, line and what would be right."""
    import re

    status, text = httpd.configtest(directives + "\n", modules=("include", "deflate", "filter"))
    assert status != 0, text
    assert re.search("line [0-9]+ of .*conf/test.conf", text)
    assert re.search(message, text.partition("test.conf:")[2].replace("\n", " ")), text


@pytest.mark.only_mpm("event")
def test_name_of_a_module_loaded_later(httpd):
    """The name of a filter is refused also if its module is loaded behind the directive."""
    from plugins.installation import find_apache

    module = find_apache().libexecdir / "mod_deflate.so"
    status, text = httpd.configtest(
        f'PythonOutputFilter a DEFLATE\nLoadModule deflate_module "{module}"\n', modules=("filter",)
    )
    assert status != 0
    assert "line 1 of" in text and "DEFLATE" in text


@pytest.mark.only_mpm("event")
def test_right_directives(httpd):
    """The same name in two scopes, and in two virtual hosts, passes."""
    status, text = httpd.configtest(
        """
        PythonOutputFilter a SPAM
        PythonInputFilter a::b SPAM
        PythonConnectionOutputFilter a RAW
        PythonConnectionInputFilter a
        PythonConnectionHandler a
        <Location />
            PythonOutputFilter b SPAM
        </Location>
        <Directory "/tmp">
            PythonOutputFilter b SPAM
        </Directory>
        <VirtualHost *>
            PythonOutputFilter c SPAM
            PythonConnectionOutputFilter c RAW
            PythonConnectionHandler c
        </VirtualHost>
        """
    )
    assert status == 0, text


def test_graceful_restart(httpd):
    """A restart reads the directives again, without finding its own names taken."""
    server = httpd.unstarted(
        LIB + "PythonOutputFilter marks::a A\nPythonConnectionOutputFilter marks::none RAW\n",
        {"lib/marks.py": MARKS + "\n    def none(filter):\n        filter.pass_on()\n"},
    )
    server.start()
    site = server.site("SetOutputFilter A", {"page.txt": "spam"})
    for _ in range(3):
        assert site.get("page.txt").text == "a(spam)"
        server.graceful()
    assert site.get("page.txt").text == "a(spam)"


@pytest.mark.only_mpm("event")
def test_filters_that_apache_adds_itself(httpd):
    """REQTIMEOUT and CORE need a state of their connection, OLD_WRITE one of the caller's: they
    are refused."""
    names = ["REQTIMEOUT", "reqtimeout", "CORE", "CORE_IN", "OLD_WRITE"]
    refused = httpd(modules=("reqtimeout",)).run(
        f"""
        refused = []
        for name in {names}:
            for add in (req.add_input_filter, req.add_output_filter):
                try:
                    add(name)
                except ValueError as error:
                    refused.append(str(error))
        return refused
        """
    )
    assert len(refused) == 2 * len(names)
    assert [line for line in refused if line.startswith("Apache itself adds")] == [
        f"Apache itself adds {name}: it cannot be added to a request"
        for name in ("REQTIMEOUT", "REQTIMEOUT", "reqtimeout", "reqtimeout", "CORE", "CORE_IN", "OLD_WRITE")
    ]

"""What later versions changed in the directives: options, sections, names of
interpreters, the server's version."""

import re
import sys

import pytest

TELL = """
    from mod_python import apache

    def handler(req):
        req.write(repr((req.interpreter, req.hlist.directory, req.hlist.location)))
        return apache.OK
    """


def test_options_of_scopes_merge(httpd):
    """A missing or empty value removes the inherited key, inner values win, the rest stays."""
    config = """
        PythonOption kept server
        PythonOption changed server
        PythonOption gone server
        PythonOption gone.too server
        <Directory "${htdocs}">
            PythonOption changed directory
            PythonOption gone
            PythonOption gone.too ""
            PythonOption own directory
        </Directory>
        """
    options, server = httpd(config).run("return [dict(req.get_options()), dict(req.server.get_options())]")
    assert options == {"kept": "server", "changed": "directory", "own": "directory"}
    assert server == dict.fromkeys(["kept", "changed", "gone", "gone.too"], "server")


def test_options_of_a_virtual_host(httpd):
    """A virtual host's options include the main server's."""
    config = """
        PythonOption main 1
        PythonOption both main
        <VirtualHost *:${port}>
            ServerName options.example
            DocumentRoot "${htdocs}"
            PythonOption both virtual
        </VirtualHost>
        """
    assert httpd(config).run("return dict(req.server.get_options())") == {"main": "1", "both": "virtual"}


def test_main_server_options_are_live(httpd):
    """A key stored in apache.main_server.get_options() stays for the child's life."""
    server = httpd(workers=1)
    server.run("apache.main_server.get_options()['stored'] = 'spam'")
    assert server.run("return apache.main_server.get_options()['stored']") == "spam"


def test_server_config_is_live(httpd):
    """So does one in get_config(), which every request gets again."""
    server = httpd("PythonDebug On", workers=1)
    server.run("req.server.get_config()['stored'] = 'spam'")
    assert server.run("return dict(req.server.get_config())") == {"PythonDebug": "1", "stored": "spam"}


def test_inner_off_beats_outer_on(httpd):
    """get_config() has "1" and "0"; the server's does not know directories."""
    config = (
        'PythonAutoReload On\n<Directory "${htdocs}">\nPythonDebug On\nPythonAutoReload Off\n</Directory>'
    )
    request, server = httpd(config).run("return [dict(req.get_config()), dict(req.server.get_config())]")
    assert request["PythonAutoReload"] == "0"
    assert request["PythonDebug"] == "1"
    assert server["PythonAutoReload"] == "1"
    assert "PythonDebug" not in server


@pytest.mark.parametrize(
    "section", ["", '<Directory "${htdocs}">', "<Location />", "<Files *>"], ids=lambda s: s[1:10] or "server"
)
def test_filter_name_defaults_to_the_handler(httpd, section):
    """A filter without name has its handler's text as name; legal in all sections."""
    end = f"</{section[1:].split()[0]}>" if section else ""
    config = f"""
        PythonPath "sys.path+['${{htdocs}}']"
        {section}
            PythonOutputFilter shouting::shout
            SetOutputFilter shouting::shout
        {end}
        """
    code = "def shout(filter):\n    while data := filter.read():\n        filter.write(data.upper())\n"
    server = httpd(config, {"htdocs/shouting.py": code, "htdocs/page.txt": "spam"})
    assert server.get("page.txt").text == "SPAM"


@pytest.mark.parametrize("directive", ["PythonInputFilter x y", "PythonOutputFilter x y"])
def test_filters_are_refused_in_htaccess(httpd, directive):
    """Not in .htaccess."""
    site = httpd.site(directive)
    assert site.get("x").status_code == 500
    site.expect_log(f"{directive.split()[0]} not allowed here")


@pytest.mark.parametrize("phase", ["PostReadRequest", "Trans"])
def test_extensions_are_refused_where_no_file_is_known(httpd, phase):
    """| .ext is a configuration error for these phases."""
    status, text = httpd.configtest(f"Python{phase}Handler x | .py")
    assert status != 0
    assert f"Python{phase}Handler cannot be limited by '| .ext'" in text


@pytest.mark.parametrize(
    ("file", "extension"),
    [
        ("a.b.c", ".b.c"),
        ("page.txt", ".txt"),
        ("plain", None),
        ("d.d/plain", None),
        ("end.", "."),
        (".x", ".x"),
    ],
)
def test_extension(httpd, file, extension):
    """req.extension is the base name from its first dot on."""
    code = "def handler(req):\n    req.write(repr(req.extension))\n    return 0\n"
    site = httpd.site(
        "SetHandler python-program\nPythonHandler ext_of",
        {"ext_of.py": code, "d.d/plain": "", **({} if file.startswith(".") else {file: ""})},
    )
    assert site.get(file).text == repr(extension)


def test_list_for_an_extension_is_for_one_phase(httpd):
    """It replaces the list without extension in that phase only."""
    code = """
        def add(letter):
            def handler(req):
                req.headers_out["X"] = req.headers_out.get("X", "") + letter
                return 0
            return handler

        plain, special, fixup = add("p"), add("s"), add("f")
        """
    site = httpd.site(
        """
        SetHandler python-program
        PythonFixupHandler by_ext::fixup
        PythonHandler by_ext::plain
        PythonHandler by_ext::special | .x
        """,
        {"by_ext.py": code},
    )
    assert (site.get("a.x").headers["X"], site.get("a.y").headers["X"]) == ("fs", "fp")


def test_no_python_handler(httpd):
    """The handler's name alone: the default handler serves the file, also one that a
    translation handler chose."""
    config = """
        PythonTransHandler elsewhere::translate
        PythonPath "sys.path+['${root}']"
        <Directory "${htdocs}">
            SetHandler mod_python
        </Directory>
        """
    code = """
        from mod_python import apache

        def translate(req):
            if req.uri == "/virtual":
                req.filename = req.document_root() + "/real.txt"
                return apache.OK
            return apache.DECLINED
        """
    server = httpd(config, {"elsewhere.py": code, "htdocs/real.txt": "real"})
    assert server.get("virtual").text == "real"
    assert server.get("real.txt").text == "real"


def test_directories_of_sections(httpd):
    """hlist.directory: of patterns the shortest match; of <Files> that around it; of
    .htaccess the file's."""
    config = """
        <Directory "${htdocs}/wild*">
            SetHandler python-program
            PythonHandler tell
        </Directory>
        <DirectoryMatch "/regex[0-9]">
            SetHandler python-program
            PythonHandler tell
        </DirectoryMatch>
        <Directory "${htdocs}/around">
            <Files "*.x">
                SetHandler python-program
                PythonHandler tell
            </Files>
        </Directory>
        """
    files = {f"htdocs/{name}/tell.py": TELL for name in ("wild1", "regex1", "around", "file")}
    files |= {f"htdocs/{name}/sub/page.x": "" for name in ("wild1", "regex1", "around", "file")}
    files["htdocs/file/.htaccess"] = "SetHandler python-program\nPythonHandler tell\n"
    server = httpd(config, files)
    for name in ("wild1", "regex1", "around", "file"):
        expected = ("www.example.com", f"{server.htdocs}/{name}/", None)
        assert server.get(f"{name}/sub/page.x").text == repr(expected)


@pytest.mark.parametrize(
    ("section", "uri", "location"),
    [
        ("<Location /place>", "place/x/y", "/place"),
        ("<LocationMatch ^/re[0-9]+>", "re12/x", "/re12"),
        ('<Location ~ "/(a|b)/c">', "b/c/d", "/b/c"),
        ("<Location /w*/x>", "wild/x", "/wild/x"),
    ],
)
def test_location(httpd, section, uri, location):
    """In <Location> it is the path, or what a pattern matches of the URI; that is not
    on sys.path, and no file need exist."""
    config = f"""
        PythonPath "sys.path+['${{root}}']"
        {section}
            SetHandler python-program
            PythonHandler tell
        </{section[1:].split()[0]}>
        """
    code = (
        TELL
        + "\n    import sys\n    assert not any(p in sys.path for p in ('/place', '/re12', '/b/c', '/wild/x'))\n"
    )
    answer = httpd(config, {"tell.py": code}).get(uri)
    assert answer.text == repr(("www.example.com", location, location))


def test_directory_is_on_the_path_once(httpd):
    """However many handlers are configured in a directory, it is on sys.path once."""
    code = """
        import sys, os

        def one(req):
            return 0

        def handler(req):
            here = os.path.dirname(__file__)
            req.write(str(sum(item.rstrip("/") == here for item in sys.path)))
            return 0
        """
    site = httpd.site(
        "SetHandler python-program\nPythonFixupHandler once_only::one\nPythonHandler once_only",
        {"once_only.py": code},
    )
    assert [site.get("x").text for _ in range(3)] == ["1"] * 3


def test_interpreter_of_an_added_handler(httpd):
    """PythonInterpPerDirective: an added handler runs in the interpreter of the
    directory given to add_handler()."""
    config = """
        SetHandler python-program
        PythonInterpPerDirective On
        PythonFixupHandler adding::fixup
        """
    code = """
        import os
        from mod_python import apache

        def here(req):
            req.mark = "same object"
            return apache.OK

        def fixup(req):
            other = os.path.dirname(__file__) + "/other/../other"
            req.add_handler("PythonHandler", here)
            req.add_handler("PythonHandler", "added::first", other)
            req.add_handler("PythonHandler", "added::second", other)
            return apache.OK
        """
    other = """
        from mod_python import apache

        def first(req):
            req.text = f"{apache.interpreter} {hasattr(req, 'mark')} {req.hlist.handler}"
            return apache.OK if req.args is None else int(req.args)

        def second(req):
            req.write(req.text)
            return apache.OK
        """
    site = httpd.site(config, {"adding.py": code, "other/added.py": other})
    assert site.get("x").text == f"{site.directory}/other/ False added::first"
    assert site.get("x?404").status_code == 404


def test_added_handler_in_the_same_interpreter(httpd):
    """The directory of the running interpreter, a callable, and the running phase all
    stay in it."""
    config = "SetHandler python-program\nPythonInterpPerDirective On\nPythonHandler staying"
    code = """
        import os
        from mod_python import apache

        def added(req):
            req.write(f"{req.n} {req.interpreter}|")
            return apache.OK

        def handler(req):
            req.n = 1
            for handler in ("staying::added", added):
                req.add_handler("PythonHandler", handler, os.path.dirname(__file__))
            req.add_handler("PythonHandler", "staying::added", "/elsewhere")
            return apache.OK
        """
    site = httpd.site(config, {"staying.py": code})
    assert site.get("x").text == f"1 {site.directory}/|" * 3


def test_interpreter_per_directory_of_missing_files(httpd):
    """PythonInterpPerDirectory: the directory of req.filename with a slash, whether or
    not the file exists; a directory requested without slash counts as itself."""
    code = "def handler(req):\n    req.write(req.interpreter)\n    return 0\n"
    site = httpd.site(
        "DirectorySlash Off\nSetHandler python-program\nPythonHandler per_dir\nPythonInterpPerDirectory On",
        {"per_dir.py": code, "sub/x": ""},
    )
    for path, name in [("missing", ""), ("sub/missing", "sub/"), ("sub", "sub/"), ("sub/", "sub/")]:
        assert site.get(path).text == f"{site.directory}/{name}", path


def test_version_components(httpd):
    """Server and SERVER_SOFTWARE name this module and Python."""
    server = httpd("ServerTokens Full")
    text = server.run("req.add_common_vars()\nreturn req.subprocess_env['SERVER_SOFTWARE']")
    python = "{}.{}.{}".format(*sys.version_info[:3])
    for value in (text, server.get("nothing").headers["Server"]):
        assert re.search(rf" Kukulkan/\d+\.\d+\S* Python/{re.escape(python)}\b", value)


def test_version_components_can_be_hidden(httpd):
    """ServerTokens Prod hides them, as those of all modules."""
    assert httpd("ServerTokens Prod").get("nothing").headers["Server"] == "Apache"


def test_argv(httpd):
    """sys.argv is ['mod_python']."""
    assert httpd.run("import sys\nreturn sys.argv") == ["mod_python"]

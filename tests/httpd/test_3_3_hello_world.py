"""Manual 3.3, So what Exactly does Mod-python do?"""

CONFIG = """
    <Directory "${htdocs}/mywebdir">
        AddHandler python-program .py
        PythonHandler myscript
        PythonDebug On
    </Directory>
    """

MYSCRIPT = """
    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        req.write("Hello World!")
        return apache.OK
    """

FILES = {
    "htdocs/mywebdir/myscript.py": MYSCRIPT,
    "htdocs/mywebdir/page.txt": "a file\n",
    "htdocs/mywebdir/sub/page.txt": "",
}


def test_hello_world(httpd):
    """The example answers as printed."""
    answer = httpd(CONFIG, FILES).get("mywebdir/myscript.py")
    assert answer.status_code == 200
    assert answer.text == "Hello World!"
    assert answer.headers["Content-Type"] == "text/plain"


def test_any_py_file_gives_the_same_result(httpd):
    """The handler serves a type of file: the file need not be the script, nor exist."""
    server = httpd(CONFIG, FILES)
    assert server.get("mywebdir/montypython.py").text == "Hello World!"
    assert server.get("mywebdir/sub/montypython.py").text == "Hello World!"


def test_other_files_are_not_touched(httpd):
    """A file with another extension in the same directory is Apache's."""
    assert httpd(CONFIG, FILES).get("mywebdir/page.txt").text == "a file\n"


def test_directory_of_the_directive_is_on_the_path(httpd):
    """The directory of the PythonHandler directive is the first on sys.path."""
    files = {
        "htdocs/mywebdir/myscript.py": """
            import sys
            from mod_python import apache

            def handler(req):
                req.write(sys.path[0])
                return apache.OK
            """
    }
    server = httpd(CONFIG, files)
    assert server.get("mywebdir/x.py").text.rstrip("/") == str(server.htdocs / "mywebdir")


def test_subdirectories_are_not_on_the_path(httpd):
    """A module in a subdirectory is not found by its bare name."""
    site = httpd.site(
        """
        AddHandler python-program .py
        PythonHandler only_in_subdir
        """,
        {"subdir/only_in_subdir.py": MYSCRIPT},
    )
    assert site.get("x.py").status_code == 500
    site.expect_log("KK0104: PythonHandler only_in_subdir: ModuleNotFoundError")


def test_package_notation(httpd):
    """subdir.myscript names a module in a package."""
    site = httpd.site(
        """
        AddHandler python-program .py
        PythonHandler subdir_package.myscript
        """,
        {"subdir_package/__init__.py": "", "subdir_package/myscript.py": MYSCRIPT},
    )
    assert site.get("x.py").text == "Hello World!"


def test_function_named_explicitly(httpd):
    """module::object names a function other than `handler`."""
    site = httpd.site(
        """
        AddHandler python-program .py
        PythonHandler myscript::spam
        """,
        {"myscript.py": "def spam(req):\n    req.write('spam')\n    return 0\n"},
    )
    assert site.get("x.py").text == "spam"


def test_handler_returns_an_error_status(httpd):
    """A handler that returns an HTTP status gets Apache's error message for it."""
    site = httpd.site(
        """
        AddHandler python-program .py
        PythonHandler refuse
        """,
        {
            "refuse.py": """
                from mod_python import apache

                def handler(req):
                    return getattr(apache, req.args)
                """
        },
    )
    assert site.get("x.py?HTTP_INTERNAL_SERVER_ERROR").status_code == 500
    answer = site.get("x.py?HTTP_FORBIDDEN")
    assert answer.status_code == 403
    assert "Forbidden" in answer.text

"""Later versions, 13: import_module() and reload."""

import contextlib
import shutil
import signal
import subprocess
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

PYTHON = "SetHandler python-program\nPythonHandler index\n"

IMPORTS = """
    import helper

    def handler(req):
        req.write(helper.WORD)
        return 0
    """


def test_changed_helper(httpd):
    """It reloads the handlers that import it, and nothing else."""
    other = "runs = []\ndef handler(req):\n    runs.append(1)\n    req.write(str(len(runs)))\n    return 0\n"
    site = httpd.site(
        "SetHandler python-program\nPythonHandler index other\n",
        {"index.py": IMPORTS, "helper.py": "WORD = 'old'\n", "other.py": other},
    )
    assert [site.get("x").text for _ in range(2)] == ["old1", "old2"]
    site.write("helper.py", "WORD = 'new'\n")
    assert [site.get("x").text for _ in range(2)] == ["new3", "new4"]


def test_off(httpd):
    """With PythonAutoReload Off no helper is looked at."""
    files = {"index.py": IMPORTS, "helper.py": "WORD = 'old'\n"}
    site = httpd.site(PYTHON + "PythonAutoReload Off", files)
    assert site.get("x").text == "old"
    site.write("helper.py", "WORD = 'new'\n")
    assert site.get("x").text == "old"


@contextlib.contextmanager
def traced(pids, path):
    """While it lasts, the calls of these processes that name files go to a file."""
    options = [word for pid in pids for word in ("-p", str(pid))]
    command = ["strace", "-f", "-e", "trace=%file", "-s", "4096", "-o", path, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        for _ in pids:
            if "attached" not in (line := strace.stderr.readline()):
                pytest.skip(f"strace cannot trace: {line}")
        yield
        strace.send_signal(signal.SIGINT)
        strace.communicate()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.parametrize(("flag", "files"), [("Off", set()), ("On", {"index.py", "helper.py", "far.py"})])
def test_files_looked_at(httpd, tmp_path, flag, files):
    """With PythonAutoReload Off a request makes no system call for the handler's file and what it
    imports, on top or in a function; with On for each of them."""
    index = IMPORTS.replace("return 0", "import far\n        return 0")
    names = {"index.py": index, "helper.py": "import far\nWORD = 'word'\n", "far.py": ""}
    site = httpd.site(PYTHON + f"PythonAutoReload {flag}", names)
    assert [site.get("x").text for _ in range(2)] == ["word"] * 2
    with traced(site.server.child_pids(), tmp_path / "calls"):
        assert site.get("x").text == "word"
    calls = (tmp_path / "calls").read_text()
    assert ".htaccess" in calls
    assert {name for name in names if name in calls} == files


def test_phases_of_one_request(httpd):
    """A module is looked at once in a request: all phases see the same."""
    code = """
        import os

        WORD = "old"

        def fixuphandler(req):
            with open(__file__) as file:
                text = file.read()
            if req.args:
                with open(__file__, "w") as file:
                    file.write(text.replace('"old"', '"new"'))
            return 0

        def handler(req):
            req.write(WORD)
            return 0
        """
    site = httpd.site(PYTHON + "PythonFixupHandler index", {"index.py": code})
    (site.directory / "index.py").chmod(0o666)
    assert site.get("x?change").text == "old"
    assert site.get("x").text == "new"


def test_file_names(httpd):
    """Absolute ones, and from the handler's and the importing file's directory."""
    code = """
        from mod_python import apache

        def handler(req):
            deep = apache.import_module("~/lib/deep.py")
            other = apache.import_module(apache.get_handler_root() + "lib/deep.py", autoreload=0)
            req.write(f"{deep is other} {deep.up is __import__('sys').modules[__name__]} {deep.beside}")
            return apache.OK
        """
    deep = """
        from mod_python import apache

        up = apache.import_module("../index.py")
        beside = apache.import_module("./beside.py").__mp_info__.label
        """
    site = httpd.site(PYTHON, {"index.py": code, "lib/deep.py": deep, "lib/beside.py": ""})
    assert site.get("x").text == "True True beside"


def test_importer_path(httpd):
    """PythonOption mod_python.importer.path is searched before sys.path."""
    files = {"index.py": IMPORTS, "lib é/helper.py": "WORD = 'lib'\n"}
    option = "PythonOption mod_python.importer.path \"['~/lib é']\"\n"
    site = httpd.site(PYTHON + option, files)
    assert site.get("x").text == "lib"
    bad = httpd.site(PYTHON + option.replace("['~/lib é']", "sys.path"), files)
    assert bad.get("x").status_code == 500
    bad.expect_log("KK0104: .*ValueError: PythonOption mod_python.importer.path sys.path is no list")


HANDLER = """
    from mod_python import apache

    def handler(req):
        req.write(__file__.split("/", -1)[-2] + " NUMBER")
        return apache.OK
    """


def test_handlers_in_importer_path(httpd):
    """A handler's module is found there too, before sys.path, and reloaded; but its own
    directory comes first."""
    own, far = HANDLER.replace("NUMBER", "1"), HANDLER.replace("NUMBER", "2")
    code = HANDLER.replace("NUMBER", "3")
    server = httpd(
        "PythonPath \"sys.path + ['${root}/path']\"\n"
        "PythonOption mod_python.importer.path \"['~/no', '${root}/far']\"\n"
        "<Location /there>\nSetHandler python-program\nPythonHandler spam\n</Location>\n"
        "<Location /path>\nSetHandler python-program\nPythonHandler eggs\n</Location>\n"
        "<Directory ${root}/htdocs/own>\nSetHandler python-program\nPythonHandler spam\n</Directory>\n",
        {
            "htdocs/own/spam.py": own,
            "far/spam.py": far,
            "path/spam.py": code,
            "path/eggs.py": code,
        },
    )
    assert server.get("there").text == "far 2"
    assert server.get("own/x").text == "own 1"
    assert server.get("path").text == "path 3"
    server.write("far/spam.py", HANDLER.replace("NUMBER", "new"))
    assert server.get("there").text == "far new"


@pytest.mark.parametrize("section", ["Location", "LocationMatch"])
@pytest.mark.parametrize("reload", ["On", "Off"])
@pytest.mark.parametrize("directive", ["for all", "for each", "added", "filter"])
def test_importer_path_of_each_place(httpd, section, reload, directive):
    """One directive, or two of the same words, where the option differs: each has its own."""
    lines = {
        "added": "PythonFixupHandler adds\n",
        "filter": "PythonHandler empty\nPythonOutputFilter spam::filter SPAM\nSetOutputFilter SPAM\n",
    }
    line = lines.get(directive, "PythonHandler spam\n")
    config = "SetHandler python-program\nPythonPath \"sys.path + ['${root}/path']\"\n"
    config += f"PythonAutoReload {reload}\n"
    for place in "ab":
        option = f"PythonOption mod_python.importer.path \"['${{root}}/{place}']\"\n"
        inside = line if directive != "for all" else ""
        config += f"<{section} /{place}>\n{inside}{option}</{section}>\n"
    config += line if directive == "for all" else f"<{section} /path>\n{line}</{section}>\n"
    spam = (
        HANDLER
        + "\n    def filter(filter):\n        filter.write(__file__.split('/')[-2] + ' 1')\n        filter.close()\n"
    )
    files = {
        "path/adds.py": "def fixuphandler(req):\n    req.add_handler('PythonHandler', 'spam')\n    return 0\n",
        "path/empty.py": "def handler(req):\n    req.write('x')\n    return 0\n",
        **{f"{place}/spam.py": spam.replace("NUMBER", "1") for place in ("path", "a", "b")},
    }
    server = httpd(config, files)
    for place in ("path", "a", "b") * 2:
        assert server.get(place).text == f"{place} 1"


def test_defaults_of_import_module(httpd):
    """autoreload is PythonAutoReload, log is PythonDebug."""
    code = """
        from mod_python import apache

        def handler(req):
            req.write(apache.import_module("helper").WORD)
            return apache.OK
        """
    files = {"index.py": code, "helper.py": "WORD = 'old'\n"}
    for flag, text, times in (("Off", "old", 0), ("On", "new", 2)):
        site = httpd.site(PYTHON + f"PythonAutoReload {flag}\nPythonDebug {flag}", files)
        assert site.get("x").text == "old"
        site.write("helper.py", "WORD = 'new'\n")
        assert site.get("x").text == text
        assert len(site.server.error_log.find("importing module 'helper")) == times


def test_configuration_at_hand(httpd):
    """get_current_config(), get_current_options() and get_handler_root()."""
    code = """
        from mod_python import apache

        at_import = apache.get_handler_root()

        def handler(req):
            root = apache.get_handler_root()
            assert root == at_import == req.document_root() + req.uri.rpartition("/")[0] + "/"
            assert dict(apache.get_current_config()) == dict(req.get_config())
            req.get_options()["word"] += "!"
            req.write(apache.get_current_options()["word"])
            return apache.OK
        """
    site = httpd.site(PYTHON + "PythonOption word yes", {"index.py": code})
    assert site.get("x").text == "yes!"


def test_configuration_in_a_filter_and_a_location(httpd):
    """A filter has its own handler's directory, also where it runs within another handler;
    a <Location> has none."""
    config = """
        PythonOption level server
        PythonPath "sys.path + ['${root}/lib']"
        <Directory "${root}/htdocs">
            PythonOption level directory
            PythonOutputFilter roots ROOTS
            SetOutputFilter ROOTS
        </Directory>
        <Location "/place">
            SetHandler python-program
            PythonHandler roots
        </Location>
        """
    roots = """
        from mod_python import apache

        def outputfilter(filter):
            while data := filter.read():
                level = apache.get_current_options()["level"]
                filter.write(f"filter {apache.get_handler_root()} {level} {data.decode()};")
            if data is None:
                filter.close()

        def handler(req):
            req.write(f"handler {apache.get_handler_root()}")
            req.write(f"then {apache.get_handler_root()}")
            return apache.OK
        """
    server = httpd(config, {"lib/roots.py": roots})
    inner = f"filter {server.root}/htdocs/ directory"
    assert server.get("/place").text == f"{inner} handler None;{inner} then None;"


def test_configuration_without_a_request(httpd):
    """In PythonImport and in threads it is the main server's."""
    config = """
        PythonOption word main
        PythonPath "sys.path + ['${root}/lib']"
        PythonImport begun www.example.com
        """
    begun = """
        from mod_python import apache

        seen = (apache.get_current_options()["word"], apache.get_handler_root(), apache.request_modules_graph())
        """
    server = httpd(config, {"lib/begun.py": begun})
    code = """
        import sys, threading
        from mod_python import apache
        answers = []
        thread = threading.Thread(target=lambda: answers.append(apache.get_current_options()["word"]))
        thread.start()
        thread.join()
        return sys.modules["begun"].seen[:2], answers
        """
    assert server.run(code) == [["main", None], ["main"]]


def test_graphs_and_info(httpd):
    """modules_graph(), request_modules_graph() and module_info()."""
    code = """
        from mod_python import apache
        import helper

        def handler(req):
            info = apache.module_info(helper.__name__)
            assert info.file == helper.__file__ and info.label == helper.__name__ and not info.children
            edge = f'"{__name__}" -> "{info.label}";'
            assert edge in apache.modules_graph() and edge in apache.request_modules_graph(verbose=1)
            assert "unrelated" not in apache.request_modules_graph()
            return apache.OK
        """
    for flag in ("On", "Off"):
        files = {"index.py": code, "helper.py": "", "unrelated.py": "def handler(req):\n    return 0\n"}
        site = httpd.site(PYTHON + f"PythonAutoReload {flag}", files)
        site.write(".htaccess", PYTHON.replace("index", "unrelated"))
        assert site.get("x").status_code == 200
        site.write(".htaccess", PYTHON + f"PythonAutoReload {flag}")
        assert site.get("x").status_code == 200


def test_clone(httpd):
    """A module hands over what it has to the one that takes its place."""
    code = textwrap.dedent("""
        count = globals().get("count", [])

        def __mp_clone__(new):
            new.count = count

        def handler(req):
            count.append(1)
            req.write(str(len(count)))
            return 0
        """)
    site = httpd.site(PYTHON, {"index.py": code})
    assert site.get("x").text == "1"
    site.write("index.py", code + "\n# changed\n")
    assert site.get("x").text == "2"
    site.write("index.py", code.replace("new.count = count", "1 / 0"))
    assert site.get("x").text == "3"
    site.write("index.py", code)
    assert site.get("x").text == "1"
    site.expect_log(r"KK0211: __mp_clone__\(\) of module 'index.*ZeroDivisionError")


@pytest.mark.only_mpm("event")
def test_freeze(httpd):
    """freeze_modules(): nothing is reloaded any more."""
    server = httpd("PythonInterpreter frozen")
    site = server.site(PYTHON, {"index.py": IMPORTS, "helper.py": "WORD = 'old'\n"})
    assert site.get("x").text == "old"
    server.run("from mod_python import apache\napache.freeze_modules()")
    site.write("helper.py", "WORD = 'new'\n")
    assert site.get("x").text == "old"
    server.changed = True


@pytest.mark.only_mpm("event")
def test_many_requests_at_once(httpd):
    """Each sees one helper whole, old or new, while it is edited; the last edit wins."""
    helper = "A = {n}\nimport time\ntime.sleep(0.002)\nB = {n}\n"
    index = """
        def handler(req):
            import helper
            first = helper.A
            import helper
            req.write(f"{first} {helper.A} {helper.B}")
            return 0
        """
    site = httpd.site(PYTHON, {"index.py": index, "helper.py": helper.format(n=0)})
    with ThreadPoolExecutor(8) as pool:
        for n in range(1, 11):
            answers = [pool.submit(site.get, "x") for _ in range(8)]
            new = site.directory / "new.py"
            new.write_text(helper.format(n=n))
            new.rename(site.directory / "helper.py")
            for answer in answers:
                assert len(set(answer.result().text.split())) == 1, answer.result().text
    assert site.get("x").text == "10 10 10"

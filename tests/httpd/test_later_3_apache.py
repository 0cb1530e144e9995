"""What later versions added to mod_python.apache."""

import dataclasses
import os
import subprocess
import sys

import pytest


def test_interpreter_and_main_server(httpd):
    """The interpreter's name and the main server, also at PythonImport."""
    config = """
        PythonPath "sys.path+['${root}']"
        PythonImport started first
        """
    code = """
        from mod_python import apache

        apache.log_error(f"{apache.interpreter} {apache.main_server.server_hostname}", apache.APLOG_NOTICE)
        """
    server = httpd(config, {"started.py": code})
    name, kind = server.run("return [apache.interpreter, str(type(apache.main_server))]")
    assert (name, kind) == ("www.example.com", "<class 'mp_server'>")
    server.expect_log("first www.example.com")


def test_register_cleanup(httpd):
    """apache.register_cleanup() needs no request: its function runs at the child's end,
    and can log."""
    config = "PythonPath \"sys.path+['${root}']\"\nPythonImport cleaning main_interpreter"
    code = """
        from mod_python import apache

        def clean(data):
            apache.log_error(f"cleaned up {data}", apache.APLOG_NOTICE)
            apache.main_server.log_error("and the server", apache.APLOG_NOTICE)

        apache.register_cleanup(clean, "spam")
        apache.register_cleanup(clean)
        """
    server = httpd(config, {"cleaning.py": code})
    server.graceful()
    server.expect_log("cleaned up spam")
    server.expect_log("cleaned up None")
    server.expect_log("and the server", 2)


def test_register_cleanup_of_something_else(httpd):
    """What cannot be called is refused."""
    assert httpd.run(
        "try:\n    apache.register_cleanup('spam')\nexcept ValueError as error:\n    return str(error)"
    )


def test_exists_config_define(httpd):
    """True if httpd was started with -Dname."""
    server = httpd(defines=("SPAM",))
    assert server.run("return [apache.exists_config_define(name) for name in ('SPAM', 'EGGS')]") == [
        True,
        False,
    ]


def test_mpm_query(httpd, mpm):
    """Every question of AP_MPMQ_* has an int for an answer; an argument that is no int
    is a TypeError."""
    answers = httpd.run(
        """
        answers = {name: apache.mpm_query(getattr(apache, name)) for name in dir(apache)
                   if name.startswith("AP_MPMQ_")
                   and name not in ("AP_MPMQ_NOT_SUPPORTED", "AP_MPMQ_STATIC", "AP_MPMQ_DYNAMIC")}
        refused = 0
        for wrong in ("1", None, 1.5):
            try:
                apache.mpm_query(wrong)
            except TypeError:
                refused += 1
        return [answers, refused]
        """
    )
    assert answers[1] == 3
    assert len(answers[0]) == 12
    assert all(isinstance(answer, int) for answer in answers[0].values())
    assert answers[0]["AP_MPMQ_IS_THREADED"] == (1 if mpm == "event" else 0)


@pytest.mark.parametrize("question", [-1, 10**6, 10**30])
def test_mpm_query_unknown(httpd, question):
    """What the MPM does not know is a ValueError, what is no C int too, or OverflowError."""
    assert httpd.run(
        f"try:\n    apache.mpm_query({question})\nexcept (ValueError, OverflowError):\n    return 'refused'"
    )


def test_stat(httpd):
    """stat() answers an mp_finfo of what was wanted."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler stats",
        {
            "page.txt": "12345",
            "stats.py": """
                import json, os, pathlib
                from mod_python import apache

                def handler(req):
                    here = os.path.dirname(__file__)
                    path = here + "/page.txt"
                    full = apache.stat(path, apache.APR_FINFO_NORM)
                    few = apache.stat(pathlib.Path(path), apache.APR_FINFO_SIZE)
                    missing = apache.stat(here + "/missing", apache.APR_FINFO_NORM)
                    beyond = apache.stat(path + "/x", apache.APR_FINFO_MIN)
                    status = os.stat(path)
                    link = apache.stat(here + "/link", apache.APR_FINFO_LINK | apache.APR_FINFO_TYPE)
                    followed = apache.stat(os.fsencode(here) + b"/link", apache.APR_FINFO_TYPE)
                    req.finfo = full
                    req.write(json.dumps([
                        str(type(full)), len(full), full[apache.FINFO_SIZE] == full.size == 5,
                        full.inode == status.st_ino, full.mtime == int(status.st_mtime),
                        full.filetype == apache.APR_REG, full.fname == path,
                        few.size, missing.filetype == beyond.filetype == apache.APR_NOFILE,
                        missing.fname == here + "/missing", missing.size,
                        link.filetype == apache.APR_LNK, followed.filetype == apache.APR_REG,
                        req.finfo.size,
                    ]))
                    return apache.OK
                """,
        },
    )
    (site.directory / "link").symlink_to("page.txt")
    answers = site.get("x").json()
    assert answers == ["<class 'mp_finfo'>", 13] + [True] * 5 + [5, True, True, None, True, True, 5]


def test_stat_errors(httpd):
    """Other failures are OSErrors; a wrong argument is a TypeError, NUL a ValueError."""
    assert httpd.run(
        """
        import errno
        kinds = []
        for arguments in (("/" + "x" * 5000, 0), ("a\\0b", 0), (5, 0), ("x", "y")):
            try:
                apache.stat(*arguments)
            except Exception as error:
                kinds.append([type(error).__name__, getattr(error, "errno", 0) == errno.ENAMETOOLONG])
        return kinds
        """
    ) == [["OSError", True], ["ValueError", False], ["TypeError", False], ["TypeError", False]]


def test_resolve_object(httpd):
    """resolve_object() walks attributes and makes instances of classes on the way."""
    assert httpd.run(
        """
        import types
        module = types.ModuleType("spam")
        module.__file__ = "/spam.py"

        class Thing:
            def __init__(self, argument=None):
                self.argument = argument

        module.Thing, module.nested = Thing, types.SimpleNamespace(value=5)
        results = [
            apache.resolve_object(module, "nested.value"),
            apache.resolve_object(module, "Thing.argument", "eggs"),
            apache.resolve_object(module, "nested.missing", silent=1),
            apache.resolve_object(module, "missing", None, 1),
        ]
        try:
            apache.resolve_object(module, "nested.missing")
        except AttributeError as error:
            results.append(str(error))
        return results
        """
    ) == [5, "eggs", None, None, "module '/spam.py' contains no 'nested.missing'"]


def test_version_file(httpd):
    """mod_python.version is a plain source file with where and for what this was built."""
    names = ["HTTPD", "HTTPD_VERSION", "APR_VERSION", "LIBEXECDIR", "SYSCONFDIR", "PYTHON_BIN"]
    values = httpd.run(f"from mod_python import version\nreturn [getattr(version, n) for n in {names}]")
    values = dict(zip(names, values, strict=True))
    assert all(isinstance(value, str) for value in values.values())
    assert all(os.path.exists(values[name]) for name in ("HTTPD", "LIBEXECDIR", "SYSCONFDIR", "PYTHON_BIN"))
    assert values["HTTPD_VERSION"].startswith("2.4.")
    assert values["APR_VERSION"].startswith("1.")


def test_version_mismatch(httpd):
    """A package that is not the module's own is noticed in the log."""
    code = """
        import sys, types

        sys.modules["mod_python.version"] = fake = types.ModuleType("mod_python.version")
        fake.version = "0.0.spam"
        """
    server = httpd.unstarted("", {"site/sitecustomize.py": code})
    environ = (("PYTHONPATH", str(server.root / "site")),)
    server.process.settings = dataclasses.replace(server.process.settings, environ=environ)
    server.start()
    server.run("return 1")
    server.expect_log("KK0170: mod_python version mismatch, expected '.*', found '0.0.spam'[.]")


def test_package_outside_httpd():
    """The package, its version, httpdconf and cache can be imported outside httpd."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import mod_python, mod_python.version as v, mod_python.httpdconf, mod_python.cache\n"
            "assert mod_python.mp_version == v.version",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

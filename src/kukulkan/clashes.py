"""Directives that do not go together, or that this Apache module does not have."""

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kukulkan import installation
from kukulkan.directives import Configuration, Directive
from kukulkan.errors import KukulkanError
from kukulkan.findings import ERROR, WARNING, Finding
from mod_python import httpdconf

_DIRECTIVES = {name.lower(): name for name in httpdconf.__all__ if name.startswith("Python")}

# Directives of versions before 3.0.
_OLD = {"pythonnoreload": "Write PythonAutoReload Off."}

# Directives that Apache 2.4 has in mod_access_compat only, and those that it has no more.
_ACCESS = frozenset(("order", "allow", "deny", "satisfy"))
_OLD_APACHE = {
    "acceptmutex": "Write Mutex.",
    "authauthoritative": "Write AuthBasicAuthoritative.",
    "authdefaultauthoritative": "Take it out.",
    "authdigestfile": "Write AuthUserFile, and AuthDigestProvider file.",
    "authzdbmauthoritative": "Take it out, and join several Require by <RequireAny> or <RequireAll>.",
    "authzdefaultauthoritative": "Take it out.",
    "authzgroupfileauthoritative": "Take it out, and join several Require by <RequireAny> or <RequireAll>.",
    "authzuserauthoritative": "Take it out, and join several Require by <RequireAny> or <RequireAll>.",
    "lockfile": "Write Mutex.",
    "rewritelock": "Write Mutex.",
    "rewritelog": "Write LogLevel rewrite:trace3: it is in the error log.",
    "rewriteloglevel": "Write LogLevel rewrite:trace3, up to trace8.",
    "sslmutex": "Write Mutex.",
}
_OLD_MODULES = {
    "access_module": "authz_host_module",
    "auth_module": "auth_basic_module and authn_file_module",
    "auth_dbm_module": "authn_dbm_module",
    "authn_default_module": "nothing",
    "authz_default_module": "nothing",
    "disk_cache_module": "cache_disk_module",
    "imap_module": "imagemap_module",
    "mem_cache_module": "cache_socache_module",
}

# What takes the place of mod_wsgi's directives.
_WSGI = {
    "wsgiaccessscript": "PythonAccessHandler",
    "wsgiapplicationgroup": "PythonInterpreter: `%{GLOBAL}` is main_interpreter, `%{SERVER}` the default",
    "wsgiauthuserscript": "PythonAuthenHandler",
    "wsgiauthgroupscript": "PythonAuthzHandler",
    "wsgicallableobject": "`::NAME` in PythonOption mod_python.wsgi.application",
    "wsgidaemonprocess": "Take it out: programs run in Apache's own processes, and docs/deployment.md has their number",
    "wsgiimportscript": "PythonImport",
    "wsgipassauthorization": "Take it out: it is always so",
    "wsgiprocessgroup": "Take it out",
    "wsgipythonhome": "Take it out: the module finds its environment",
    "wsgipythonoptimize": "PythonOptimize",
    "wsgipythonpath": "PythonPath",
    "wsgiscriptreloading": "PythonAutoReload",
}


def examine(configuration: Configuration) -> Iterator[Finding]:
    """What of a configuration's own does not work with this module."""
    found = configuration.directives
    yield from _modules(found, configuration.root)
    yield from unknown(found)
    yield from of_old_apache(found)
    for directive in found:
        if directive.name.startswith("wsgi"):
            yield _wsgi(directive)


def unknown(found: Iterable[Directive]) -> Iterator[Finding]:
    """Directives that begin with Python and are none."""
    for directive in found:
        name = directive.name
        if not name.startswith("python") or name in _DIRECTIVES:
            continue
        near = difflib.get_close_matches(name, _DIRECTIVES, 1)
        meant = f"Did you mean {_DIRECTIVES[near[0]]}?" if near else "Take it out."
        what = f"there is no directive {directive.written}"
        yield Finding(directive.file, directive.line, ERROR, what, _OLD.get(name, meant))


def of_old_apache(found: Iterable[Directive]) -> Iterator[Finding]:
    """Directives of Apache 2.2 and before; those about access are told once for each section."""
    told = set()
    for directive in found:
        name, place = directive.name, (directive.file, directive.sections)
        old = (
            _OLD_MODULES.get(directive.arguments[0]) if name == "loadmodule" and directive.arguments else None
        )
        if name in _ACCESS and place not in told:
            told.add(place)
            what = f"{directive.written} is of Apache 2.2: in 2.4, what no Require grants may be forbidden"
            cure = "Write `Require all granted`, `Require all denied` or `Require ip ...`, and no Order, Allow and Deny."
            yield Finding(directive.file, directive.line, WARNING, what, cure)
        elif name in _OLD_APACHE:
            what = f"Apache 2.4 has no {directive.written}"
            yield Finding(directive.file, directive.line, ERROR, what, _OLD_APACHE[name])
        elif old:
            what = f"Apache 2.4 has no {directive.arguments[0]}"
            cure = "Take it out." if old == "nothing" else f"Load {old}."
            yield Finding(directive.file, directive.line, ERROR, what, cure)


def scripts(found: Iterable[Directive]) -> Iterator[tuple[Directive, str]]:
    """The scripts that mod_wsgi's directives name."""
    for directive in found:
        words = directive.arguments
        if directive.name in ("wsgiscriptalias", "wsgiscriptaliasmatch") and len(words) > 1:
            yield directive, words[1]
        elif directive.name in ("wsgiimportscript", "wsgiaccessscript", "wsgiauthuserscript") and words:
            yield directive, words[0]


def paths_of_wsgi(found: Iterable[Directive]) -> Iterator[str]:
    """The directories that mod_wsgi's directives put on the path."""
    for directive in found:
        if directive.name == "wsgipythonpath":
            yield from (place for word in directive.arguments for place in word.split(":"))
        elif directive.name == "wsgidaemonprocess":
            for word in directive.arguments:
                name, _, value = word.partition("=")
                if name in ("python-path", "home"):
                    yield from value.split(":")


def _wsgi(directive: Directive) -> Finding:
    words = directive.arguments
    if directive.name == "wsgiscriptalias" and len(words) > 1:
        module = re.sub(r"\W", "_", Path(words[1]).stem)
        cure = (
            f'Write <Location "{words[0]}"> with SetHandler mod_python, PythonHandler mod_python.wsgi, '
            f"PythonOption mod_python.wsgi.application {module}, and name its directory: "
            f"PythonPath \"sys.path + ['{Path(words[1]).parent}']\"."
        )
        if Path(words[1]).name != f"{module}.py":
            cure += f" Rename the file to {module}.py."
    else:
        place = _WSGI.get(directive.name, "Take it out")
        cure = f"{place}." if place.startswith("Take") else f"In its place: {place}."
    return Finding(directive.file, directive.line, WARNING, f"{directive.written} is mod_wsgi's", cure)


# LoadModule


def _modules(found: Iterable[Directive], root: Path) -> Iterator[Finding]:
    """Lines that do not go together, or are for another Python."""
    loads = [
        directive for directive in found if directive.name == "loadmodule" and len(directive.arguments) > 1
    ]
    ours = [load for load in loads if load.arguments[0] == "python_module"]
    own = _own_module()
    for load in ours:
        yield from _python_module(load, root / load.arguments[1], own)
    for other in ours[1:]:
        what = f"python_module is loaded twice; {ours[0].file}:{ours[0].line} comes first and is the one that works"
        yield Finding(
            other.file, other.line, ERROR, what, f"Take one of the two lines out{_a2dismod(other)}."
        )
    for load in loads:
        if load.arguments[0] == "wsgi_module" and ours:
            what = "mod_wsgi beside Kukulkan: both start Python in the same process, and each expects to be the one"
            cure = f"Take it out{_a2dismod(load)}, and serve its applications with PythonHandler mod_python.wsgi."
            yield Finding(load.file, load.line, ERROR, what, cure)


def _python_module(load: Directive, file: Path, own: Path | None) -> Iterator[Finding]:
    if own is None or (file.exists() and file.samefile(own)):
        return
    cure = f"For this environment the line is: LoadModule python_module {own}"
    if file.with_name("_importer.py").exists():
        what = f"{file} is of another environment than this command"
        cure = f"Run the `kukulkan` of that environment, or change the line. {cure}"
        yield Finding(load.file, load.line, WARNING, what, cure)
    elif not file.exists():
        yield Finding(load.file, load.line, ERROR, f"there is no {file}", cure)
    else:
        what = f"{file} is not Kukulkan's module; it may be that of the old project"
        yield Finding(load.file, load.line, ERROR, what, cure)


def _a2dismod(load: Directive) -> str:
    """How Debian has it done."""
    file = Path(load.file)
    return f" (a2dismod {file.stem})" if file.parent.name == "mods-enabled" else ""


def _own_module() -> Path | None:
    try:
        return installation.module_file()
    except KukulkanError:
        return None

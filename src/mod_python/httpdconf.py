"""Apache configurations as Python objects.

    >>> print(Directory("/srv/www", SetHandler("mod_python"), PythonHandler("hello")))
    <Directory /srv/www>
      SetHandler mod_python
      PythonHandler hello
    </Directory>

str() of an object is configuration, repr() the Python that makes it. It works outside
httpd, too.
"""

import grp
import os
import pwd
from collections.abc import Sequence

import mod_python.version
from kukulkan.readable import CHILD_ACCOUNTS
from mod_python._httpdconf import (
    Comment,
    Container,
    ContainerTag,
    Directive,
    NamedDirective,
    NamedTag,
    quote_if_space,
)

__all__ = [
    "AddHandler",
    "AddOutputFilter",
    "AddType",
    "AuthBasicAuthoritative",
    "AuthBasicProvider",
    "AuthName",
    "AuthType",
    "Comment",
    "Container",
    "ContainerTag",
    "CustomLog",
    "Directive",
    "Directory",
    "DirectoryIndex",
    "DocumentRoot",
    "ErrorLog",
    "Files",
    "IfModule",
    "KeepAliveTimeout",
    "Listen",
    "LoadModule",
    "Location",
    "LockFile",
    "LogFormat",
    "LogLevel",
    "MaxClients",
    "MaxConnectionsPerChild",
    "MaxRequestsPerChild",
    "MaxSpareServers",
    "MaxSpareThreads",
    "MaxThreadsPerChild",
    "MinSpareThreads",
    "Mutex",
    "NameVirtualHost",
    "NumServers",
    "Options",
    "PidFile",
    "PythonAccessHandler",
    "PythonAllowOverride",
    "PythonAuthenHandler",
    "PythonAuthzHandler",
    "PythonAutoReload",
    "PythonCleanupHandler",
    "PythonConnectionHandler",
    "PythonConnectionInputFilter",
    "PythonConnectionOutputFilter",
    "PythonDebug",
    "PythonEnablePdb",
    "PythonFixupHandler",
    "PythonHandler",
    "PythonHandlerModule",
    "PythonHeaderParserHandler",
    "PythonHome",
    "PythonImport",
    "PythonInitHandler",
    "PythonInputFilter",
    "PythonInterpGIL",
    "PythonInterpPerDirective",
    "PythonInterpPerDirectory",
    "PythonInterpPool",
    "PythonInterpreter",
    "PythonLogHandler",
    "PythonOptimize",
    "PythonOption",
    "PythonOutputFilter",
    "PythonPath",
    "PythonPostReadRequestHandler",
    "PythonRequestTimeout",
    "PythonShutdownTimeout",
    "PythonTransHandler",
    "PythonTypeHandler",
    "Require",
    "ServerAdmin",
    "ServerName",
    "ServerPath",
    "ServerRoot",
    "SetHandler",
    "StartServers",
    "StartThreads",
    "ThreadsPerChild",
    "Timeout",
    "TypesConfig",
    "VirtualHost",
    "quote_if_space",
    "write_basic_config",
]


class _AsIs(NamedDirective):
    """A directive in which a backslash is one."""

    flips = 0


class _Flag(NamedDirective):
    """A directive that is off if nothing is said."""

    def __init__(self, val: str = "Off") -> None:
        """See Directive."""
        super().__init__(val)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.val!r})"


# Sections


class Directory(NamedTag):
    """Directory(path, *contents)"""


class Files(NamedTag):
    """Files(name, *contents)"""


class IfModule(NamedTag):
    """IfModule(name, *contents)"""


class Location(NamedTag):
    """Location(path, *contents)"""


class VirtualHost(NamedTag):
    """VirtualHost(address, *contents)"""


# Directives, each with its arguments as one text


class LogFormat(_AsIs):
    """LogFormat(val)"""


class PythonPath(_AsIs):
    """PythonPath(val)"""


class PythonInterpPerDirectory(_Flag):
    """PythonInterpPerDirectory(val="Off")"""


class PythonInterpPerDirective(_Flag):
    """PythonInterpPerDirective(val="Off")"""


def _directive(name: str) -> type[NamedDirective]:
    return type(name, (NamedDirective,), {"__doc__": f"{name}(val)", "__module__": __name__})


AddHandler = _directive("AddHandler")
AddOutputFilter = _directive("AddOutputFilter")
AddType = _directive("AddType")
AuthBasicAuthoritative = _directive("AuthBasicAuthoritative")
AuthBasicProvider = _directive("AuthBasicProvider")
AuthName = _directive("AuthName")
AuthType = _directive("AuthType")
CustomLog = _directive("CustomLog")
DirectoryIndex = _directive("DirectoryIndex")
DocumentRoot = _directive("DocumentRoot")
ErrorLog = _directive("ErrorLog")
KeepAliveTimeout = _directive("KeepAliveTimeout")
Listen = _directive("Listen")
LoadModule = _directive("LoadModule")
LockFile = _directive("LockFile")
LogLevel = _directive("LogLevel")
MaxClients = _directive("MaxClients")
MaxConnectionsPerChild = _directive("MaxConnectionsPerChild")
MaxRequestsPerChild = _directive("MaxRequestsPerChild")
MaxSpareServers = _directive("MaxSpareServers")
MaxSpareThreads = _directive("MaxSpareThreads")
MaxThreadsPerChild = _directive("MaxThreadsPerChild")
MinSpareThreads = _directive("MinSpareThreads")
Mutex = _directive("Mutex")
NameVirtualHost = _directive("NameVirtualHost")
NumServers = _directive("NumServers")
Options = _directive("Options")
PidFile = _directive("PidFile")
Require = _directive("Require")
ServerAdmin = _directive("ServerAdmin")
ServerName = _directive("ServerName")
ServerPath = _directive("ServerPath")
ServerRoot = _directive("ServerRoot")
SetHandler = _directive("SetHandler")
StartServers = _directive("StartServers")
StartThreads = _directive("StartThreads")
ThreadsPerChild = _directive("ThreadsPerChild")
Timeout = _directive("Timeout")
TypesConfig = _directive("TypesConfig")
PythonAccessHandler = _directive("PythonAccessHandler")
PythonAllowOverride = _directive("PythonAllowOverride")
PythonAuthenHandler = _directive("PythonAuthenHandler")
PythonAuthzHandler = _directive("PythonAuthzHandler")
PythonAutoReload = _directive("PythonAutoReload")
PythonCleanupHandler = _directive("PythonCleanupHandler")
PythonConnectionHandler = _directive("PythonConnectionHandler")
PythonConnectionInputFilter = _directive("PythonConnectionInputFilter")
PythonConnectionOutputFilter = _directive("PythonConnectionOutputFilter")
PythonDebug = _directive("PythonDebug")
PythonEnablePdb = _directive("PythonEnablePdb")
PythonFixupHandler = _directive("PythonFixupHandler")
PythonHandler = _directive("PythonHandler")
PythonHandlerModule = _directive("PythonHandlerModule")
PythonHeaderParserHandler = _directive("PythonHeaderParserHandler")
PythonHome = _directive("PythonHome")
PythonImport = _directive("PythonImport")
PythonInitHandler = _directive("PythonInitHandler")
PythonInputFilter = _directive("PythonInputFilter")
PythonInterpGIL = _directive("PythonInterpGIL")
PythonInterpPool = _directive("PythonInterpPool")
PythonInterpreter = _directive("PythonInterpreter")
PythonLogHandler = _directive("PythonLogHandler")
PythonOptimize = _directive("PythonOptimize")
PythonOption = _directive("PythonOption")
PythonOutputFilter = _directive("PythonOutputFilter")
PythonPostReadRequestHandler = _directive("PythonPostReadRequestHandler")
PythonRequestTimeout = _directive("PythonRequestTimeout")
PythonShutdownTimeout = _directive("PythonShutdownTimeout")
PythonTransHandler = _directive("PythonTransHandler")
PythonTypeHandler = _directive("PythonTypeHandler")


# A small server


def write_basic_config(
    server_root: str,
    listen: str = "0.0.0.0:8888",
    conf: str = "conf",
    logs: str = "logs",
    htdocs: str = "public",
    pythonhandler: str = "mod_python.publisher",
    pythonpath: Sequence[str] = (),
    pythonoptions: Sequence[str] = (),
    mp_comments: Sequence[str] = (),
    conf_name: str = "httpd_conf.py",
    createdirs: bool = True,
    replace_config: bool = False,
) -> str | None:
    """Write a script that prints the configuration of a small, complete server.

    Args:
        server_root: Its directory.
        listen: Port, or address:port.
        conf, logs, htdocs: Directories, absolute or in server_root.
        pythonhandler: What answers all requests.
        pythonpath: Directories to have in sys.path.
        pythonoptions: "key value" each.
        mp_comments: Lines of comment with the Python directives.
        conf_name: The script's name, in conf.
        createdirs: Make the directories that do not exist.
        replace_config: Write over a script that exists.

    Returns:
        The script's name; None if it exists and replace_config is false.

    Raises:
        OSError: Something cannot be written.
        ValueError: Something given is more than one line.
    """
    root = os.path.abspath(server_root)
    places = [os.path.join(root, name) for name in (conf, logs, htdocs)]
    script = os.path.join(places[0], conf_name)
    if os.path.exists(script) and not replace_config:
        return None
    python = Container(
        *(Comment(line) for line in mp_comments),
        *(
            [PythonPath(_quoted(f"sys.path+{list(map(os.path.abspath, pythonpath))!r}"))]
            if pythonpath
            else []
        ),
        *map(PythonOption, pythonoptions),
    )
    configuration = Container(
        Comment(f"Printed by {script}: change that, and print again."),
        _server(root, listen, places[1], places[2]),
        _modules(places[1]),
        python,
        Directory("/", Directive("AllowOverride", "None"), Require("all denied")),
        Directory(
            _quoted(places[2]),
            Require("all granted"),
            SetHandler("mod_python"),
            PythonHandler(pythonhandler),
            Comment("Tracebacks in the browser; for development only."),
            PythonDebug("Off"),
        ),
    )
    if createdirs:
        for place in (root, *places):
            os.makedirs(place, exist_ok=True)
    with open(script, "w", encoding="utf-8") as file:
        file.write(_SCRIPT.format(script=script, configuration=configuration))
    return script


_SCRIPT = '''\
"""Prints the configuration of a server: change it here, and run

    kukulkan genconfig {script}
"""

from mod_python.httpdconf import *

configuration = {configuration!r}

print(configuration, end="")
'''

#: Apache's modules that the server uses, if they are there, of the MPMs the first.
_MPMS = ("mpm_event", "mpm_worker", "mpm_prefork")
_MODULES = (
    "unixd", "authn_core", "authz_core", "authz_host", "authz_user", "auth_basic", "mime", "dir", "log_config",
)  # fmt: skip


def _quoted(text: str) -> str:
    """An argument, in quotation marks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _server(root: str, listen: str, logs: str, htdocs: str) -> Container:
    return Container(
        ServerRoot(_quoted(root)),
        ServerName("localhost"),
        Listen(listen),
        Directive("DefaultRuntimeDir", _quoted(logs)),
        PidFile(_quoted(os.path.join(logs, "httpd.pid"))),
        ErrorLog(_quoted(os.path.join(logs, "error_log"))),
        LogLevel("warn python_module:info"),
        DocumentRoot(_quoted(htdocs)),
        Container(*_account(), only_if="os.geteuid() == 0"),
    )


def _account() -> list[Directive]:
    for name in CHILD_ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
            return [Directive("User", name), Directive("Group", grp.getgrgid(account.pw_gid).gr_name)]
        except KeyError:
            continue
    return []


def _modules(logs: str) -> Container:
    """Lines that load what is not built into the program."""
    modules = Container()
    for name in [*[mpm for mpm in _MPMS if _file_of(mpm)][:1], *_MODULES]:
        file = _file_of(name)
        if file:
            modules.append(IfModule(f"!{name}_module", LoadModule(f"{name}_module {_quoted(file)}")))
    modules.append(IfModule("mime_module", TypesConfig("/dev/null"), *map(AddType, _TYPES)))
    log_format = LogFormat(r'"%h %l %u %t \"%r\" %>s %b" common')
    modules.append(
        IfModule(
            "log_config_module", log_format, CustomLog(f"{_quoted(os.path.join(logs, 'access_log'))} common")
        )
    )
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mod_python.so")
    modules.append(LoadModule(f"python_module {_quoted(own)}"))
    return modules


#: Media types of what lies beside pages; Apache's own table is not on every system.
_TYPES = (
    "text/html .html",
    "text/css .css",
    "text/javascript .js",
    "text/plain .txt",
    "image/png .png",
    "image/svg+xml .svg",
)


def _file_of(module: str) -> str | None:
    file = os.path.join(mod_python.version.LIBEXECDIR, f"mod_{module}.so")
    return file if os.path.exists(file) else None

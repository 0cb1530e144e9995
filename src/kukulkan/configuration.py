"""The httpd.conf of `kukulkan serve`, written from settings; nothing is read or run here."""

from dataclasses import dataclass
from pathlib import Path

from kukulkan import httpd as apache
from kukulkan.readable import Account
from kukulkan.syntax import plain_path, quote, quote_path
from kukulkan.target import Application, Site

# Apache's table of media types is in a file that not every system has.
MEDIA_TYPES = {
    "application/json": "json map",
    "application/manifest+json": "webmanifest",
    "application/pdf": "pdf",
    "application/wasm": "wasm",
    "application/xml": "xml",
    "application/zip": "zip",
    "audio/mpeg": "mp3",
    "font/woff2": "woff2",
    "image/avif": "avif",
    "image/gif": "gif",
    "image/jpeg": "jpeg jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/vnd.microsoft.icon": "ico",
    "image/webp": "webp",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "html htm",
    "text/javascript": "js mjs",
    "text/plain": "txt md log",
    "video/mp4": "mp4",
    "video/webm": "webm",
}

# Modules that are not for the public, Python files of other kinds, editors' copies of either.
FILES_DENIED = r"(?i)^\.|^_.*\.py$|\.py([cdiowxz]|~|,v|\..+)$|~$|^#.*#$|\.(bak|orig|rej|sw[a-p])$"

# By URL, so that a site may lie below a directory with a dot.
URLS_DENIED = r"(?i)/(\.(?!well-known/)|__pycache__(/|$))"

ERROR_LOG_FORMAT = "[%{c}t] [%l] [pid %P] %M"


@dataclass(frozen=True)
class Settings:
    """What the options of `kukulkan serve` say, defaults filled in."""

    host: str
    port: int
    mpm: str
    processes: int
    threads: int
    reload: bool
    debug: bool
    access_log: bool
    account: Account | None  # who Apache's children become; None: who started it


def write(
    target: Site | Application,
    settings: Settings,
    httpd: apache.Httpd,
    load_python: str,
    server_root: Path,
) -> str:
    """The whole configuration.

    Args:
        load_python: the `LoadModule` line of the Python module.
        server_root: a directory for Apache's own files.

    Raises:
        KukulkanError: Apache lacks a module, or a path cannot be written down.
    """
    blocks = [
        [*apache.load_lines(httpd, modules_for(target, settings)), load_python],
        _server(settings, server_root),
        _processes(settings),
        _logs(settings),
        _python(settings),
        ["<Directory />", "    AllowOverride None", "    Require all denied", "</Directory>"],
        _site(target) if isinstance(target, Site) else _application(target, server_root),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def modules_for(target: Site | Application, settings: Settings) -> list[str]:
    """Apache's modules that the configuration uses."""
    modules = [f"mod_mpm_{settings.mpm}"] if settings.mpm else []
    modules += ["mod_unixd", "mod_authz_core"]
    if isinstance(target, Site):
        # The last three let an .htaccess file say from where, and ask for a password that
        # Python checks.
        modules += ["mod_mime", "mod_dir", "mod_authz_host", "mod_authn_core", "mod_authz_user"]
    if settings.access_log:
        modules.append("mod_log_config")
    return modules


def _server(settings: Settings, server_root: Path) -> list[str]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    lines = [
        f"ServerRoot {quote_path(server_root)}",
        f"DefaultRuntimeDir {quote_path(server_root)}",
        "PidFile httpd.pid",
        "ServerName localhost",
        f"Listen {host}:{settings.port}",
    ]
    if settings.account:
        lines += [f"User {settings.account.name}", f"Group {settings.account.group}"]
    return lines


def _processes(settings: Settings) -> list[str]:
    """As many children as asked for from the start, and no more later."""
    processes = settings.processes
    lines = [f"StartServers {processes}", f"ServerLimit {processes}"]
    if settings.mpm == "prefork":
        return [*lines, "MinSpareServers 1", f"MaxSpareServers {processes}", f"MaxRequestWorkers {processes}"]
    workers = processes * settings.threads
    return [
        *lines,
        f"ThreadLimit {settings.threads}",
        f"ThreadsPerChild {settings.threads}",
        "MinSpareThreads 1",
        f"MaxSpareThreads {workers + settings.threads}",
        f"MaxRequestWorkers {workers}",
    ]


def _logs(settings: Settings) -> list[str]:
    lines = [
        "ErrorLog /dev/stderr",
        f'ErrorLogFormat "{ERROR_LOG_FORMAT}"',
        "LogLevel warn python_module:info",
    ]
    if settings.access_log:
        lines.append(r'CustomLog /dev/stderr "%h %t \"%r\" %>s %b"')
    return lines


def _python(settings: Settings) -> list[str]:
    return [
        "# Many compiled extensions load into a process's main interpreter only.",
        "PythonInterpreter main_interpreter",
        f"PythonAutoReload {_on(settings.reload)}",
        f"PythonDebug {_on(settings.debug)}",
    ]


def _site(site: Site) -> list[str]:
    root = quote_path(site.root)
    types = [f"AddType {media_type} {suffixes}" for media_type, suffixes in MEDIA_TYPES.items()]
    return [
        "TypesConfig /dev/null",
        *types,
        "AddDefaultCharset utf-8",
        "",
        f"DocumentRoot {root}",
        "DirectoryIndex index.html index.py",
        f"<Directory {root}>",
        "    Require all granted",
        "    AllowOverride All",
        "    Options FollowSymLinks",
        "    PythonHandler kukulkan.site",
        r'    <FilesMatch "(?i)\.py$">',
        "        SetHandler python-program",
        "    </FilesMatch>",
        r'    <FilesMatch "(?i)\.psp$">',
        "        SetHandler python-program",
        "        PythonHandler mod_python.psp",
        "    </FilesMatch>",
        "</Directory>",
        "",
        f'<FilesMatch "{FILES_DENIED}">',
        "    Require all denied",
        "</FilesMatch>",
        f'<LocationMatch "{URLS_DENIED}">',
        "    Require all denied",
        "</LocationMatch>",
    ]


def _application(application: Application, server_root: Path) -> list[str]:
    """Every URL goes to the handler; below it lies an empty directory, so that nothing else can answer."""
    empty = quote_path(server_root / "empty")
    import_path = quote(f"[{plain_path(application.import_path)!r}] + sys.path")
    return [
        f"DocumentRoot {empty}",
        f"<Directory {empty}>",
        "    Require all granted",
        "</Directory>",
        '<Location "/">',
        "    SetHandler python-program",
        f"    PythonPath {import_path}",
        *_handler(application),
        "</Location>",
    ]


def _handler(application: Application) -> list[str]:
    if not application.is_wsgi:
        return [f"    PythonHandler {application.handler}"]
    return [
        "    PythonHandler mod_python.wsgi",
        f"    PythonOption mod_python.wsgi.application {application.handler}",
    ]


def _on(flag: bool) -> str:
    return "On" if flag else "Off"

"""Finding Apache and asking it what it has built in."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kukulkan.errors import KukulkanError
from mod_python import version

# The best first: event holds idle connections without a thread each.
MPMS = ("event", "worker", "prefork")

NO_HTTPD = """\
Apache was not found. Install it, or name its program with --httpd:
  Debian, Ubuntu:  apt-get install apache2
  Fedora:          dnf install httpd
  Alpine:          apk add apache2
  macOS:           brew install httpd
  without root:    pip install mod_wsgi-httpd"""


@dataclass(frozen=True)
class Httpd:
    """An Apache that can be run."""

    program: Path
    modules: Path
    builtin: frozenset[str]  # "core", "mod_so", "mod_mpm_event": compiled into the program

    def has(self, module: str) -> bool:
        """Whether `mod_NAME` can be used, built in or loaded."""
        return module in self.builtin or (self.modules / f"{module}.so").is_file()

    def environment(self) -> dict[str, str]:
        """The environment to run it in: its own libapr comes first, where it brings one."""
        return _environment(self.program)


def find(named: str | None = None) -> Httpd:
    """The Apache named, or this environment's own, or the one the module was built for.

    Raises:
        KukulkanError: there is none, or it cannot be run.
    """
    program = _program(named)
    try:
        listing = subprocess.run(
            [program, "-l"], env=_environment(program), capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        details = getattr(error, "stderr", None) or str(error)
        raise KukulkanError(f"{program} is not an Apache that runs here: {details.strip()}") from error
    files = [Path(line.strip()).stem for line in listing.splitlines()[1:]]
    builtin = frozenset(f"mod_mpm_{file}" if file in MPMS else file for file in files)
    return Httpd(program, _modules_directory(program), builtin)


def choose_mpm(httpd: Httpd, wanted: str | None) -> str:
    """The multi-processing module to run: the one wanted, or the best there is.

    Raises:
        KukulkanError: Apache has none, or not that one.
    """
    fixed = [mpm for mpm in MPMS if f"mod_mpm_{mpm}" in httpd.builtin]
    available = fixed or [mpm for mpm in MPMS if httpd.has(f"mod_mpm_{mpm}")]
    if not available:
        raise KukulkanError(f"{httpd.program} has no multi-processing module in {httpd.modules}.")
    if wanted is None:
        return available[0]
    if wanted not in available:
        raise KukulkanError(f"{httpd.program} has no {wanted} MPM; it has {', '.join(available)}.")
    return wanted


def load_lines(httpd: Httpd, modules: Iterable[str]) -> list[str]:
    """`LoadModule` lines for the modules that are not built in.

    Raises:
        KukulkanError: one of them is missing.
    """
    lines = []
    for module in modules:
        if module in httpd.builtin:
            continue
        file = httpd.modules / f"{module}.so"
        if not file.is_file():
            raise KukulkanError(f"{httpd.program} lacks {module}: there is no {file}.")
        lines.append(f'LoadModule {module.removeprefix("mod_")}_module "{file}"')
    return lines


def _program(named: str | None) -> Path:
    if named:
        found = shutil.which(named)
        if not found:
            raise KukulkanError(f"There is no program {named!r} (--httpd).")
        return Path(found).absolute()
    own = Path(sysconfig.get_path("platlib"), "mod_wsgi_packages", "httpd", "bin", "httpd")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/apache2/bin"])
    for candidate in (str(own), version.HTTPD, "httpd", "apache2"):
        found = shutil.which(candidate, path=path)
        if found:
            return Path(found).absolute()
    raise KukulkanError(NO_HTTPD)


def _modules_directory(program: Path) -> Path:
    """Where an Apache keeps its modules: as it was built for, or as distributions lay it out."""
    prefix = program.parent.parent
    candidates = [prefix / "modules"]
    for library in ("lib", "lib64", "libexec"):
        for name in ("apache2/modules", "httpd/modules", "apache2", "httpd"):
            candidates.append(prefix / library / name)
    # A wrapper can be anywhere.
    built_for = Path(version.LIBEXECDIR)
    candidates.insert(0 if program == Path(version.HTTPD) else len(candidates), built_for)
    for candidate in candidates:
        if (candidate / "mod_authz_core.so").is_file():
            return candidate
    return candidates[0]


def _environment(program: Path) -> dict[str, str]:
    """An Apache from PyPI was linked in a directory that is gone; its libraries lie beside it."""
    environment = dict(os.environ)
    libraries = program.parent.parent / "lib"
    if (libraries / "libapr-1.so.0").exists() or (libraries / "libapr-1.0.dylib").exists():
        for variable in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            environment[variable] = os.pathsep.join(filter(None, [str(libraries), os.environ.get(variable)]))
    return environment

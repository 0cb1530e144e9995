"""The Apache and the module under test: where they are and what they can do.

Apache is the one the module was built for (`mod_python.version`); HTTPD in the
environment overrides it. The module is that of the environment pytest runs in.
"""

import atexit
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

MODULE = Path(sysconfig.get_path("platlib"), "mod_python", "mod_python.so")
ROOTS = Path(__file__).with_name("lsan_roots.c")
SANITIZED = os.environ.get("KUKULKAN_ASAN") == "1"
# Everything is several times slower under the sanitizers.
PATIENCE = 6 if SANITIZED else 1


@dataclass(frozen=True)
class Apache:
    """An installed Apache."""

    httpd: str
    libexecdir: Path
    version: str
    static_modules: frozenset[str]

    def has_module(self, name: str) -> bool:
        """Whether mod_`name` can be used, compiled in or loaded."""
        return name in self.static_modules or (self.libexecdir / f"mod_{name}.so").exists()

    def load_lines(self, names: list[str]) -> list[str]:
        """The LoadModule lines for the modules named that are not compiled in."""
        return [
            f'LoadModule {name}_module "{self.libexecdir}/mod_{name}.so"'
            for name in names
            if name not in self.static_modules
        ]


@functools.cache
def find_apache() -> Apache:
    """The Apache to test with; raises LookupError if there is none."""
    httpd, libexecdir = _locate()
    listing = _output(httpd, "-l")
    return Apache(
        httpd=httpd,
        libexecdir=Path(libexecdir),
        version=_output(httpd, "-v").split("version: ")[1].split("\n")[0],
        static_modules=frozenset(re.findall(r"(?:mod_)?(\w+)\.c", listing)),
    )


def _locate() -> tuple[str, str]:
    """Paths of httpd and of its modules."""
    if importlib.util.find_spec("mod_python") and importlib.util.find_spec("mod_python.version"):
        from mod_python import version

        return os.environ.get("HTTPD", version.HTTPD), version.LIBEXECDIR
    apxs = os.environ.get("APXS") or shutil.which("apxs")
    if apxs is None:
        raise LookupError("neither an installed module nor apxs tells where Apache is")
    sbindir, progname = _output(apxs, "-q", "SBINDIR"), _output(apxs, "-q", "PROGNAME")
    return f"{sbindir}/{progname}", _output(apxs, "-q", "LIBEXECDIR")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sanitizer_environ(logs: Path) -> dict[str, str]:
    """What Apache's environment needs for a module built with the sanitizers.

    Their reports become files `logs/sanitizer.*`. Leaks are those of each process at its
    end. The blocks of dynamic thread-local storage are not looked for: where a thread ends
    meanwhile, that crashes LeakSanitizer (GCC 12: "Tracer caught signal 11").
    """
    if not SANITIZED:
        return {}
    libraries = [_output("gcc", f"-print-file-name=lib{name}.so") for name in ("asan", "ubsan")]
    options = f"log_path={logs}/sanitizer:print_stacktrace=1"
    return {
        "LD_PRELOAD": " ".join(map(os.path.realpath, [*libraries, _lsan_roots()])),
        "ASAN_OPTIONS": f"{options}:detect_leaks=1:intercept_tls_get_addr=0",
        "UBSAN_OPTIONS": options,
        "PYTHONMALLOC": "malloc",
    }


@functools.cache
def _lsan_roots() -> Path:
    """The library made of lsan_roots.c, where every user can read it; it goes with the process."""
    directory = Path(tempfile.mkdtemp(prefix="kukulkan-lsan-"))
    atexit.register(shutil.rmtree, directory)
    directory.chmod(0o755)
    library = directory / "lsan_roots.so"
    _output("gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOTS))
    return library

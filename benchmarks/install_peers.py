"""Install what the benchmarks compare Kukulkan with.

Debian's packages enable the modules they bring for every Apache of the machine;
those that were not enabled before are disabled again, since the benchmarks load
them by themselves. The mod_wsgi of PyPI goes into an environment of its own.
"""

import os
import shutil
import subprocess
import sys

from peers import ENVIRONMENT, MOD_WSGI

PACKAGES = {
    "libapache2-mod-python": "python",
    "libapache2-mod-perl2": "perl",
    "libapache2-mod-wsgi-py3": "wsgi",
}
"""Debian's packages, and the names of the modules they enable."""

TOOLS = ("wrk", "apache2-utils", "nghttp2-client")
"""Debian's packages of what puts load on them: wrk, ab and h2load."""


def run(*command: str) -> None:
    """Run `command`, showing it and what it says."""
    print("$", *command, flush=True)
    subprocess.run(command, check=True)


def enabled(module: str) -> bool:
    """Whether Debian's own Apache loads `module`; without its package apache2 it loads none."""
    if shutil.which("a2query") is None:
        return False
    return subprocess.run(["a2query", "-q", "-m", module], check=False).returncode == 0


def install_packages() -> None:
    """Debian's packages, with no change to which modules are enabled."""
    added = [module for module in PACKAGES.values() if not enabled(module)]
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "update", "-q")
    run("apt-get", "install", "-y", "--no-install-recommends", *PACKAGES, *TOOLS)
    for module in added:
        if enabled(module):
            run("a2dismod", "--force", module)


def install_mod_wsgi() -> None:
    """The mod_wsgi of PyPI, built for this Python."""
    run(sys.executable, "-m", "venv", str(ENVIRONMENT))
    run(str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", MOD_WSGI)


def main() -> int:
    """Install the packages where that is possible, and mod_wsgi."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        install_packages()
    else:
        print("Not root on Debian or Ubuntu: leaving out", ", ".join(PACKAGES), file=sys.stderr)
    install_mod_wsgi()
    return 0


if __name__ == "__main__":
    sys.exit(main())

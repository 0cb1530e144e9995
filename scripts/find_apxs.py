"""Print the path of apxs, Apache's tool for building modules.

Looked for, in this order: the APXS environment variable; the Apache that the
`mod_wsgi-httpd` distribution installs into this environment; PATH; the
directories where distributions put it.
"""

import os
import shutil
import sys
import sysconfig

HELP = """\
apxs, Apache's tool for building modules, was not found. Install Apache's development files:
  Debian, Ubuntu:  apt-get install apache2-dev
  Fedora:          dnf install httpd-devel
  Alpine:          apk add apache2-dev
  macOS:           brew install httpd
  without root:    pip install mod_wsgi-httpd   (builds Apache itself; then install kukulkan again)
or set APXS=/path/to/apxs."""


def find_apxs() -> str | None:
    """The path of apxs, or None."""
    named = os.environ.get("APXS")
    if named:
        return shutil.which(named)
    # The apxs beside that Apache's programs names directories of its build, which are gone;
    # this command of the same distribution corrects them.
    own = shutil.which("mod_wsgi-apxs", path=sysconfig.get_path("scripts"))
    if own:
        return own
    search = [
        *os.environ.get("PATH", os.defpath).split(os.pathsep),
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/apache2/bin",
        "/opt/homebrew/bin",
    ]
    for name in ("apxs", "apxs2"):
        found = shutil.which(name, path=os.pathsep.join(search))
        if found:
            return found
    return None


if __name__ == "__main__":
    apxs = find_apxs()
    if apxs is None:
        named = os.environ.get("APXS")
        sys.exit(f"There is no program {named}, which APXS names: correct or unset it." if named else HELP)
    print(apxs)

"""Make the environment that the Makefile works in; a second run finds nothing to do.

Run by the Python that the environment is for. In this order: the Python is
checked, then that Apache's children can read it and this checkout, then the
system's packages (installed by apt-get for root on Debian and Ubuntu, named
otherwise), then the virtual environment and the Python packages.

Everything before the first check must parse on any Python 3.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

OLDEST = (3, 11)

PYTHON_CURE = """\
Name another with `make PYTHON=/path/to/python3`:
  Debian 12, Ubuntu 24.04 or later, Fedora:  /usr/bin/python3
  pyenv:    PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.13
  uv:       uv python install 3.13
  macOS:    brew install python@3.13"""

INSTALL = {
    "Debian, Ubuntu": "apt-get install",
    "Fedora": "dnf install",
    "Alpine": "apk add",
    "macOS": "brew install",
}

# Where other versions of Python have packages beside those of the default: python3.13-dev.
VERSIONED = ("Debian, Ubuntu", "Fedora")
SYSTEM_PYTHON = "/usr/bin/python3"

# What must be there, and the packages that have it, in the order of INSTALL.
# Debian's apache2 would also start a server on port 80; apache2-bin is the program alone.
PACKAGES = {
    "apache": ("apache2-bin", "httpd", "apache2", "httpd"),
    "apxs": ("apache2-dev", "httpd-devel", "apache2-dev", "httpd"),
    "compiler": ("gcc libc6-dev", "gcc", "build-base", ""),
    "headers": ("python3-dev", "python3-devel", "python3-dev", "python@3.13"),
    "venv": ("python3-venv", "python3", "python3", "python@3.13"),
}


def main():
    """Set up what the arguments ask for; an exit with a message for what only a person can cure."""
    parser = argparse.ArgumentParser(description="Make a virtual environment for building Kukulkan.")
    parser.add_argument("--venv", required=True, help="directory of the virtual environment")
    parser.add_argument("--group", action="append", default=[], help="dependency group of pyproject.toml")
    options = parser.parse_args()
    venv = os.path.abspath(options.venv)
    os.umask(0o022)  # Apache's children are to read what is made here
    check_python()
    check_readable(venv)
    provide_system_packages(venv)
    make_venv(venv)
    install_python_packages(venv, options.group)


def check_python():
    """Refuse a Python that Apache cannot load."""
    version = sys.version.split()[0]
    if sys.version_info < OLDEST or sys.implementation.name != "cpython":
        wanted = ".".join(map(str, OLDEST))
        sys.exit(
            "Kukulkan needs CPython {} or later; {} is {}.\n{}".format(
                wanted, sys.executable, version, PYTHON_CURE
            )
        )
    if not (sysconfig.get_config_var("Py_ENABLE_SHARED") or sysconfig.get_config_var("PYTHONFRAMEWORK")):
        sys.exit(
            "{} ({}) was built without its shared library, libpython: a server cannot load it.\n{}".format(
                sys.executable, version, PYTHON_CURE
            )
        )


def check_readable(venv):
    """Refuse, as root, an interpreter or a checkout that Apache's children could not read."""
    from pathlib import Path

    sys.path.insert(0, os.path.join(ROOT, "src"))
    from kukulkan import readable
    from kukulkan.errors import KukulkanError

    parent = Path(venv) if os.path.isdir(venv) else Path(venv).parent
    try:
        account = readable.child_account()
        readable.require_readable(
            readable.interpreter_paths(), account, "Or name another Python: make PYTHON=/usr/bin/python3"
        )
        readable.require_readable(
            [Path(ROOT), parent], account, "Or move this checkout to where everybody may read, such as /srv."
        )
    except KukulkanError as error:
        sys.exit("Apache could not serve from here, so nothing was built. {}".format(error))


def missing_features(venv):
    """The keys of PACKAGES that this system, and the environment to build into, lack."""
    own_apache = os.path.exists(os.path.join(venv, "bin", "mod_wsgi-apxs"))
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/apache2/bin"])

    def has_program(*names):
        return any(shutil.which(name, path=path) for name in names)

    headers = os.path.join(sysconfig.get_path("include"), "Python.h")
    found = {
        "apache": own_apache or has_program("httpd", "apache2"),
        "apxs": own_apache or has_program(os.environ.get("APXS") or "apxs", "apxs2"),
        "compiler": has_program(os.environ.get("CC") or "cc", "gcc", "clang"),
        "headers": os.path.exists(headers) and libpython_links(),
        "venv": subprocess.run(
            [sys.executable, "-c", "import ensurepip, venv"], capture_output=True
        ).returncode
        == 0,
    }
    return [feature for feature in PACKAGES if not found[feature]]


def libpython_links():
    """Whether the name of the shared library that a linker looks for is there (Debian: in python3-dev)."""
    directory, name = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
    framework = sysconfig.get_config_var("PYTHONFRAMEWORK")
    multiarch = os.path.join(directory, sysconfig.get_config_var("MULTIARCH") or "")
    return bool(framework) or any(
        os.path.exists(os.path.join(place, name)) for place in (directory, multiarch)
    )


def provide_system_packages(venv):
    """Install what is missing where that can be done unasked; else say what to install."""
    missing = missing_features(venv)
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        debian = packages(missing, "Debian, Ubuntu")
        print("Installing {} ...".format(" ".join(debian)), flush=True)
        install_debian_packages(debian)
        missing = missing_features(venv)
    if missing:
        sys.exit(what_to_install(missing, venv))


def packages(missing, system):
    """The names of what provides the missing features on a system, each once."""
    column = list(INSTALL).index(system)
    names = [name for feature in missing for name in PACKAGES[feature][column].split()]
    if system in VERSIONED and not is_default_python():
        # python3-dev is of the system's default, which this is not.
        names = [name.replace("python3-", "python{}.{}-".format(*sys.version_info[:2])) for name in names]
    return list(dict.fromkeys(names))


def is_default_python():
    """Whether this Python is what the system's packages call python3, or none of the system's."""
    default = os.path.basename(os.path.realpath(SYSTEM_PYTHON))
    return sys.base_prefix != "/usr" or default == "python{}.{}".format(*sys.version_info[:2])


def what_to_install(missing, venv):
    """The commands that cure it, for every system."""
    lines = ["Not found: {}. Install what is missing, then run make again:".format(", ".join(missing))]
    for system, command in INSTALL.items():
        names = packages(missing, system)
        if names:
            lines.append("  {:<16} {} {}".format(system + ":", command, " ".join(names)))
    if "compiler" in missing:
        lines.append("  {:<16} {}".format("macOS:", "xcode-select --install"))
    if "apxs" in missing:
        lines.append("Without root, an Apache compiled in some minutes:")
        lines.append("  {} -m venv {}".format(sys.executable, venv))
        lines.append("  {}/bin/pip install mod_wsgi-httpd".format(venv))
    return "\n".join(lines)


def install_debian_packages(names):
    """Run apt-get without questions and, unless it fails, without its many lines."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "-qq", "install", "--no-install-recommends", *names]
    for command in (["apt-get", "-qq", "update"], install):
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def make_venv(venv):
    """Make the virtual environment, or see that the one there is of this Python."""
    python = os.path.join(venv, "bin", "python")
    if not os.path.exists(python):
        if os.path.exists(venv) and os.listdir(venv):
            sys.exit(
                "{} is there and is no working virtual environment. Remove it, or set VENV.".format(venv)
            )
        print("Making {} with {} ...".format(venv, sys.executable), flush=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        return
    base = "import sys; print(sys.base_prefix, *sys.version_info[:2])"
    there = subprocess.run([python, "-c", base], capture_output=True, text=True).stdout.strip()
    here = "{} {} {}".format(sys.base_prefix, *sys.version_info[:2])
    if there != here:
        sys.exit(
            "{} was made with another Python ({}, not {}).\n"
            "Remove it, or build beside it: make VENV=.venv-other PYTHON={}".format(
                venv, there, here, sys.executable
            )
        )


def install_python_packages(venv, groups):
    """Install what pyproject.toml asks for: to build, to run, and the groups named."""
    import tomllib

    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)
    # The pip that comes with a Python may be too old to pass several settings to the build.
    wanted = ["pip>=24", *project["build-system"]["requires"], *project["project"]["dependencies"]]
    for group in groups:
        wanted += project["dependency-groups"][group]
    print(
        "Installing Python packages{} ...".format(" for " + ", ".join(groups) if groups else ""), flush=True
    )
    pip = [
        os.path.join(venv, "bin", "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    subprocess.run([*pip, *wanted], check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failure:
        sys.exit("This command failed: {}".format(" ".join(map(str, failure.cmd))))

# Install the system's Python, for root on Debian and Ubuntu; elsewhere say how to.
# Everything else is set up by set_up.py, which needs a Python to run.
python=$1
if [ "$(id -u)" = 0 ] && [ "$python" = /usr/bin/python3 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    echo "Installing python3 ..."
    apt-get -qq update && exec apt-get -qq install --no-install-recommends python3 >/dev/null
fi
cat >&2 <<END
There is no Python $python. Install Python 3.11 or later, then run make again:
  Debian, Ubuntu:  apt-get install python3
  Fedora:          dnf install python3
  Alpine:          apk add python3
  macOS:           brew install python@3.13
or name one: make PYTHON=/path/to/python3
END
exit 1

"""The parsers of what clients send, on inputs that a fuzzer makes of those kept in corpus/.

With --full, inputs that reach code that none reached before are added there.
"""

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from plugins.installation import SANITIZED

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
#: Seconds for each of the parsers, and for the streams, which come twice: an hour in all.
SECONDS = 10
FULL_SECONDS = 515
CLANG = shutil.which("clang-14") or shutil.which("clang")


@functools.cache
def query_fuzzer(directory: Path) -> Path:
    """The fuzzer for core/py_query.c, built."""
    program = directory / "query"
    config = sysconfig.get_config_var
    version = config("LDVERSION")
    command = [CLANG, "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined"]
    command += [f"-I{HERE.parents[1] / 'core'}", f"-I{sysconfig.get_path('include')}"]
    command += [str(HERE / "fuzz" / "query.c"), "-o", str(program)]
    command += [f"-L{config('LIBDIR')}", f"-Wl,-rpath,{config('LIBDIR')}", f"-lpython{version}"]
    subprocess.run(command, check=True)
    return program


def command_of(target, directory):
    """The command that fuzzes a target, without libFuzzer's arguments."""
    if target == "query":
        if CLANG is None:
            pytest.skip("needs clang and its libclang-rt")
        return [str(query_fuzzer(directory))]
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris, which `make fuzz` installs where it exists")
    return [sys.executable, str(HERE / "fuzz" / "parsers.py"), target]


@pytest.mark.skipif(SANITIZED, reason="it has sanitizers of its own")
@pytest.mark.parametrize("target", ["query", "form", "multipart", "header", "cookie"])
def test_parser(target, full, tmp_path):
    """No crash, no exception but the parser's own, and the promise of the target holds."""
    command = command_of(target, tmp_path)
    found = tmp_path / "found"
    found.mkdir()
    seconds = FULL_SECONDS if full else SECONDS
    # What query leaks is found at its end. Of the others Python itself is not made to be looked at.
    leaks = f"detect_leaks={int(target == 'query')}"
    environ = os.environ | {"PYTHONMALLOC": "malloc", "ASAN_OPTIONS": leaks}
    arguments = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1"]
    arguments.append("-detect_leaks=0")  # not after each input
    done = subprocess.run(
        [*command, *arguments, f"-artifact_prefix={tmp_path}/", str(found), str(CORPUS / target)],
        env=environ,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    print(target, [line for line in done.stderr.splitlines() if "number_of_executed_units" in line])
    if full:
        keep(command, environ, CORPUS / target, found)


def keep(command, environ, corpus, found):
    """Adds the fewest of what was found that reach all that was reached."""
    done = subprocess.run(
        [*command, "-set_cover_merge=1", "-max_len=256", str(corpus), str(found)],
        env=environ,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert "MERGE-OUTER: successful" in done.stderr, done.stderr[-2000:]

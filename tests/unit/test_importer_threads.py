"""Modules that import each other, and threads that import and reload at the same time:
mod_python._importer."""

import sys
import textwrap
import threading
import time

import pytest

CIRCLE = """
    import os
    from mod_python import _importer

    HERE = os.path.dirname(__file__) + "/"
    {other} = _importer.load("{other}", HERE)
    version = {version}
    """


def test_modules_that_import_each_other(write, load):
    """By import_module(), at first and when both have changed."""
    for version in (1, 22):
        for name, other in (("yin", "yang"), ("yang", "yin")):
            write(f"{name}.py", CIRCLE.format(other=other, version=version))
        yin, yang = load("yin"), load("yang")
        assert (yin.version, yang.version) == (version, version)
        assert yin.yang is yang


def test_circle_that_fails(write, load):
    """Half a module that another one has seen is not kept."""
    write("yang.py", CIRCLE.format(other="yin", version=1))
    write("yin.py", CIRCLE.format(other="yang", version="1 / 0"))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load("yin")


def at_once(count: int, function) -> list:
    """What `count` calls return that threads make at the same time."""
    barrier = threading.Barrier(count)
    answers: list = [None] * count

    def call(number: int) -> None:
        barrier.wait()
        answers[number] = function(number)

    threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    return answers


def test_one_import_for_all_threads(write, load):
    """Threads that ask for a module at once get the same one, executed once."""
    write("slow.py", "import time\ntime.sleep(0.05)\nx = object()\n")
    assert len(set(at_once(8, lambda n: load("slow").x))) == 1


def test_one_reload_for_all_threads(write, load):
    """The same when it has changed; nobody sees it half executed."""
    write("slow.py", "x = None\n")
    load("slow")
    write("slow.py", "import time\ntime.sleep(0.05)\nx = object()\n")
    answers = set(at_once(8, lambda n: load("slow").x))
    assert len(answers) == 1 and None not in answers


def test_parts_of_a_package_at_once(write, load):
    """The package is executed once, whole, before any part of it."""
    write("pack/__init__.py", "import time\ntime.sleep(0.05)\nx = object()\n")
    for n in range(8):
        write(f"pack/part{n}.py", "from . import x\n")
    assert len(set(at_once(8, lambda n: load(f"pack.part{n}").x))) == 1


def test_import_statement_at_the_same_time(importer, write, load):
    """A module that another thread's import statement executes is waited for."""
    path = write("slow.py", "import time\ntime.sleep(0.05)\nx = object()\n")
    importer.add_directory(str(path.parent))

    def call(number: int):
        if number == 0:
            import slow

            return slow.x
        end = time.monotonic() + 5
        while "slow" not in sys.modules and time.monotonic() < end:
            time.sleep(0.001)
        return load("slow").x

    assert len(set(at_once(2, call))) == 1


@pytest.mark.parametrize("by", ["statement", "load()"])
def test_circle_in_two_threads(write, load, by):
    """Two threads that begin a circle at its two ends both get through, at first and
    when everything has changed."""
    for number in range(10):
        pair = (f"yin{number}", f"yang{number}")
        for version in (1, 22):
            for name, other in (pair, pair[::-1]):
                code = (
                    CIRCLE
                    if by == "load()"
                    else "import time\ntime.sleep(0.002)\nimport {other}\nversion = {version}\n"
                )
                write(f"{name}.py", textwrap.dedent(code).format(other=other, version=version))
            modules = at_once(2, lambda n, pair=pair: load(pair[n]))
            assert [module.version for module in modules] == [version] * 2 or by == "statement"
            assert [load(name).version for name in pair] == [version] * 2


def test_statement_waits_for_a_reload(write, load):
    """A statement of another thread gives the new module whole, not half of it."""
    write("index.py", "def answer():\n    import slow\n    return slow.x\n")
    write("slow.py", "x = 1\n")
    index = load("index")
    load("slow")
    write("slow.py", "import time\ntime.sleep(0.1)\nx = 2\n")
    old = sys.modules["slow"]

    def call(number: int):
        if number == 0:
            return load("slow").x
        end = time.monotonic() + 5
        while sys.modules.get("slow", old) is old and time.monotonic() < end:
            time.sleep(0.001)
        return index.answer()

    assert at_once(4, call) == [2] * 4


def test_failing_reload_in_many_threads(write, load):
    """Each has the error, none the old module nor half the new, and the old one stays."""
    write("broken.py", "x = 1\n")
    old = load("broken")
    write("broken.py", "import time\ntime.sleep(0.005)\nx = 2\n1 / 0\n")

    def call(number: int):
        try:
            return load("broken")
        except ZeroDivisionError:
            return "failed"

    assert at_once(8, call) == ["failed"] * 8
    assert sys.modules["broken"] is old and load("broken", reload=False) is old


def test_reload_that_another_thread_begins(own, write, load, monkeypatch):
    """Where it begins just as this thread looks for changes, it is waited for."""
    write("slow.py", "x = 1\n")
    old = load("slow")
    write("slow.py", "import time\ntime.sleep(0.1)\nx = 2\n")
    other = threading.Thread(target=load, args=("slow",), daemon=True)
    stale = own("_reload")._stale

    def late(*arguments):
        if not other.ident:
            other.start()
            end = time.monotonic() + 5
            while sys.modules.get("slow", old) is old and time.monotonic() < end:
                time.sleep(0.001)
        return stale(*arguments)

    monkeypatch.setattr(own("_reload"), "_stale", late)
    assert load("slow").x == 2
    other.join()

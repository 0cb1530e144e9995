"""What an error in a handler becomes: mod_python._errors."""

import io
import re
import sys
import urllib.error
from types import SimpleNamespace

import pytest


@pytest.fixture
def errors(own):
    """mod_python._errors over the stand-in for _apache."""
    return own("_errors")


class Request:
    """What the report needs of a request."""

    def __init__(self, accept=None, aborted=False, sent=0):
        self.headers_in = {"Accept": accept} if accept else {}
        self.connection = SimpleNamespace(aborted=aborted)
        self.sent_bodyct = sent
        self.status = 200
        self.content_type = None
        self.written = b""

    def _discard_output(self):
        self.written = b""

    def write(self, data, flush=1):
        self.written += data


class Handler:
    """What the report needs of a handler."""

    phase = "PythonHandler"

    def __str__(self):
        return "PythonHandler spam"


HANDLER = Handler()


def raised(error):
    """The exception as it is when it was raised here."""
    try:
        raise error
    except BaseException as caught:
        return caught


def report(errors, error, req=None, debug=False, is_resolved=True):
    """The status for an exception raised here."""
    return errors.report(req or Request(), HANDLER, raised(error), debug, is_resolved)


# One line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("spam"), "ValueError: spam"),
        (ValueError(), "ValueError"),
        (KeyError("spam"), "KeyError: 'spam'"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (ExceptionGroup("many", [ValueError()]), "ExceptionGroup: many (1 sub-exception)"),
        (SyntaxError("spam"), "SyntaxError: spam"),
        (UnicodeError("\udc80"), "UnicodeError: \udc80"),
    ],
)
def test_first_line(errors, error, line):
    """The type, the first line of the message, and where it was raised."""
    text = errors.describe(raised(error)).splitlines()
    assert re.fullmatch(re.escape(line) + rf" \({re.escape(__file__)}:\d+\)", text[0])
    assert text[1].startswith(("Traceback ", "  + Exception Group Traceback"))


def test_notes(errors):
    """They are in the traceback, not in place of the message."""
    error = ValueError("spam")
    error.add_note("a note")
    text = errors.describe(raised(error)).splitlines()
    assert text[0].startswith("ValueError: spam (") and text[-1] == "a note"


def test_syntax_error(errors):
    """It names the file and line that cannot be compiled."""
    with pytest.raises(SyntaxError) as caught:
        compile("x = 1\ny = (\n", "/srv/spam.py", "exec")
    line, *_ = errors.describe(caught.value).splitlines()
    assert line == "SyntaxError: '(' was never closed (/srv/spam.py:2)"


def test_no_message(errors):
    """An exception whose message cannot be made is described all the same."""

    class Mute(Exception):
        def __str__(self):
            raise ValueError

    assert "Mute: <exception str() failed>" in errors.describe(raised(Mute()))


def test_not_raised(errors):
    """Without a traceback there is no place."""
    assert errors.describe(ValueError("spam")).splitlines() == ["ValueError: spam"] * 2


def test_cause(errors):
    """What led to it is in the traceback."""
    with pytest.raises(ValueError) as caught:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as error:
            raise ValueError("spam") from error
    text = errors.describe(caught.value)
    assert text.startswith("ValueError: spam (") and "ZeroDivisionError" in text


def test_endless_recursion(errors):
    """The traceback of a RecursionError is cut to what can be read."""

    def recurse():
        recurse()

    with pytest.raises(RecursionError) as caught:
        recurse()
    assert len(errors.describe(caught.value).splitlines()) < 320


# The log


@pytest.mark.parametrize(
    ("error", "is_resolved", "code"), [(ValueError, True, "KK0101"), (ImportError, False, "KK0104")]
)
def test_record(errors, apache, error, is_resolved, code):
    """One record of level error with code, handler, place and traceback; 500."""
    assert report(errors, error("spam"), is_resolved=is_resolved) == 500
    [(text, level)] = apache.logged
    first, second, *_ = text.splitlines()
    assert re.fullmatch(rf"{code}: PythonHandler spam: {error.__name__}: spam \(.*:\d+\)", first)
    assert second == "Traceback (most recent call last):"
    assert level == apache.APLOG_ERR


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("BadResult", "KK0102", "returned None"),
        ("MissingObject", "KK0103", "AttributeError: returned None"),
    ],
)
def test_record_without_traceback(errors, apache, name, code, line):
    """Where none of the program's code is at fault, one line says it."""
    assert report(errors, getattr(errors, name)("returned None")) == 500
    assert apache.logged == [(f"{code}: PythonHandler spam: {line}", apache.APLOG_ERR)]


def test_own_frames_are_left_out(errors):
    """The traceback begins in the program's code."""

    def call():
        raise ValueError

    code = compile("def through(call): call()", f"{errors._PACKAGE}/_dispatch.py", "exec")
    namespace = {}
    exec(code, namespace)
    with pytest.raises(ValueError) as caught:
        namespace["through"](call)
    trace = caught.value.__traceback__.tb_next  # the first frame is this test's
    text = errors.describe(caught.value.with_traceback(trace))
    assert "_dispatch.py" not in text and ", in call" in text


def test_timeout(errors, apache):
    """It has a code and a status of its own, whether the handler was found yet or not."""
    for is_resolved in (True, False):
        assert report(errors, errors.RequestTimeout(), is_resolved=is_resolved) == 504
        text, level = apache.logged.pop()
        assert text.startswith(
            "KK0190: PythonHandler spam: mod_python.apache.RequestTimeout: "
            "it took longer than PythonRequestTimeout allows ("
        )
        assert "Traceback" in text and level == apache.APLOG_ERR


def test_timeout_with_a_message(errors):
    """Programs may raise it, too."""
    assert str(errors.RequestTimeout("the database's")) == "the database's"


def test_timeout_of_a_filter(errors, apache):
    """The same code, and the filter's name."""
    filter = SimpleNamespace(name="spam")
    errors.report_filter(filter, HANDLER, raised(errors.RequestTimeout()), True)
    assert apache.logged[0][0].startswith("KK0190: filter spam: PythonHandler spam: ")


def test_stack(errors):
    """What a thread executes, from the program's code on."""
    code = compile("def through(call): return call()", f"{errors._PACKAGE}/_dispatch.py", "exec")
    namespace = {}
    exec(code, namespace)

    def program():
        return errors.describe_stack(sys._getframe())

    text = namespace["through"](program)
    assert text.startswith('  File "')
    assert text.splitlines()[-2].endswith(", in program")


def test_deep_stack(errors):
    """Of a deep one, the last calls."""

    def recurse(depth):
        return recurse(depth - 1) if depth else errors.describe_stack(sys._getframe())

    lines = recurse(300).splitlines()
    assert len(lines) < 320
    assert "describe_stack" in lines[-1] or "describe_stack" in lines[-2]


def test_stack_of_this_package_only(errors):
    """Something is shown in any case."""
    frame = eval(compile("__import__('sys')._getframe()", f"{errors._PACKAGE}/_dispatch.py", "eval"))
    assert errors.describe_stack(frame)


def test_cleanup(errors, apache):
    """A cleanup that fails is named."""
    errors.report_cleanup(report, raised(ValueError("spam")))
    [(text, level)] = apache.logged
    assert text.startswith("KK0107: cleanup <function report at ") and "ValueError: spam" in text
    assert level == apache.APLOG_ERR


# Errors that fail when they are asked


class ShyError(ImportError):
    """Its str() raises."""

    def __str__(self):
        raise ValueError("its own")


class HiddenError(Exception):
    """So does whatever it is asked."""

    def __getattribute__(self, name):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ShyError", ShyError),
        ("HiddenError", HiddenError),
        ("SyntaxError", lambda: SyntaxError("spam", ("file", 10**30, -1, 5))),
    ],
)
def test_error_that_cannot_be_described(errors, apache, name, make):
    """Its type and where it was raised are logged nevertheless."""
    error = make()
    assert report(errors, error) == apache.HTTP_INTERNAL_SERVER_ERROR
    errors.report_filter(SimpleNamespace(name="spam"), HANDLER, error, True)
    errors.report_connection(SimpleNamespace(log_error=apache._log), HANDLER, error, True)
    errors.report_cleanup(report, error)
    starts = ["KK0101: PythonHandler", "KK0112: filter spam:", "KK0101: PythonHandler", "KK0107: cleanup"]
    assert len(apache.logged) == len(starts)
    for (text, level), start in zip(apache.logged, starts, strict=True):
        assert text.startswith(start) and name in text and "in raised\n" in text
        assert level == apache.APLOG_ERR


def test_cleanup_without_a_repr(errors, apache):
    """A function that cannot be shown is named by its type: the cleanups behind it still run."""

    class Cleanup:
        def __repr__(self):
            raise KeyboardInterrupt

    errors.report_cleanup(Cleanup(), raised(ValueError("spam")))
    [(text, _)] = apache.logged
    assert text.startswith("KK0107: cleanup <") and "Cleanup object at" in text and "in raised\n" in text


# The client's faults


def test_client_that_left(errors, apache):
    """No traceback, and nothing more to send."""
    assert report(errors, OSError("gone"), Request(aborted=True)) == apache.DONE
    [(text, level)] = apache.logged
    assert text.startswith("KK0108: PythonHandler spam: OSError: gone (")
    assert "Traceback" not in text and level == apache.APLOG_WARNING


def test_bad_body(errors, apache):
    """What req.read() raised carries the status for the client."""
    error = OSError("cut off")
    error._mp_status = 408
    assert report(errors, error) == 408
    assert [(text[:6], level) for text, level in apache.logged] == [("KK0111", apache.APLOG_WARNING)]


def test_error_of_another_server(errors, apache):
    """An answer that the program's own client got is no fault of ours."""
    error = urllib.error.HTTPError("http://example.com/", 404, "Not Found", {}, io.BytesIO())
    assert report(errors, error) == 500
    assert apache.logged[0][0].startswith("KK0101")


# PythonDebug On


@pytest.mark.parametrize("accept", [None, "text/plain", "text/html,*/*"])
def test_debug(errors, apache, accept):
    """The client gets the traceback, as HTML if it takes that, escaped."""
    req = Request(accept)
    req.written = b"what the handler wrote"
    assert report(errors, ValueError("<b>\udc80"), req, debug=True) == apache.DONE
    text = req.written.decode()
    assert req.status == 500
    assert "Traceback (most recent call last):" in text and "what the handler wrote" not in text
    assert r"\udc80" in text
    if accept and "html" in accept:
        assert req.content_type == "text/html; charset=utf-8"
        assert "&lt;b&gt;" in text and "<b>" not in text
    else:
        assert req.content_type == "text/plain; charset=utf-8"
        assert "<b>" in text


def test_debug_of_a_timeout(errors, apache):
    """The status is 504, in the page as well."""
    req = Request("text/html")
    assert report(errors, errors.RequestTimeout(), req, debug=True) == apache.DONE
    assert req.status == 504
    assert b"<title>504 Gateway Timeout</title>" in req.written


def test_debug_when_output_has_begun(errors):
    """The traceback goes behind what the client has."""
    req = Request(sent=1)
    assert report(errors, ValueError(), req, debug=True) == 500
    assert b"ValueError" in req.written
    assert req.status == 200


def test_debug_when_the_client_left(errors, apache):
    """That it cannot be shown is no further error."""
    req = Request()

    def write(data, flush):
        raise OSError

    req.write = write
    assert report(errors, ValueError(), req, debug=True) == apache.DONE
    assert len(apache.logged) == 1


def test_debug_off(errors):
    """Nothing of it leaks."""
    req = Request()
    assert report(errors, ValueError("secret"), req) == 500
    assert req.written == b"" and req.content_type is None

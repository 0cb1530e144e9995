"""PythonRequestTimeout: a handler that takes too long gets RequestTimeout raised.

Most handlers here never end by themselves: that they end, and how, is looked at, not
when.
"""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

HANDLERS = """
    import asyncio, ctypes, time
    from mod_python import apache

    ended = []

    def handler(req):
        return globals()[req.uri.strip("/")](req) or apache.OK

    def endless(req):
        while True:
            pass

    def asleep(req):
        while True:
            time.sleep(0.01)

    def cautious(req):
        while True:
            try:
                endless(req)
            except Exception:
                pass

    def unflushed(req):
        req.write("never seen", 0)
        endless(req)

    def tidy(req):
        try:
            with apache_log(req):
                endless(req)
        finally:
            ended.append(req.args)

    class apache_log:
        def __init__(self, req):
            self.req = req
        def __enter__(self):
            pass
        def __exit__(self, *exc_info):
            self.req.log_error("left by " + exc_info[0].__name__)

    def what_ended(req):
        req.write(" ".join(ended))

    def told(req):
        try:
            endless(req)
        except apache.RequestTimeout as error:
            req.status = apache.HTTP_SERVICE_UNAVAILABLE
            req.write(f"too busy: {error}")

    def stubborn(req):
        caught = []
        while len(caught) < 2:
            try:
                endless(req)
            except:
                caught.append(1)
        req.write(f"caught {len(caught)}")

    def begun(req):
        req.write("begun")
        endless(req)

    def in_c(req):
        time.sleep(2)

    def holding_the_gil(req):
        ctypes.PyDLL(None).usleep(2_000_000)
        endless(req)

    def reading(req):
        req.read()

    def quick(req):
        req.write("quick")

    def racing(req):
        end = time.monotonic() + float(req.args)
        while time.monotonic() < end:
            pass
        req.write("won", 0)

    def sleeping(req):
        time.sleep(float(req.args))
        req.write("won", 0)

    def counting(req):
        number = 0
        while number < 100_000:
            number += 1
        req.write(str(number))

    class Endless(ImportError):
        def __str__(self):
            while True:
                pass

    def failing_endlessly(req):
        raise Endless

    def warm_up(req):
        asyncio.run(asyncio.sleep(0))

    def in_the_coroutine(req):
        async def endless():
            await asyncio.sleep(0)
            while True:
                pass

        asyncio.run(endless())
    """

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonRequestTimeout 100ms
    <LocationMatch "^/[a-z_]+$">
        SetHandler python-program
        PythonHandler slow
    </LocationMatch>
    <LocationMatch "^/(warm_up|quick|counting|what_ended)$">
        # Whatever is raised in these is another request's.
        PythonRequestTimeout 0
    </LocationMatch>
    """
TIMEOUT = (
    "KK0190: PythonHandler slow: mod_python.apache.RequestTimeout: it took longer than PythonRequestTimeout"
)


def slow(httpd, more="", **settings):
    """A server whose handlers have a tenth of a second, all modules being there."""
    server = httpd(CONFIG + more, {"lib/slow.py": HANDLERS}, **settings)
    assert server.get("warm_up").status_code == 200
    return server


@pytest.mark.parametrize("interpreter", ["", "PythonInterpreter main_interpreter"])
@pytest.mark.parametrize("name", ["endless", "asleep", "cautious", "unflushed", "in_the_coroutine"])
def test_the_handler_is_ended(httpd, name, interpreter):
    """The client gets 504, the log one record with the place; the worker is free again."""
    server = slow(httpd, interpreter)
    answer = server.get(name)
    assert answer.status_code == 504
    assert "never seen" not in answer.text and "slow" not in answer.text
    record = server.expect_log(TIMEOUT)
    assert f"in {name}" in record.message and "lib/slow.py" in record.message
    assert "[client 127.0.0.1:" in record.message
    assert [server.get("quick").text for _ in range(3)] == ["quick"] * 3


def test_what_the_handler_holds_is_given_back(httpd):
    """finally blocks and context managers end as with any exception."""
    server = slow(httpd)
    server.changed = True  # it remembers
    assert server.get("tidy?first").status_code == 504
    assert server.get("tidy?second").status_code == 504
    server.expect_log("left by RequestTimeout", times=2)
    server.expect_log(TIMEOUT, times=2)
    ended = server.get("what_ended").text.split()
    assert set(ended) <= {"first", "second"}
    assert len(ended) == 2 or httpd.mpm == "prefork"  # which may have more than one process


def test_the_handler_may_answer_itself(httpd):
    """Who names the exception can catch it."""
    answer = slow(httpd).get("told")
    assert answer.status_code == 503
    assert answer.text == "too busy: it took longer than PythonRequestTimeout allows"


def test_it_is_raised_again(httpd):
    """A handler that swallows it gets another one, and the log the place meanwhile, once."""
    server = slow(httpd)
    assert server.get("stubborn").text == "caught 2"
    record = server.expect_log('KK0191: PythonHandler of "GET /stubborn HTTP/1.1" from 127.0.0.1')
    assert "in endless" in record.message


def test_output_that_has_begun_breaks_off(httpd):
    """The client can tell that the response is incomplete."""
    server = slow(httpd)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        server.get("begun")
    server.expect_log(TIMEOUT)


def test_debug(httpd):
    """PythonDebug On: the traceback is sent, with status 504."""
    server = slow(httpd, "PythonDebug On")
    answer = server.get("endless")
    assert answer.status_code == 504
    assert "in endless" in answer.text and "RequestTimeout" in answer.text
    answer = server.get("endless", headers={"Accept": "text/html"})
    assert answer.status_code == 504
    assert "<title>504 Gateway Timeout</title>" in answer.text
    server.expect_log(TIMEOUT, times=2)


def test_in_c(httpd):
    """A function in C is reported, once, with the place; then the exception comes."""
    server = slow(httpd)
    assert server.get("in_c").status_code == 504
    record = server.expect_log('KK0191: PythonHandler of "GET /in_c HTTP/1.1" from 127.0.0.1')
    assert "in in_c" in record.message and "time.sleep(2)" in record.message
    assert "_dispatch.py" not in record.message
    server.expect_log(TIMEOUT)
    assert server.get("counting").text == "100000"


def test_in_c_with_the_gil(httpd):
    """Nobody can look then, but the log is told which request it is."""
    server = slow(httpd)
    assert server.get("holding_the_gil").status_code == 504
    record = server.expect_log('KK0192: PythonHandler of "GET /holding_the_gil HTTP/1.1" from 127.0.0.1')
    assert "GIL of the interpreter 'www.example.com'" in record.message
    server.expect_log(TIMEOUT)
    assert server.get("counting").text == "100000"


def test_a_slow_client(httpd):
    """Reading the body goes on as long as Apache lets it; then the exception comes."""
    server = slow(httpd)
    with server.connect() as connection:
        connection.send(
            b"POST /reading HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
        )
        record = server.expect_log('KK0191: PythonHandler of "POST /reading HTTP/1.1"')
        assert "req.read()" in record.message
        connection.send(b"body")
        assert connection.response().status == 504
    server.expect_log(TIMEOUT)


def check_race(server, paths):
    """Answers of handlers that end about when their time does are one or the other, and
    nothing hits the requests behind them."""
    with ThreadPoolExecutor(5) as executor:
        answers = list(executor.map(server.get, paths))
        rest = list(executor.map(lambda _: server.get("counting"), range(20)))
    ended = [answer for answer in answers if answer.status_code == 504]
    assert [answer.text for answer in answers if answer not in ended] == ["won"] * (len(paths) - len(ended))
    assert [answer.text for answer in rest] == ["100000"] * 20
    if ended:
        server.expect_log(TIMEOUT, times=len(ended))


def test_races_in_python(httpd):
    """20 handlers that end when it is raised."""
    check_race(slow(httpd), [f"racing?{0.095 + n / 2000}" for n in range(20)])


def test_races_in_c(httpd):
    """The same, where the exception waits for the end of a function in C."""
    check_race(slow(httpd), [f"sleeping?{0.095 + n / 2000}" for n in range(20)])


@pytest.mark.parametrize("more", ["PythonRequestTimeout 0", "PythonRequestTimeout 1min"])
def test_a_section_has_its_own(httpd, more):
    """An inner scope has a longer time, or none."""
    server = slow(httpd, f"<Location /racing>\n{more}\n</Location>")
    assert server.get("racing?0.3").text == "won"


def test_off_by_default(httpd):
    """Without the directive there is no limit."""
    assert (
        httpd.run("import time; time.sleep(0.3); return req.get_config().get('PythonRequestTimeout')") is None
    )


def test_get_config(httpd):
    """Programs can see it."""
    server = httpd("PythonRequestTimeout 2min")
    assert server.run("return req.get_config().get('PythonRequestTimeout')") == "120000ms"


def test_no_exception(httpd):
    """except Exception does not catch it."""
    assert httpd.run("return [c.__name__ for c in apache.RequestTimeout.__mro__]") == [
        "RequestTimeout",
        "BaseException",
        "object",
    ]


@pytest.mark.only_mpm("event")
def test_an_error_that_cannot_be_reported(httpd):
    """What happens while the handler's own error is described is within its time."""
    server = slow(httpd)
    assert server.get("failing_endlessly").status_code == 504
    assert "in __str__" in server.expect_log("KK0191: PythonHandler of").message
    server.expect_log("KK0190: PythonHandler slow: mod_python.apache.RequestTimeout")


# What goes beyond one handler

PAIR = """
    from mod_python import apache

    def outer(req):
        try:
            req.internal_redirect(req.args)
        except Exception:
            pass
        req.log_error("outer goes on")
        while True:
            pass

    def inner(req):
        while True:
            pass

    def quick(req):
        req.write("quick")
        return apache.OK
    """
PAIR_CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    SetHandler python-program
    <Location /outer>
        PythonHandler pair::outer
        PythonRequestTimeout 500ms
    </Location>
    <Location /inner>
        PythonHandler pair::inner
        PythonRequestTimeout %s
        PythonInterpreter %s
    </Location>
    <Location /quick>
        PythonHandler pair::quick
    </Location>
    """


@pytest.mark.parametrize(
    ("inner", "interpreter"),
    [
        ("0", "www.example.com"),
        ("0", "another"),
        ("0", "main_interpreter"),
        ("1min", "www.example.com"),
        ("100ms", "www.example.com"),
    ],
)
def test_nested_handlers(httpd, inner, interpreter):
    """The inner one has no more time than the outer one; it is ended first, and then, when
    its own time has come, the outer one."""
    server = httpd(PAIR_CONFIG % (inner, interpreter), {"lib/pair.py": PAIR})
    assert server.get("quick").text == "quick"
    assert server.get("outer?/quick").text == "quick"  # it had been answered before the time was over
    server.expect_log("outer goes on")
    server.expect_log("KK0190: PythonHandler pair::outer")
    assert server.get("outer?/inner").status_code == 504
    server.expect_log("KK0190: PythonHandler pair::inner")
    server.expect_log("KK0190: PythonHandler pair::outer")
    for _ in server.error_log.find("outer goes on"):  # unless its own time had come first
        server.expect_log("outer goes on")
    assert server.get("quick").text == "quick"


ENDLESS = """
    def forever(req):
        while True:
            pass

    def known(req):
        req.get_basic_auth_pw()
        return 0
    """
PROTECTED = """
    <Location />
        AuthType Basic
        AuthName realm
        Require valid-user
    </Location>
    PythonAuthenHandler endless::known
    """
PHASES = ["PostReadRequest", "Trans", "HeaderParser", "Init", "Access", "Type", "Fixup", "Authen", "Authz"]


def phase_server(httpd, phase, more=""):
    """A server with a handler that never ends in one phase, and a file."""
    return httpd(
        f"""
        {more}
        PythonPath "sys.path + ['${{root}}/lib']"
        Python{phase}Handler endless::forever
        PythonRequestTimeout 100ms
        """,
        {"lib/endless.py": ENDLESS, "htdocs/page.txt": "a page"},
    )


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase(httpd, phase):
    """Handlers of all phases before the content are ended."""
    more = PROTECTED if phase in ("Authen", "Authz") else ""
    if phase == "Authen":
        more = more.replace("PythonAuthenHandler endless::known", "")
    server = phase_server(httpd, phase, more)
    assert server.get("page.txt", auth=("me", "secret")).status_code == 504
    server.expect_log(f"KK0190: Python{phase}Handler endless::forever: .*RequestTimeout")


@pytest.mark.parametrize("phase", ["Log", "Cleanup"])
def test_phases_after_the_answer(httpd, phase):
    """They are ended too; the client has its answer."""
    server = phase_server(httpd, phase)
    answer = server.get("page.txt")
    assert (answer.status_code, answer.text) == (200, "a page")
    server.expect_log(f"KK0190: Python{phase}Handler endless::forever: .*RequestTimeout")


FILTERS = """
    def endless(filter):
        while True:
            pass

    def writing(req):
        try:
            req.write("some output")
        except OSError:
            endless(req)

    def reading(req):
        try:
            req.read()
        except OSError:
            endless(req)
    """
FILTER_CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonRequestTimeout 100ms
    PythonOutputFilter filters::endless OUT
    PythonInputFilter filters::endless IN
    <Location /page.txt>
        SetOutputFilter OUT
    </Location>
    <Location /writing>
        SetOutputFilter OUT
        SetHandler python-program
        PythonHandler filters::writing
        PythonRequestTimeout 1min
    </Location>
    <Location /writing/both>
        PythonRequestTimeout 100ms
    </Location>
    <Location /reading>
        SetInputFilter IN
        SetHandler python-program
        PythonHandler filters::reading
    </Location>
    """


def filter_server(httpd):
    return httpd(FILTER_CONFIG, {"lib/filters.py": FILTERS, "htdocs/page.txt": "a page"})


def test_filters(httpd):
    """A filter is ended, too, whoever calls it, and the client gets 504."""
    server = filter_server(httpd)
    assert server.get("page.txt").status_code == 504
    record = server.expect_log("KK0190: filter OUT: PythonOutputFilter filters::endless: .*RequestTimeout")
    assert "in endless" in record.message


def test_filters_within_a_handler(httpd):
    """The filter is ended first; then the handler, if its time has come as well."""
    server = filter_server(httpd)
    for path, method, name in (("writing/both", "GET", "OUT"), ("reading", "POST", "IN")):
        assert server.request(method, path, content=b"body").status_code == 504
        server.expect_log(f"KK0190: filter {name}: .*RequestTimeout")
        server.expect_log("KK0190: PythonHandler filters::.*RequestTimeout")


CONNECTION = """
    def inputfilter(filter):
        data = filter.read()
        while data:
            filter.write(data)
            data = filter.read()

    def connectionhandler(conn):
        conn.write(conn.readline())
    """


def test_connections_are_not_limited(httpd):
    """Filters and handlers of connections wait for the client as long as it takes."""
    files = {"lib/wire.py": CONNECTION}
    head = "PythonPath \"sys.path + ['${root}/lib']\"\nPythonRequestTimeout 100ms\n"
    for line in ("PythonConnectionInputFilter wire", "PythonConnectionHandler wire"):
        server = httpd(head + line, files)
        with server.connect() as connection:
            connection.send(b"GET / HTTP/1.0\r\n")
            # Whatever takes longer than the time of the other server's handler.
            slow(httpd).get("racing?0.3")
            slow(httpd).expect_log(TIMEOUT)
            connection.send(b"\r\n")
            assert connection.read_all()


def test_a_restart_meanwhile(httpd):
    """A graceful restart waits for the handler that is being ended; the new child watches
    its own."""
    server = slow(httpd)
    with ThreadPoolExecutor(1) as executor:
        answer = executor.submit(server.get, "in_c")
        server.expect_log("KK0191")
        server.graceful()
        assert answer.result().status_code == 504
    server.expect_log(TIMEOUT)
    assert server.get("warm_up").status_code == 200
    assert server.get("endless").status_code == 504
    server.expect_log(TIMEOUT)

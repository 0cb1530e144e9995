"""The helpers of this suite themselves, on an Apache without the module."""

import pytest

from plugins.process import StartError


def plain(httpd, config="", **settings):
    return httpd(config, {"htdocs/hello.txt": "Hello!\n"}, python=False, **settings)


def test_a_file_is_served(httpd):
    """A server starts with the files given and answers."""
    assert plain(httpd).get("hello.txt").text == "Hello!\n"


def test_directives_are_in_effect(httpd):
    """The directives given are the server's."""
    server = plain(httpd, "Alias /other ${htdocs}/hello.txt")
    assert server.get("other").text == "Hello!\n"


def test_equal_servers_are_shared(httpd):
    """Same settings and files, same process."""
    assert plain(httpd) is plain(httpd)
    assert plain(httpd) is not plain(httpd, "# another")


def test_changed_servers_are_not_shared(httpd):
    """A test that writes files gets a server that no later test will get."""
    server = plain(httpd, "# changed")
    server.write("htdocs/hello.txt", "Changed\n")
    assert server.get("hello.txt").text == "Changed\n"
    assert server.changed


def test_one_child_serves(httpd):
    """There is one child process by default, whatever the MPM."""
    server = plain(httpd)
    server.get("hello.txt")
    assert len(server.child_pids()) == 1


def test_graceful_restart(httpd):
    """After graceful() other children serve."""
    server = plain(httpd, "# graceful")
    before = server.child_pids()
    server.graceful()
    assert server.get("hello.txt").status_code == 200
    assert set(before).isdisjoint(server.child_pids())


def test_configtest_names_the_line(httpd):
    """A mistake is reported with the line of the test's own text."""
    status, text = httpd.configtest("# first\nNoSuchDirective On\n", python=False)
    assert status != 0
    assert "line 2 of" in text and "test.conf" in text


def test_a_server_that_cannot_start(httpd):
    """StartError tells what Apache said."""
    with pytest.raises(StartError, match="NoSuchDirective"):
        httpd("NoSuchDirective On", python=False)


def test_expected_records(httpd):
    """A serious record is a problem unless it was expected."""
    server = plain(httpd)
    server.get("no-such-file", headers={"Host": "x"})
    server.raw_request(b"hello.txt", headers={b"Host": b"a b"})
    assert server.problems() == []


def test_unexpected_records(httpd):
    """A second record like the expected one is a problem."""
    server = plain(httpd, "<Location /denied>\nRequire all denied\n</Location>\n")
    server.get("denied")
    server.get("denied")
    record = server.expect_log("AH01630: client denied by server configuration")
    assert (record.module, record.level) == ("authz_core", "error")
    [problem] = server.problems()
    assert "AH01630" in problem


def test_raw_bytes(httpd):
    """What httpx would not send goes through a socket."""
    answer = plain(httpd).raw(b"GET /hello.txt HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"Hello!\n")


@pytest.mark.only_mpm("event")
def test_http2(httpd):
    """HTTP/2 without TLS (mod_http2 does not work with prefork)."""
    server = plain(httpd, "Protocols h2c http/1.1", modules=("http2",))
    answer = server.http2("GET", "hello.txt")
    assert (answer.http_version, answer.text) == ("HTTP/2", "Hello!\n")

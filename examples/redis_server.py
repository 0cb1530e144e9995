"""A small Redis server: strings in memory, shared by the connections of a process.

    Listen 6379
    <VirtualHost *:6379>
        PythonConnectionHandler redis_server
    </VirtualHost>

Then `redis-cli set spam eggs`.  Run it in one process (`ServerLimit 1`): each process has
keys of its own.
"""

import fnmatch
import threading

from mod_python import apache

LONGEST = 4 << 20  # bytes of a command's words
LONGEST_LINE = 1 << 16  # bytes of a command typed by hand
MOST_WORDS = 1 << 16  # of a command
LARGEST = (1 << 63) - 1  # number to be counted up

lock = threading.Lock()
keys = {}


class ProtocolError(Exception):
    """The client does not speak the protocol: it is told, and the connection closed."""


class CommandError(Exception):
    """The command cannot be obeyed; the connection goes on."""


def connectionhandler(conn):
    """Answer commands until the client leaves or says QUIT."""
    try:
        while words := read_command(conn):
            conn.write(answer(words))
            if words[0].upper() == b"QUIT":
                break
    except ProtocolError as error:
        conn.write(b"-ERR Protocol error: %s\r\n" % str(error).encode())
    return apache.OK


# The protocol


def read_command(conn):
    """The words of the next command; None when the client has left."""
    while (line := conn.readline(LONGEST_LINE)).endswith(b"\n"):
        words = read_words(conn, line) if line.startswith(b"*") else line.split()
        if words:
            return words
    return None


def read_words(conn, line):
    """As many words as the line says: of each its length, then that many bytes."""
    words = []
    left = LONGEST
    for _ in range(number_in(line, b"*", MOST_WORDS)):
        size = number_in(conn.readline(LONGEST_LINE), b"$", left)
        word = conn.read(size + 2)
        if word[size:] != b"\r\n":
            raise ProtocolError("a word does not end where it should")
        words.append(word[:size])
        left -= size
    return words


def number_in(line, kind, most):
    """The number in a line like b"$4\\r\\n"."""
    number = line[1:].strip()
    if line[:1] != kind or not number.isdigit() or len(number) > 9 or int(number) > most:
        raise ProtocolError(f"expected '{kind.decode()}' and a length up to {most}")
    return int(number)


def encode(value):
    """A reply: None, an int, a status (str), a word (bytes) or a list of them."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"+%s\r\n" % value.encode()
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(encode, value))
    return b"$%d\r\n%s\r\n" % (len(value), value)


def answer(words):
    """The reply to a command."""
    name = words[0].decode("latin-1").upper()
    function, fewest, most = COMMANDS.get(name, (None, 0, 0))
    try:
        if function is None:
            raise CommandError(f"unknown command {name!r}")
        if not fewest <= len(words) - 1 <= most:
            raise CommandError(f"wrong number of arguments for '{name.lower()}' command")
        with lock:
            return encode(function(*words[1:]))
    except CommandError as error:
        return b"-ERR %s\r\n" % str(error).encode()


# The commands


def ping(message=None):
    return "PONG" if message is None else message


def echo(message):
    return message


def set_(key, value):
    keys[key] = value
    return "OK"


def get(key):
    return keys.get(key)


def delete(*names):
    return sum(keys.pop(name, None) is not None for name in names)


def exists(*names):
    return sum(name in keys for name in names)


def incr(key):
    try:
        number = int(keys.get(key, b"0"))
    except ValueError:
        number = LARGEST + 1
    if abs(number) > LARGEST:
        raise CommandError("value is not an integer or out of range")
    if number == LARGEST:
        raise CommandError("increment or decrement would overflow")
    keys[key] = b"%d" % (number + 1)
    return number + 1


def keys_(pattern):
    wanted = pattern.decode("latin-1")
    return [key for key in keys if fnmatch.fnmatchcase(key.decode("latin-1"), wanted)]


def command(*words):
    return []


def hello(*words):
    return [b"server", b"redis", b"version", b"7.0.0", b"proto", 2]


def client(*words):
    return "OK"


def quit_():
    return "OK"


#: By name: function, fewest and most arguments.
COMMANDS = {
    "CLIENT": (client, 0, 9),
    "COMMAND": (command, 0, 9),
    "DEL": (delete, 1, MOST_WORDS),
    "ECHO": (echo, 1, 1),
    "EXISTS": (exists, 1, MOST_WORDS),
    "GET": (get, 1, 1),
    "HELLO": (hello, 0, 9),
    "INCR": (incr, 1, 1),
    "KEYS": (keys_, 1, 1),
    "PING": (ping, 0, 1),
    "QUIT": (quit_, 0, 0),
    "SET": (set_, 2, 2),
}

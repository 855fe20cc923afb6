"""The limits on connections, with the server's loop turned by hand and limits of parts of a second."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

pytest.importorskip("waitress", reason="serving pages needs the extra `study` (flask, waitress)")

from waitress.adjustments import Adjustments

from tlbench.serving import connections
from tlbench.serving.addresses import network
from tlbench.serving.connections import LimitedServer

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMIT = 0.5  # seconds, for everything
LARGE = 3 * 2**20  # bytes of an answer that no buffer takes whole


class Turned:
    """A server whose loop is turned by :meth:`turn`, and its clients."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        adjustments = Adjustments(
            sockets=[self.listener], threads=2, cleanup_interval=0, channel_timeout=1 << 62, connection_limit=1 << 62
        )
        self.server = LimitedServer(_site, self.listener, adjustments, most, lambda network: most_of_one)
        self.clients: list[socket.socket] = []

    def connect(self, source: str = "127.0.0.1", receive_bytes: int | None = None) -> socket.socket:
        place = socket.socket()
        if receive_bytes is not None:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        place.bind((source, 0))
        place.connect(self.listener.getsockname())
        place.setblocking(False)
        self.clients.append(place)
        self.turn()
        return place

    def turn(self, seconds: float = 0.02) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.server.asyncore.loop(timeout=0.005, use_poll=True, map=self.server.map, count=1)
            self.server._close_marked()

    def until(self, done: Callable[[], bool], seconds: float = 5.0) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if done():
                return True
            self.turn(0.01)
        return False

    def is_open(self, place: socket.socket) -> bool:
        """Whether the server still holds a client's connection."""
        return any(connection.addr == place.getsockname() for connection in self.server.connections())

    def answered(self, place: socket.socket) -> bytes:
        """Send a request and read the answer to its end."""
        place.sendall(REQUEST)
        got = b""

        def read() -> bool:
            nonlocal got
            try:
                got += place.recv(65536)
            except BlockingIOError:
                return False
            return got.endswith(b"small")

        assert self.until(read)
        return got

    def close(self) -> None:
        self.server.stop()
        for place in self.clients:
            place.close()


def _site(environ: dict[str, str], start: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
    body = bytes(LARGE) if environ["PATH_INFO"] == "/large" else b"small"
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], Turned]]:
    for name in ("FIRST_SECONDS", "REQUEST_SECONDS", "KEPT_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(connections, name, LIMIT)
    made = []

    def make(most: int = 100, most_of_one: int = 100) -> Turned:
        made.append(Turned(most, most_of_one))
        return made[-1]

    yield make
    for each in made:
        each.close()


def drip(turned: Turned, place: socket.socket, drops: list[bytes]) -> float:
    """Send drops until the server closes the connection; the seconds that it took."""
    started = time.monotonic()
    for drop in itertools.cycle(drops):
        if not turned.is_open(place) or time.monotonic() - started > 5:
            return time.monotonic() - started
        with suppress(OSError):
            place.send(drop)
        turned.turn(0.03)
    raise AssertionError


@pytest.mark.parametrize(
    "drops",
    [[b""], [b"G"], [b"\r\n"], [b"\r\n", b"G"], [b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n", *[b"a"] * 99]],
    ids=["nothing", "headers", "empty lines", "empty lines between", "body"],
)
def test_who_sends_slowly_is_closed_whatever_the_drops(turned: Callable[..., Turned], drops: list[bytes]) -> None:
    server = turned()
    seconds = drip(server, server.connect(), drops)
    assert 0.9 * LIMIT < seconds < 4 * LIMIT


def test_who_was_answered_may_wait_and_ask_again_until_the_time_is_over(turned: Callable[..., Turned]) -> None:
    server = turned()
    place = server.connect()
    for _ in range(4):  # longer in all than any limit
        server.turn(LIMIT / 3)
        assert server.answered(place).startswith(b"HTTP/1.1 200")
    assert server.until(lambda: not server.is_open(place))


def test_who_reads_nothing_is_closed_and_who_reads_slowly_is_not(turned: Callable[..., Turned]) -> None:
    server = turned()
    deaf, slow = server.connect(receive_bytes=4096), server.connect()
    for place in (deaf, slow):
        place.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until = time.monotonic() + 2.5 * LIMIT
    while time.monotonic() < until:
        server.turn(0.01)
        with suppress(BlockingIOError):
            slow.recv(20_000)
    assert not server.is_open(deaf)
    assert server.is_open(slow)


def test_the_one_that_waits_longest_for_least_makes_room(turned: Callable[..., Turned]) -> None:
    server = turned(most_of_one=4)
    answered, silent, started, silent_too = (server.connect() for _ in range(4))
    server.answered(answered)
    started.sendall(b"GET /")
    server.turn()
    gone = []
    for _ in range(4):
        newest = server.connect()
        server.answered(newest)
        gone.append([server.is_open(place) for place in (silent, silent_too, started, answered)])
    assert gone == [
        [False, True, True, True],
        [False, False, True, True],
        [False, False, False, True],
        [False, False, False, False],
    ]


def test_when_all_is_full_the_largest_crowd_makes_room_for_others(turned: Callable[..., Turned]) -> None:
    server = turned(most=10)
    crowd = [server.connect("127.0.0.2") for _ in range(9)]
    alone = server.connect("127.0.0.3")
    for _ in range(5):
        server.answered(server.connect("127.0.0.4"))
    assert server.is_open(alone)
    assert sum(map(server.is_open, crowd)) == 4


def test_of_requests_in_one_piece_the_first_is_answered_and_the_connection_closed(
    turned: Callable[..., Turned],
) -> None:
    server = turned()
    place = server.connect()
    place.sendall(REQUEST * 300)
    got = b""

    def ended() -> bool:
        nonlocal got
        try:
            more = place.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        got += more
        return not more

    assert server.until(ended)
    assert got.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in got


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_a_network_is_an_address_or_64_bits_of_one(address: str, whose: str) -> None:
    assert network(address) == whose

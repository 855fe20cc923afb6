"""Many connections that want nothing good, and a new visitor among them, who must not notice."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tests.trouble.served_study import Server, Visitor

PROMISED_SECONDS = 2.0  # in which a new visitor has the page
Crowd = Callable[[Server, ExitStack, str, random.Random], None]  # opens connections, which the stack closes


def _connect(server: Server, stack: ExitStack, receive_bytes: int | None = None) -> socket.socket | None:
    try:
        place = stack.enter_context(server.connect(receive_bytes))
    except OSError:
        return None
    place.settimeout(0.5)
    return place


def _drip(server: Server, stack: ExitStack, count: int, starts: list[bytes], drops: list[bytes]) -> None:
    """Connections that send a start and then a drop each second."""
    places = [place for _ in range(count) if (place := _connect(server, stack)) is not None]
    stopped = threading.Event()

    def send() -> None:
        turn = 0
        for number, place in enumerate(places):
            _try_to_send(place, starts[number % len(starts)])
        while not stopped.wait(1.0):
            turn += 1
            for number, place in enumerate(places):
                _try_to_send(place, drops[(number + turn) % len(drops)])

    thread = threading.Thread(target=send)
    stack.callback(thread.join)
    stack.callback(stopped.set)
    thread.start()


def _try_to_send(place: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        place.sendall(data)


def idle(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """500 connections that send nothing."""
    for _ in range(500):
        _connect(server, stack)


def slow_heads(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """200 requests whose headers never end, a byte a second."""
    _drip(server, stack, 200, [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "], [b"a", b"b\r\nY: "])


def slow_bodies(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """200 answers whose bodies come a byte a second."""
    head = f"POST /answer HTTP/1.1\r\nHost: localhost\r\nCookie: participant={code}\r\nContent-Length: 9000\r\n\r\n"
    _drip(server, stack, 200, [head.encode()], [b"p", b"o"])


def empty_lines(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """100 connections that send an empty line each second, which is no request."""
    _drip(server, stack, 100, [b"\r\n"], [b"\r\n"])


def slow_chunks(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """100 bodies in chunks of a byte each."""
    head = b"POST /enter HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    _drip(server, stack, 100, [head], [b"1\r\na\r\n"])


def slow_readers(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """50 visitors who ask for a video and read next to nothing of it, whole or in part."""
    visitor = Visitor(server, code)
    video = visitor.step()[1]
    for number in range(50):
        place = _connect(server, stack, 4096)
        if place is not None:
            headers = {"Range": "bytes=1-"} if number % 2 else {}
            _try_to_send(place, visitor.request("GET", video, **headers))


def many_at_once(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """50 connections with 300 requests in one piece, of which no answer is read."""
    request = b"GET /static/study.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(50):
        place = _connect(server, stack, 4096)
        if place is not None:
            _try_to_send(place, request * 300)


def kept_open(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """300 connections that were answered once and stay open."""
    for _ in range(300):
        place = _connect(server, stack)
        if place is not None:
            _try_to_send(place, b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")


def come_and_go(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """600 connections that are reset or closed in the middle of a request."""
    for _ in range(600):
        place = _connect(server, stack)
        if place is None:
            continue
        _try_to_send(place, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[: generator.randrange(40)])
        if generator.random() < 0.5:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        place.close()


def everything(server: Server, stack: ExitStack, code: str, generator: random.Random) -> None:
    """500 idle connections, 200 slow senders and 50 slow readers at the same time."""
    for crowd in (slow_readers, slow_heads, idle):
        crowd(server, stack, code, generator)


CROWDS: tuple[Crowd, ...] = (
    *(idle, slow_heads, slow_bodies, empty_lines, slow_chunks, slow_readers, many_at_once, kept_open, come_and_go),
    everything,
)


@contextmanager
def crowd(which: Crowd, server: Server, code: str, seed: int) -> Iterator[None]:
    """The crowd is there inside the block."""
    with ExitStack() as stack:
        which(server, stack, code, random.Random(seed))
        yield


@dataclass(frozen=True)
class Welcome:
    """How a new visitor was served: seconds until the page was there, and whether the answer was taken."""

    seconds: float
    answered: bool

    @property
    def fell_short(self) -> str:
        if self.seconds > PROMISED_SECONDS:
            return f"a new visitor waited {self.seconds:.1f} s for the page"
        return "" if self.answered else "the answer of a new visitor was not taken"


def welcome(server: Server, code: str) -> Welcome:
    """A new visitor comes, enters the code, and answers a video."""
    visitor = Visitor(server, code)
    started = time.monotonic()
    try:
        shown = Visitor(server, "").get("/").status == 200
        seconds = time.monotonic() - started
        entered = visitor.post("/enter", {"code": code}).status == 303
        return Welcome(seconds, shown and entered and visitor.answer())
    except OSError:
        return Welcome(time.monotonic() - started, False)

"""Studies that are damaged a little, which may or may not be noticed, and what the server makes of waiting people."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from tests.trouble.children import run
from tests.trouble.served_study import Server, Visitor, served
from tests.trouble.visit_ends import Case
from tlbench.serving import connections
from tlbench.study.database import FILE_NAME

LATE_SECONDS = 5.0  # that a connection may live beyond its time on a busy machine


def flipped_studies(codes: tuple[str, ...], cases: int, seed: int) -> Iterator[Case]:
    """A few bits of the database flipped: refused in one line, or served and printed without a traceback."""
    for number in range(cases):
        yield Case(
            "visit: flipped bits",
            str(number),
            lambda folder, n=number: _flip(folder, codes, random.Random(f"{seed}.{n}")),
        )


def _flip(folder: Path, codes: tuple[str, ...], generator: random.Random) -> str:
    path = folder / FILE_NAME
    data = bytearray(path.read_bytes())
    for _ in range(generator.randint(1, 4)):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    path.write_bytes(data)
    with closing(Server(folder)) as server:
        why = _use(server, codes)
    return why or run(["study", "results", folder], folder.parent, seconds=30, memory_bytes=None).fell_short


def _use(server: Server, codes: tuple[str, ...]) -> str:
    """Answer a page for each code if it serves; why that fell short."""
    if server.port:
        statuses = {Visitor(server, code).get("/next").status for code in codes[:10]}
        for code in codes[:10]:
            visitor = Visitor(server, code)
            step = visitor.step()[0]
            statuses.add(visitor.post("/answer", step).status if step else 303)
        server.end()
        if statuses - {200, 303, 503}:
            return f"statuses {sorted(statuses)}"
    elif server.process.wait(10) != 2 or server.errors().count("error:") != 1:
        return f"exit code {server.process.returncode}: {server.errors()[-300:]!r}"
    return "traceback of the server" if "Traceback" in server.errors() else ""


def behind_a_proxy(codes: tuple[str, ...]) -> Iterator[Case]:
    """With ``--name`` all connections are the proxy's, which says whose they are."""
    name, first, second = "study.example.org", "192.0.2.1", "192.0.2.2"

    def guess(folder: Path) -> str:
        with served(folder, "--name", name) as server:
            stranger = Visitor(server, "")
            said = [
                stranger.post("/enter", {"code": f"WRNG{n:04d}"}, Host=name, X_Forwarded_For=first).status
                for n in range(50)
            ]
            others = stranger.post("/enter", {"code": codes[0]}, Host=name, X_Forwarded_For=f"{first}, {second}").status
        return "" if (said[0], said[-1], others) == (200, 429, 303) else f"{said[0]} to {said[-1]}, others {others}"

    def odd(folder: Path) -> str:
        with served(folder, "--name", name) as server:
            stranger = Visitor(server, "")
            texts = ("", "x", "a" * 5000, ",,,", "[::1", "192.0.2.1:99999", "\x00", "é")
            statuses = {stranger.get("/", Host=name, X_Forwarded_For=text).status for text in texts}
        return "" if statuses <= {200, 400} else f"statuses {statuses}"

    def many(folder: Path) -> str:
        with served(folder, "--name", name) as server, ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(server.connect())
            shown = Visitor(server, "").get("/", Host=name).status
            count = len(_open_ports(server))
        return "" if shown == 200 and count >= 300 else f"{count} of 300 connections are open, status {shown}"

    yield Case("visit: proxy", "wrong codes count for the client", guess)
    yield Case("visit: proxy", "odd addresses", odd)
    yield Case("visit: proxy", "300 connections of the proxy", many)


def timeouts(code: str) -> Iterator[Case]:
    """Connections of each kind that only wait are closed in their time, while one that is used stays."""
    yield Case("visit: waiting", "all kinds are closed in time", lambda folder: _wait(folder, code))


def _wait(folder: Path, code: str) -> str:
    limits = {
        "sends nothing": connections.FIRST_SECONDS,
        "a byte now and then": connections.REQUEST_SECONDS,
        "empty lines": connections.REQUEST_SECONDS,
        "reads nothing": connections.READ_SECONDS,
        "answered": connections.KEPT_SECONDS,
    }
    with served(folder) as server:
        visitor = Visitor(server, code)
        video = visitor.step()[1]
        places = {name: server.connect(4096) for name in limits}
        places["a byte now and then"].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        places["reads nothing"].sendall(visitor.request("GET", video))
        places["answered"].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        started, closed = time.monotonic(), {}
        while len(closed) < len(limits) and time.monotonic() - started < max(limits.values()) + LATE_SECONDS:
            time.sleep(1.0)
            for name, drop in (("a byte now and then", b"a"), ("empty lines", b"\r\n")):
                try:
                    places[name].sendall(drop)
                except OSError:
                    closed.setdefault(name, time.monotonic() - started)
            remote = _open_ports(server)
            for name, place in places.items():
                if place.getsockname()[1] not in remote:
                    closed.setdefault(name, time.monotonic() - started)
        for place in places.values():
            place.close()
    for name, limit in limits.items():
        if not limit - 1.5 <= closed.get(name, 1e9) <= limit + LATE_SECONDS:
            return f"{name}: closed after {closed.get(name, float('inf')):.0f} s, its limit is {limit:.0f} s"
    return ""


def _open_ports(server: Server) -> set[int]:
    """The ports of clients whose connections the server holds, by the kernel's table: a client may not notice."""
    held = {f"{server.port:04X}"}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(r[2].rpartition(":")[2], 16) for r in rows if r[1].rpartition(":")[2] in held and r[3] == "01"}

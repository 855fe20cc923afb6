"""Requests that no browser sends, each with the answers that are right. Nothing of them is kept as an answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.trouble.served_study import VIDEO_BYTES, Answer, Server, Visitor

HOST = b"Host: localhost\r\n"


@dataclass(frozen=True)
class Scene:
    """Who may be asked for what: ``visitor`` has started, ``other`` is another participant, ``video`` a path."""

    folder: Path
    server: Server
    visitor: Visitor
    other: Visitor
    video: str


@dataclass(frozen=True)
class Visit:
    """One kind of visit. ``ends`` makes it, and returns why it fell short, or an empty text."""

    kind: str
    name: str
    ends: Callable[[Scene], str]


def _status(answer: Answer, right: set[int]) -> str:
    return "" if answer.status in right else f"status {answer.status} instead of one of {sorted(right)}"


def raw(name: str, request: bytes, *right: int) -> Visit:
    """Bytes as they are. 0 is a connection that is closed without an answer."""
    return Visit("visit: bytes", name, lambda scene: _status(scene.server.ask(request), set(right)))


def raw_requests() -> Iterator[Visit]:
    """What is no good request, or a good one in an odd form."""
    get = b"GET / HTTP/1.1\r\n" + HOST
    post = b"POST /enter HTTP/1.1\r\n" + HOST
    for method in ("PROPFIND", "BREW", "TRACE", "DELETE", "PUT", "PATCH", "X" * 2000):
        yield raw(f"method {method[:10]}", f"{method} / HTTP/1.1\r\n".encode() + HOST + b"\r\n", 405)
    yield raw("OPTIONS", b"OPTIONS / HTTP/1.1\r\n" + HOST + b"\r\n", 200)
    yield raw("CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400, 404, 405)
    yield raw("a method in lower case", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400)
    yield raw("a greeting of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n", 400)
    yield raw("a greeting of SSH", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400)
    yield raw("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 404, 405)
    yield raw("HTTP/0.9", b"GET /\r\n\r\n", 400)
    yield raw("a version that there is not", b"GET / HTTP/7.3\r\n" + HOST + b"\r\n", 200, 505)
    yield raw("bytes of every kind", bytes(range(256)) * 8 + b"\r\n\r\n", 400)
    yield raw("no host", b"GET / HTTP/1.1\r\n\r\n", 400)
    yield raw("half an IPv6 address as target", b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n", 400)
    yield raw("a target on another host", b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 200, 400)
    for number, size in (("-1", "negative"), ("9" * 6000, "of 6,000 digits"), ("abc", "no number"), ("1, 2", "double")):
        yield raw(f"a length that is {size}", post + f"Content-Length: {number}\r\n\r\n".encode(), 400, 413)
    yield raw("a length of 10^12", post + b"Content-Length: 1000000000000\r\n\r\n", 413)
    yield raw("two lengths", post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\ncode=", 400)
    yield raw("a transfer coding unknown", post + b"Transfer-Encoding: gzip\r\n\r\n", 501)
    yield raw("chunks of no size", post + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400)
    yield raw(
        "a chunk of 10^30", post + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 25 + b"\r\n" + bytes(70000), 413
    )
    yield raw("chunks without end", post + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20000, 413)
    yield raw(
        "length and chunks", post + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 400, 429
    )
    yield raw("a body of 200 kB", post + b"Content-Length: 200000\r\n\r\n" + bytes(200_000), 413)
    yield raw("headers of 1 MB", get + b"X: " + b"y" * 2**20 + b"\r\n\r\n", 431, 0)
    yield raw("5,000 headers", get + b"".join(b"X%d: y\r\n" % i for i in range(5000)) + b"\r\n", 431, 0)
    yield raw("a target of 20 kB", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, 414, 0)
    yield raw("a header without a colon", get + b"nothing here\r\n\r\n", 400)
    yield raw("a header of control characters", get + b"X: \x00\x01\x1b[31m\r\n\r\n", 200, 400)
    yield raw("a folded header", get + b"X: a\r\n b\r\n\r\n", 200, 400)
    yield raw("lines without carriage returns", b"GET / HTTP/1.1\nHost: localhost\n\n\r\n\r\n", 400)
    yield raw("two requests in one piece", (get + b"\r\n") * 2, 200)
    yield raw("100-continue", post + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", 400)
    yield raw("an upgrade to a web socket", get + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200, 400)
    for host in (
        "evil.example",
        "localhost.evil.example",
        "localhost:99999999",
        "user@localhost",
        "[::1",
        "a b",
        "",
        "é",
    ):
        line = f"Host: {host}\r\n".encode("latin-1")
        right = (200, 400) if host == "localhost:99999999" else (400,)
        yield raw(f"host {host!r}", b"GET / HTTP/1.1\r\n" + line + b"\r\n", *right)
    yield raw("a host of 5,000 characters", b"GET / HTTP/1.1\r\nHost: " + b"a" * 5000 + b"\r\n\r\n", 400)
    yield raw("two hosts", b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n", 400)


PATHS = (
    *("/video/../study.sqlite", "/video/..%2fstudy.sqlite", "/video/%2e%2e%2fcodes.txt", "/video/..%5c..%5ccodes.txt"),
    *("/video/....//codes.txt", "/video/%00", "/video/%ff%fe", "/video/" + "a" * 10000, "/video/'%20OR%201=1--"),
    *("/static/../site.py", "/static/..%2fsite.py", "/static/%2fetc%2fpasswd", "/static/..%c0%afsite.py"),
    *("/study.sqlite", "/codes.txt", "/study.sqlite-wal", "/.git/config", "/wp-login.php", "/%0d%0aSet-Cookie:x=y"),
    *("//evil.example/", "/\\evil.example", "/video", "/next/", "/answer/x", "/static/"),
)


def paths() -> Iterator[Visit]:
    """Paths that lead nowhere."""

    def follow(scene: Scene, path: str) -> str:
        answer = scene.visitor.get(path)
        if "evil.example" in answer.headers.get("location", ""):
            return f"leads to {answer.headers['location']}"
        if answer.headers.get("set-cookie"):
            return "sets a cookie"
        return _status(answer, {404, 308} if path.startswith(("//", "/next/", "/static/%2f")) else {404})

    for path in PATHS:
        yield Visit("visit: path", path[:40], lambda scene, path=path: follow(scene, path))


def ranges() -> Iterator[Visit]:
    """Parts of a video: the header of a request, and the first byte and the number of bytes that are right."""
    last = VIDEO_BYTES - 1
    whole, none = (0, VIDEO_BYTES), (0, 0)
    wanted = {
        "bytes=0-0": (0, 1),
        "bytes=0-": whole,
        f"bytes={last}-": (last, 1),
        f"bytes=5-{10**30}": (5, VIDEO_BYTES - 5),
        "bytes=-7": (VIDEO_BYTES - 7, 7),
        f"bytes=-{10**30}": whole,
        f"bytes={VIDEO_BYTES}-": none,
        f"bytes={10**30}-": none,
        "bytes=9-3": whole,
        "bytes=-0": whole,
        "bytes=a-b": whole,
        "bytes=": whole,
        "bytes=0-1,0-1,0-1": whole,
        "bytes=" + ",".join(f"{i}-{i + 9}" for i in range(0, 9000, 10)): whole,
        "bytes=" + ",".join(["0-"] * 1300): whole,
        "bytes=" + "9" * 6000 + "-": whole,
        "lines=1-2": whole,
    }
    for header, part in wanted.items():
        yield Visit("visit: range", header[:30], lambda scene, h=header, part=part: _part(scene, part, Range=h))
    part = (3, 4)
    yield Visit(
        "visit: range", "If-Range right", lambda scene: _part(scene, part, Range="bytes=3-6", If_Range=_tag(scene))
    )
    yield Visit("visit: range", "If-Range wrong", lambda scene: _part(scene, whole, Range="bytes=3-6", If_Range='"x"'))
    odd = "Thu, 99 Foo 2099"
    yield Visit("visit: range", "If-Range odd", lambda scene: _part(scene, whole, Range="bytes=3-6", If_Range=odd))
    for name, headers, status in (
        ("If-None-Match", "If_None_Match", 304),
        ("If-Match of another", "If_Match", 412),
    ):

        def conditional(scene: Scene, header: str = headers, status: int = status) -> str:
            tag = _tag(scene) if status == 304 else '"x"'
            return _status(scene.server.ask(scene.visitor.request("GET", scene.video, None, **{header: tag})), {status})

        yield Visit("visit: range", name, conditional)

    def head(scene: Scene) -> str:
        answer = scene.server.ask(scene.visitor.request("HEAD", scene.video, Range="bytes=0-1"))
        if answer.body or answer.headers.get("content-length") != str(VIDEO_BYTES):
            return f"HEAD has {len(answer.body)} bytes, says {answer.headers.get('content-length')}"
        return _status(answer, {200})

    yield Visit("visit: range", "HEAD", head)


def _tag(scene: Scene) -> str:
    return f'"{scene.video.rpartition("/")[2]}"'


def _part(scene: Scene, part: tuple[int, int], **headers: str) -> str:
    """Whether exactly these bytes of the video come."""
    start, count = part
    answer = scene.visitor.get(scene.video, **headers)
    if not count:
        right = answer.headers.get("content-range") == f"bytes */{VIDEO_BYTES}"
        return _status(answer, {416}) or ("" if right else "416 without the size of the video")
    data = (scene.folder / "videos" / f"{_tag(scene)[1:-1]}.mp4").read_bytes()[start : start + count]
    if answer.body != data:
        return f"{len(answer.body)} other bytes"
    return _status(answer, {206} if "content-range" in answer.headers else {200})


def mutated(cases: int, seed: int) -> Iterator[Visit]:
    """Good requests with bytes changed, cut out, doubled or swapped, from a seed."""
    generator = random.Random(seed)

    def send(scene: Scene, request: bytes) -> str:
        answer = scene.server.ask(request + b"\r\n\r\n")
        return (
            "" if answer.status < 500 or answer.status in (501, 505) else f"status {answer.status} of {request!r:.300}"
        )

    for number in range(cases):
        path = generator.choice(["/", "/next", "/static/study.js", "/video/abc", "/enter"])
        headers = 'Range: bytes=0-9\r\nCookie: participant=AAAA; b=c\r\nAccept: */*\r\nIf-None-Match: "x"\r\n'
        method = "POST" if path == "/enter" else "GET"
        request = bytearray(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}".encode())
        for _ in range(generator.randint(1, 6)):
            at, length = generator.randrange(len(request)), generator.randint(1, 12)
            change = generator.randrange(4)
            if change == 0:
                request[at] = generator.randrange(256)
            elif change == 1:
                del request[at : at + length]
            elif change == 2:
                request[at:at] = request[at : at + length] * generator.choice([1, 2, 50])
            else:
                request[at:at] = generator.choice([b"\r\n", b"\0", b"%", b"\xff", b": ", b"//", b"9" * 5000])
        yield Visit("visit: changed bytes", str(number), lambda scene, data=bytes(request): send(scene, data))

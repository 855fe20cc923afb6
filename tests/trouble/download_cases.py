"""Servers that do what no server should, and archives that hold what no archive should."""

from __future__ import annotations

import hashlib
import http.server
import io
import random
import stat
import struct
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import pytest

from tests.factories.server_factory import only_loopback, serving
from tests.trouble.media_cases import Verdict
from tlbench import downloads
from tlbench.checkpoints.card import Card
from tlbench.checkpoints.download import fetch
from tlbench.datasets import fetch_grid as grid
from tlbench.errors import TlbenchError

CONTENT = bytes(range(256)) * 1200  # 300 kB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MOST_BYTES = 1_000_000
HANGS_SECONDS = 25.0
LIMITED = {"TIMEOUT_SECONDS": 1.0, "SLOW_SECONDS": 1.0}  # so that nobody waits a minute for a stalled server


class HostileServer(http.server.BaseHTTPRequestHandler):
    """The path says what the server does; ``/whole`` is a good one, and a second request to most others, too."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        HostileServer.asked.append(self.path)
        with suppress(OSError):  # who has seen enough leaves
            getattr(self, self.path.strip("/").split("/")[0].replace("-", "_"))()

    def whole(self, content: bytes = CONTENT, tag: str = '"1"') -> None:
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        if self.headers["If-Range"] not in (None, tag):
            start = 0
        headers = {"ETag": tag, "Content-Length": str(len(content) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, headers)
        self.wfile.write(content[start:])

    def without_length(self) -> None:
        self._head(200, {"Connection": "close"})
        self.wfile.write(CONTENT)

    def chunked(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self._head(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(CONTENT), 10_000):
            self._chunk(CONTENT[start : start + 10_000])
        self._chunk(b"")

    def endless(self) -> None:
        self._head(200, {"Connection": "close"})
        while True:
            self.wfile.write(CONTENT)

    def endless_chunks(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self._head(200, {"Transfer-Encoding": "chunked"})
        while True:
            self._chunk(CONTENT)

    def announces_terabytes(self) -> None:
        self._head(200, {"Content-Length": str(10**13)})
        self.wfile.write(CONTENT)

    def announces_less(self) -> None:
        self._head(200, {"Content-Length": str(len(CONTENT) // 2)})
        self.wfile.write(CONTENT)

    def announces_more(self) -> None:
        self._head(200, {"Content-Length": str(len(CONTENT) + 1), "Connection": "close"})
        self.wfile.write(CONTENT)

    def absurd_length(self) -> None:
        self._head(200, {"Content-Length": "9" * 5000, "Connection": "close"})
        self.wfile.write(CONTENT)

    def strange_length(self) -> None:
        self._head(200, {"Content-Length": "-\u00b2", "Connection": "close"})
        self.wfile.write(CONTENT)

    def absurd_range(self) -> None:
        self._head(206, {"Content-Range": f"bytes 0-{'9' * 5000}/{'9' * 5000}", "Connection": "close"})
        self.wfile.write(CONTENT)

    def redirects_to_http(self) -> None:
        self._head(302, {"Location": "http://127.0.0.1/whole"})

    def redirects_to_file(self) -> None:
        self._head(302, {"Location": "file:///etc/passwd"})

    def redirects_to_ftp(self) -> None:
        self._head(301, {"Location": "ftp://127.0.0.1/x"})

    def redirects_elsewhere(self) -> None:
        self._head(307, {"Location": "https://example.org/" + "x" * 5000})

    def redirects_to_a_similar_host(self) -> None:
        self._head(308, {"Location": "https://evil127.0.0.1/whole"})

    def redirects_to_itself(self) -> None:
        self._head(302, {"Location": self.path})

    def redirects_on(self) -> None:
        self._head(302, {"Location": self.path + "/on"})

    def redirects_twice(self) -> None:
        self._head(302, {"Location": "/redirects-once"})

    def redirects_once(self) -> None:
        self._head(303, {"Location": "/whole"})

    def redirects_nowhere(self) -> None:
        self._head(302, {"Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT)

    def redirects_with_control_characters(self) -> None:
        self._head(302, {"Location": "https://exa\tmple.org\x1b[31m/"})

    def has_nothing(self) -> None:
        self._head(204, {})

    def is_broken(self) -> None:
        self._head(503, {"Retry-After": "9999999"})

    def stalls(self) -> None:
        self._head(200, {"Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT[:1000])
        self.wfile.flush()
        time.sleep(HANGS_SECONDS)

    def drips(self) -> None:
        self._head(200, {"Content-Length": str(len(CONTENT))})
        for place in range(1000):
            self.wfile.write(CONTENT[place : place + 1])
            self.wfile.flush()
            time.sleep(0.1)

    def never_answers(self) -> None:
        time.sleep(HANGS_SECONDS)

    def leaves(self) -> None:
        self.connection.close()

    def speaks_no_http(self) -> None:
        self.wfile.write(b"\x00\xff" * 5000)

    def endless_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10**6):
            self.wfile.write(b"X-%d: y\r\n" % number)

    def packs(self) -> None:
        self._head(200, {"Content-Encoding": "gzip", "Connection": "close"})
        self.wfile.write(CONTENT)

    def sends_another(self) -> None:
        self.whole(CONTENT[::-1])

    def breaks_off(self) -> None:
        if self.headers["Range"]:
            self.whole()
            return
        self._head(200, {"ETag": '"1"', "Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT[:100_000])

    def breaks_off_and_changes(self) -> None:
        """The next request finds another file; this server knows If-Range."""
        if self.headers["Range"]:
            self.whole(CONTENT, '"2"')
            return
        self._head(200, {"ETag": '"1"', "Content-Length": str(len(CONTENT))})
        self.wfile.write(CONTENT[:100_000][::-1])

    def breaks_off_and_mixes(self) -> None:
        """The next request gets the rest of another file; this server does not know If-Range."""
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        headers = {"ETag": f'"{start > 0}"', "Content-Length": str(len(CONTENT) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self._head(206 if start else 200, headers)
        self.wfile.write(CONTENT[start:] if start else CONTENT[:100_000])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        pass


# What the server does, how often it is asked, and a part of the line that has to say why not; "" if the file has to
# come. The first is with the hash of the file, the second without one.
SERVERS: dict[str, tuple[int, str, str]] = {
    "whole": (1, "", ""),
    "without-length": (1, "", ""),
    "chunked": (1, "", ""),
    "endless": (1, "at most", "at most"),
    "endless-chunks": (1, "at most", "at most"),
    "announces-terabytes": (1, "at most", "at most"),
    "announces-less": (1, "instead of the published", "anything"),
    "announces-more": (1, "broke off", "broke off"),
    "absurd-length": (1, "", ""),
    "strange-length": (1, "", ""),
    "absurd-range": (1, "", ""),
    "redirects-to-http": (1, "not https", "not https"),
    "redirects-to-file": (1, "not https", "not https"),
    "redirects-to-ftp": (1, "not https", "not https"),
    "redirects-elsewhere": (1, "leads elsewhere", "leads elsewhere"),
    "redirects-to-a-similar-host": (1, "leads elsewhere", "leads elsewhere"),
    "redirects-to-itself": (1, "redirects more than 5 times", "redirects more than 5 times"),
    "redirects-on": (1, "redirects more than 5 times", "redirects more than 5 times"),
    "redirects-twice": (1, "", ""),
    "redirects-nowhere": (1, "answers 302", "answers 302"),
    "redirects-with-control-characters": (1, "can't be reached", "can't be reached"),
    "has-nothing": (1, "answers 204", "answers 204"),
    "is-broken": (1, "answers 503", "answers 503"),
    "stalls": (1, "broke off", "broke off"),
    "drips": (1, "broke off", "broke off"),
    "never-answers": (1, "can't be reached", "can't be reached"),
    "leaves": (1, "can't be reached", "can't be reached"),
    "speaks-no-http": (1, "can't be reached", "can't be reached"),
    "endless-headers": (1, "can't be reached", "can't be reached"),
    "packs": (1, "content encoding gzip", "content encoding gzip"),
    "sends-another": (1, "instead of the published", "anything"),
    "breaks-off": (2, "", ""),
    "breaks-off-and-changes": (2, "", ""),
    "breaks-off-and-mixes": (2, "has changed", "has changed"),
}


def hostile_downloads(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Fetch from each server with and without a hash, and unpack ``cases`` archives drawn from the seed."""
    with serving(HostileServer) as address:
        for name in SERVERS:
            for hashed in (True, False):
                place = folder / f"{name} {hashed}"
                yield judge_server(place, address, name, hashed=hashed)
    for name, content in archives(cases, seed):
        yield judge_archive(folder / name, name, content)


def judge_server(folder: Path, address: str, name: str, *, hashed: bool) -> Verdict:
    """Fetch a checkpoint from one of :data:`SERVERS` into an empty folder."""
    times, *wanted = SERVERS[name]
    expected = wanted[0] if hashed else wanted[1]
    sha256 = SHA256 if hashed else ""
    card = Card("net", "", "observer", "net.pth", f"{address}/{name}", "MIT", "", "", sha256)
    said: list[str] = []

    def ask() -> None:
        for _ in range(times):
            said.clear()
            try:
                fetch(card, folder)
            except TlbenchError as error:
                said.append(str(error))

    with ExitStack() as stack:
        only_loopback(stack.enter_context(pytest.MonkeyPatch.context()))
        for constant, value in LIMITED.items():
            stack.enter_context(patch.object(downloads, constant, value))
        stack.enter_context(patch("tlbench.checkpoints.download.MOST_BYTES", MOST_BYTES))
        why = _in_time(ask)
    return _verdict(
        f"server, {'with' if hashed else 'without'} hash", name, why or _wrong(folder, said, expected), said
    )


def _wrong(folder: Path, said: list[str], expected: str) -> str:
    """Why the end is not as expected; an empty text if it is."""
    target, parts = folder / "net.pth", sorted(path.name for path in folder.glob("*"))
    if expected == "anything":  # nobody can know better
        return ""
    if any(path.stat().st_size > MOST_BYTES for path in folder.glob("*")):
        return "more was written than is allowed"
    if not expected:
        if said or not target.is_file() or target.read_bytes() != CONTENT:
            return f"the file did not come: {said}"
        return "" if parts == ["net.pth"] else f"left: {parts}"
    if target.exists():
        return "a wrong file got its name"
    if len(said) != 1 or expected not in said[0] or not said[0].isprintable() or len(said[0]) > 900:
        return f"says {said}, not {expected!r}"
    if expected not in ("broke off", "answers 503") and "net.pth.part" in parts and (folder / parts[0]).stat().st_size:
        return f"left: {parts}"
    return ""


def _in_time(work: Callable[[], None]) -> str:
    """Run in a thread; why it did not end well, or an empty text."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001, it is what is looked for
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANGS_SECONDS - 5)
    if thread.is_alive():
        return "hangs"
    return f"{type(raised[0]).__name__}: {raised[0]}" if raised else ""


def _verdict(kind: str, name: str, why: str, said: list[str]) -> Verdict:
    return Verdict(f"downloads: {kind}", name, "fell short" if why else "one line" if said else "right", why)


Entry = tuple[zipfile.ZipInfo, bytes]


def _entry(name: str, content: bytes = b"video", kind: int = stat.S_IFREG, packed: int = zipfile.ZIP_STORED) -> Entry:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    info.create_system = 3
    info.compress_type = packed
    return info, content


def archive(entries: list[Entry]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for info, data in entries:
            packed.writestr(info, data)
    return content.getvalue()


NAMES = (
    *("s1/a.mpg", "s1/b.mpg", "video/s1/a.mpg", "s1/sub/a.mpg", "s2/a.mpg", "S1/A.MPG", "s1/A.mpg", "s1/a.MPG"),
    *("/s1/a.mpg", "//s1/a.mpg", "../s1/c.mpg", "s1/../../a.mpg", "s1/../s1/a.mpg", "../../etc/s1/a.mpg", "./s1/a.mpg"),
    *("C:/s1/a.mpg", "s1\\..\\a.mpg", "\\\\host\\s1\\a.mpg", "s1/a.mpg/", "s1/..", "s1", "", ".", "s1/con.mpg"),
    *(
        "s1/a\n.mpg",
        "s1/\u202ea.mpg",
        "s1/" + "a" * 300 + ".mpg",
        "a/" * 500 + "s1/a.mpg",
        "__MACOSX/s1/a.mpg",
        "s1/.a.mpg",
    ),
)
KINDS = (*[stat.S_IFREG] * 12, 0, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR)


def archives(cases: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Archives by name: some of known trouble, then ``cases`` of names, kinds, sizes and damage drawn from the seed."""
    good = [_entry("s1/a.mpg"), _entry("s1/b.mpg")]
    yield "good", archive(good)
    yield "link", archive([*good, _entry("s1/c.mpg", b"/etc/passwd", stat.S_IFLNK)])
    yield "twice", archive([*good, _entry("s1/a.mpg", b"other")])
    yield "bomb", archive([_entry("s1/a.mpg", bytes(MOST_BYTES * 20), packed=zipfile.ZIP_DEFLATED)])
    yield "many", archive([_entry(f"s1/a{number}.mpg", b"") for number in range(2100)])
    yield "long list", archive([_entry(f"other/{number:0>60000}", b"") for number in range(30)])
    yield "says it is small", archive(good).replace(struct.pack("<L", 5), struct.pack("<L", 1))
    yield "says it is large", archive(good).replace(struct.pack("<L", 5), struct.pack("<L", 2**31))
    yield "locator of a large end", archive(good) + b"PK\x06\x07" + bytes(16)
    yield "nothing", b""
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")
        entries = [
            _entry(rng.choice(NAMES), rng.randbytes(rng.choice((0, 5, 5000))), rng.choice(KINDS), rng.choice((0, 8)))
            for _ in range(rng.randrange(1, 6))
        ]
        content = bytearray(archive(entries))
        for _ in range(rng.choice((0, 0, 1, 4))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        yield f"{number:04d}", bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)


def judge_archive(folder: Path, name: str, content: bytes) -> Verdict:
    """Unpack one archive as GRID's ``s1`` into an empty folder."""
    root = folder / "grid"
    root.mkdir(parents=True)
    (root / "s1.zip").write_bytes(content)
    said: list[str] = []

    def unpack() -> None:
        try:
            grid.fetch_grid(root, "s1", address="https://127.0.0.1:9/{name}.zip")
        except TlbenchError as error:
            said.append(str(error))

    with patch.object(grid, "MOST_BYTES", MOST_BYTES), patch.object(grid, "MOST_DIRECTORY_BYTES", MOST_BYTES):
        why = _in_time(unpack)
    others = [path for path in folder.rglob("*") if path not in (root, root / "s1.zip", root / "s1")]
    if not why and any(path.parent != root / "s1" or path.is_symlink() or not path.is_file() for path in others):
        why = f"left: {sorted(map(str, others))[:3]}"
    if not why and said and (others or not said[0].isprintable() or len(said[0]) > 900):
        why = f"a line and {len(others)} files: {said}"
    if not why and not said and not (root / "s1").is_dir():
        why = "nothing came, and no line says why"
    return _verdict("archive", name, why, said)

"""A small study that a child serves, and visitors on plain sockets, who can send what no browser would."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.factories.study_factory import make_study, make_videos
from tests.trouble.children import COMMAND
from tlbench.files import file_sha256
from tlbench.study.database import FILE_NAME
from tlbench.study.served_videos import HASHES, VIDEOS, hashes_text

VIDEO_BYTES = 4 * 2**20  # more than the buffers of a connection take
PATIENCE = 10.0  # seconds without an answer, after which a request counts as hanging
SCALES = ("quality", "sync", "realness")


@dataclass(frozen=True)
class Answer:
    """What came back: the status (0 for none), the headers by their names in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def make(folder: Path, participants: int = 60) -> tuple[str, ...]:
    """Write a study whose videos are 4 MB long, to ``folder / "study"``. Returns the codes."""
    made = make_study(folder / "study", make_videos(folder / "clips"), participants=participants)
    hashes = {}
    for path in (folder / "study" / VIDEOS).iterdir():
        os.truncate(path, VIDEO_BYTES)  # players skip zeros after the last box
        hashes[path.stem] = file_sha256(path)
    (folder / "study" / HASHES).write_text(hashes_text(hashes))
    return made.codes


class Server:
    """A child that serves the study in ``folder``."""

    def __init__(self, folder: Path, *words: str, most_bytes_of_a_file: int | None = None) -> None:
        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
            if most_bytes_of_a_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes_of_a_file,) * 2)

        self.folder = folder
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # a pipe that nobody reads fills
        self.process = subprocess.Popen(
            [*COMMAND, "study", "serve", str(folder), "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=prepare,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://[^:]+:(\d+)/", self.process.stdout.readline())
        self.port = int(found[1]) if found else 0

    def errors(self) -> str:
        """What it wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read()

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, float]:
        """Send a signal. The exit code and the seconds until it ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return code, time.monotonic() - started

    def close(self) -> None:
        """End it if it has not ended, and close its pipes."""
        if self.process.poll() is None:
            self.end()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        """A new connection, with a small buffer for what comes back if asked."""
        place = socket.socket()
        if receive_bytes is not None:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        place.settimeout(PATIENCE)
        try:
            place.connect(("127.0.0.1", self.port))
        except OSError:
            place.close()
            raise
        return place

    def ask(self, request: bytes) -> Answer:
        """Send bytes on a connection of their own and read one answer."""
        with self.connect() as place:
            with contextlib.suppress(OSError):  # it may answer before it has read all
                place.sendall(request)
            return read_answer(place, request.startswith(b"HEAD "))

    def memory_bytes(self) -> int:
        """What the child has in memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) * 1024


def read_answer(place: socket.socket, head: bool = False) -> Answer:
    """Read one answer to its end. Raises TimeoutError if it does not end."""
    data = b""
    try:
        while b"\r\n\r\n" not in data and (more := place.recv(65536)):
            data += more
        before, _, body = data.partition(b"\r\n\r\n")
        lines = before.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", -1))
        while not head and (length < 0 or len(body) < length) and (more := place.recv(65536)):
            body += more
    except ConnectionError:
        return Answer(0, {}, b"")
    words = lines[0].split()
    return Answer(int(words[1]) if len(words) > 1 and words[1].isdigit() else 0, headers, body)


@contextmanager
def served(folder: Path, *words: str) -> Iterator[Server]:
    """A server until the end of the block, if it has not ended by then."""
    server = Server(folder, *words)
    try:
        assert server.port, server.errors()
        yield server
    finally:
        server.close()


class Visitor:
    """A participant with a browser of few manners."""

    def __init__(self, server: Server, code: str) -> None:
        self.server, self.code = server, code
        self.cookie = f"participant={code}"

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> bytes:
        """The bytes of a request with the cookie; ``_`` in the names of headers is a hyphen."""
        given = {"Host": f"127.0.0.1:{self.server.port}", "Cookie": self.cookie, "Connection": "close"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body)), **given}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        return "\r\n".join([*lines, "", body or ""]).encode("latin-1")

    def get(self, path: str, **headers: str) -> Answer:
        return self.server.ask(self.request("GET", path, **headers))

    def post(self, path: str, fields: dict[str, str] | str, **headers: str) -> Answer:
        body = fields if isinstance(fields, str) else urllib.parse.urlencode(fields)
        return self.server.ask(self.request("POST", path, body, **headers))

    def step(self) -> tuple[dict[str, str], str]:
        """A good answer to the page that is shown now, and the path of its video."""
        page = self.get("/next").text
        asked = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        video = re.findall(r'src="(/video/\w+)"', page)
        scales = {"rate": SCALES, "readability": ("readability",)}.get(asked.get("ask", ""), ())
        given = {"reply": "bin blue"} if asked.get("ask") == "read" else dict.fromkeys(scales, "3")
        return {**asked, **given}, video[0] if video else ""

    def answer(self) -> bool:
        """Answer what is asked now; whether the server said that it has it."""
        return self.post("/answer", self.step()[0]).status == 303


def kept(folder: Path) -> list[tuple[object, ...]]:
    """All answers that are in the database, read by another connection."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        rows = connection.execute("SELECT participant, position, scale, score FROM scores").fetchall()
        return sorted(rows + connection.execute("SELECT participant, position, 'reply', reply FROM replies").fetchall())

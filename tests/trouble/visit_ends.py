"""The ends of a server, expected and not, and what is on disk then; disks and studies in trouble."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.trouble.children import run
from tests.trouble.served_study import Server, Visitor, kept, served
from tests.trouble.visit_crowds import CROWDS, Crowd, crowd
from tlbench.study.database import FILE_NAME

END_SECONDS = 2.0
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


@dataclass(frozen=True)
class Case:
    """Something done to a copy of the study. ``try_it`` returns why it fell short, ``end`` is how it should end."""

    kind: str
    name: str
    try_it: Callable[[Path], str]
    end: str = "right"


class Answering:
    """Visitors who answer all they are asked, each in a thread, and note what the server said it has.

    ``first`` is the participant's number of the first of the codes.
    """

    def __init__(self, server: Server, codes: tuple[str, ...], first: int = 0) -> None:
        self.taken: list[tuple[int, int, str]] = []
        self._server, self._stopped = server, threading.Event()
        self._threads = [threading.Thread(target=self._answer, args=item) for item in enumerate(codes, first)]
        for thread in self._threads:
            thread.start()

    def _answer(self, number: int, code: str) -> None:
        visitor = Visitor(self._server, code)
        try:
            while not self._stopped.is_set():
                step = visitor.step()[0]
                if not step:
                    return
                if visitor.post("/answer", step).status == 303:
                    self.taken.append((number, int(step["position"]), step["ask"]))
        except OSError:
            return  # the server is gone

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def missing(self, folder: Path) -> str:
        """The answers that got their 303 and are not in the database."""
        scales = {(who, position, scale) for who, position, scale, _ in kept(folder)}
        marks = {"rate": "sync", "read": "reply", "readability": "readability"}
        lost = [taken for taken in self.taken if (*taken[:2], marks[taken[2]]) not in scales]
        return f"{len(lost)} of {len(self.taken)} answers are lost" if lost else ""


def ends(codes: tuple[str, ...], seed: int) -> Iterator[Case]:
    """Signals to a server with connections of each kind, and while people answer."""
    for which in CROWDS:
        for number in (signal.SIGINT, signal.SIGTERM):
            name = f"{number.name}, {which.__name__.replace('_', ' ')}"
            yield Case("visit: end", name, lambda folder, c=which, n=number: _end(folder, codes, seed, c, n))
    for number in CODES:
        for turn in range(3):
            name = f"{number.name} while people answer, {turn}"
            yield Case("visit: end", name, lambda folder, n=number, t=turn: _end_of_answers(folder, codes, seed + t, n))


def _end(folder: Path, codes: tuple[str, ...], seed: int, which: Crowd, number: signal.Signals) -> str:
    with served(folder) as server, crowd(which, server, codes[0], seed):
        Visitor(server, codes[1]).answer()
        code, seconds = server.end(number)
    return _not_so(code, seconds, number) or ("" if kept(folder) else "the answer is lost")


def _end_of_answers(folder: Path, codes: tuple[str, ...], seed: int, number: signal.Signals) -> str:
    with served(folder) as server:
        people = Answering(server, codes[:12])
        until = time.monotonic() + 10
        while not people.taken and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.0, 0.8))
        code, seconds = server.end(number)
        people.stop()
    if not people.taken:
        return "nobody could answer in time"
    return _not_so(code, seconds, number) or people.missing(folder)


def _not_so(code: int, seconds: float, number: signal.Signals) -> str:
    if code != CODES[number]:
        return f"exit code {code} instead of {CODES[number]}"
    return "" if seconds <= END_SECONDS else f"took {seconds:.1f} s to end"


def troubled_disks(codes: tuple[str, ...]) -> Iterator[Case]:
    """The disk is full, or another process holds the database, while people answer; then all is well again."""

    yield Case("visit: disk", "full", lambda folder: _full(folder, codes))
    for how in ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"):
        yield Case("visit: disk", f"held by another: {how}", lambda folder, how=how: _held(folder, codes, how))
    for name, change in _CHANGES.items():
        yield Case("visit: disk", f"a video {name} while served", lambda folder, c=change: _exchanged(folder, codes, c))


def _full(folder: Path, codes: tuple[str, ...]) -> str:
    statuses: list[int] = []
    pages = (folder / FILE_NAME).stat().st_size // 4096
    with closing(Server(folder, most_bytes_of_a_file=4096 * pages)) as server:
        for visitor in (Visitor(server, code) for code in codes[:40]):
            step = visitor.step()[0]
            if step and 503 not in statuses:
                statuses.append(visitor.post("/answer", step).status)
        asked = Visitor(server, codes[0]).get("/").status
        server.end()
        errors = server.errors()
    if statuses[-1] != 503 or set(statuses) - {303, 503} or asked not in (200, 503):
        return f"{statuses}, then {asked}"
    if "Traceback" in errors:
        return "traceback"
    if len({row[0] for row in kept(folder)}) < statuses.count(303):
        return "an answer is lost"
    with served(folder) as again:  # with space, it goes on
        return "" if Visitor(again, codes[50]).answer() else "does not go on with space"


@contextmanager
def _holding(folder: Path, how: str) -> Iterator[None]:
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as other:
        other.execute(how)
        yield
        other.execute("ROLLBACK")


def _held(folder: Path, codes: tuple[str, ...], how: str) -> str:
    with served(folder) as server:
        visitor = Visitor(server, codes[0])
        step = visitor.step()[0]
        with _holding(folder, how):
            started = time.monotonic()
            refused = visitor.post("/answer", step)
            waited = time.monotonic() - started
            shown = visitor.get("/next").status
        taken = visitor.post("/answer", step).status
    if (refused.status, shown, taken) != (503, 200, 303) or "try again" not in refused.text:
        return f"{refused.status}, {shown}, then {taken}"
    return "" if waited < 5 else f"the visitor waited {waited:.0f} s"


def _shorten(path: Path) -> None:
    os.truncate(path, 1000)


def _replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(b"another video")
    path.with_suffix(".new").replace(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


_CHANGES: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "shortened": _shorten,
    "replaced": _replace,
    "made a pipe": _pipe,
}


def _exchanged(folder: Path, codes: tuple[str, ...], change: Callable[[Path], None]) -> str:
    with served(folder) as server:
        visitor = Visitor(server, codes[0])
        video = visitor.step()[1]
        path = folder / "videos" / f"{video.rpartition('/')[2]}.mp4"
        with server.connect(4096) as half:  # one is being sent
            half.sendall(visitor.request("GET", video))
            half.recv(100)
            change(path)
            status = visitor.get(video).status
            served_on = Visitor(server, codes[1]).answer()
            time.sleep(0.2)
            busy = _cpu_seconds(server)
            time.sleep(0.5)
            busy = _cpu_seconds(server) - busy
    if status != 404 or not served_on:
        return f"status {status}, others are served: {served_on}"
    return "" if busy < 0.3 else "the server spins"


def _cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def damaged_studies(seed: int) -> Iterator[Case]:
    """Studies that can't be served: one line with exit code 2, and nothing changed."""
    generator = random.Random(seed)

    def flip(folder: Path) -> None:
        path = folder / FILE_NAME
        data = bytearray(path.read_bytes())
        for _ in range(200):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)

    def sql(statement: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
                connection.executescript(statement)

        return change

    def first_video(change: Callable[[Path], None]) -> Callable[[Path], None]:
        return lambda folder: change(sorted((folder / "videos").iterdir())[0])

    def make_folder(folder: Path) -> None:
        (folder / FILE_NAME).unlink()
        (folder / FILE_NAME).mkdir()

    def cut(share: float) -> Callable[[Path], None]:
        return lambda folder: os.truncate(folder / FILE_NAME, int((folder / FILE_NAME).stat().st_size * share))

    changes: dict[str, Callable[[Path], object]] = {
        **{f"flipped bits, {turn}": flip for turn in range(6)},
        **{f"cut to {share}": cut(share) for share in (0.0, 0.01, 0.3, 0.9)},
        "a text file": lambda folder: (folder / FILE_NAME).write_text("not a database at all\n" * 400),
        "another version": sql("PRAGMA user_version = 9"),
        "of another program": sql("PRAGMA application_id = 7"),
        "no table of trials": sql("DROP TABLE scores; DROP TABLE replies; DROP TABLE trials"),
        "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM scores; END"),
        "a view for a table": sql("DROP TABLE replies; CREATE VIEW replies AS SELECT 1"),
        "no row that describes it": sql("DELETE FROM study"),
        "conditions that are no list": sql("UPDATE study SET conditions = '{'"),
        "words that are no list": sql(f"UPDATE trials SET offered = '{json.dumps({'a': 1})}'"),
        "a trial without its video": sql("DELETE FROM videos WHERE rowid = 1"),
        "no database": lambda folder: (folder / FILE_NAME).unlink(),
        "a pipe for the database": lambda folder: _pipe(folder / FILE_NAME),
        "a folder for the database": make_folder,
        **{f"a video {name}": first_video(change) for name, change in _CHANGES.items()},
        "no videos": lambda folder: (folder / "videos").rename(folder / "elsewhere"),
        "hashes that are a pipe": lambda folder: _pipe(folder / "videos.sha256"),
    }
    for name, change in changes.items():
        yield Case("visit: damaged study", name, lambda folder, change=change: _refused(folder, change), "one line")


def _refused(folder: Path, change: Callable[[Path], object]) -> str:
    change(folder)
    outcome = run(["study", "serve", folder, "--port", "0"], folder.parent, seconds=20, memory_bytes=None)
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error:")]
    if outcome.fell_short or (outcome.code == 2 and len(errors) == 1):
        return outcome.fell_short
    return f"exit code {outcome.code}, {outcome.stderr[-200:]!r}"

"""The database of a study: one SQLite file with the plan and all answers, written as soon as they are given.

Write-ahead logging lets ``tlbench study results`` read while people answer. Within the server one connection with a
lock does all the writing. SQLite's own lock keeps a second server from interleaving.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tlbench.errors import TlbenchError
from tlbench.metrics.opinion import SCALES
from tlbench.study.answers import Answers, Check, Score, TranscriptionAnswer
from tlbench.study.plan import Task, Trial

FILE_NAME = "study.sqlite"
APPLICATION_ID = 0x746C6273  # "tlbs": the field of SQLite files that names their application
VERSION = 1
BUSY_SECONDS = 10
RATED = tuple(scale.key for scale in SCALES if scale.key != "readability")
MAX_REPLY = 300  # characters; the longest LRS2 sentences have half as many

_SCHEMA = f"""
CREATE TABLE study (dataset TEXT NOT NULL, split TEXT NOT NULL, conditions TEXT NOT NULL, seed INTEGER NOT NULL);
CREATE TABLE videos (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL CHECK (task IN ('rate', 'check', 'read')),
    condition TEXT NOT NULL,
    clip TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    seconds REAL NOT NULL,
    truth TEXT,
    wanted INTEGER,
    UNIQUE (task, condition, clip)
);
CREATE TABLE participants (number INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);
CREATE TABLE trials (
    participant INTEGER NOT NULL REFERENCES participants,
    position INTEGER NOT NULL,
    video TEXT NOT NULL REFERENCES videos,
    offered TEXT NOT NULL,
    shown_at REAL,
    done_at REAL,
    PRIMARY KEY (participant, position)
);
CREATE TABLE scores (
    participant INTEGER NOT NULL,
    position INTEGER NOT NULL,
    scale TEXT NOT NULL,
    score INTEGER NOT NULL CHECK (score BETWEEN 1 AND 5),
    PRIMARY KEY (participant, position, scale),
    FOREIGN KEY (participant, position) REFERENCES trials
);
CREATE TABLE replies (
    participant INTEGER NOT NULL,
    position INTEGER NOT NULL,
    reply TEXT NOT NULL CHECK (length(reply) <= {MAX_REPLY}),
    PRIMARY KEY (participant, position),
    FOREIGN KEY (participant, position) REFERENCES trials
);
"""


@dataclass(frozen=True)
class ShownVideo:
    """One video file of the study. Its id is the random name that participants see.

    Attributes
    ----------
    id : str
    task, condition, clip : str
        As in :class:`tlbench.study.plan.Item`.
    sha256 : str
        Hash of the generated or real video that it was made from.
    seconds : float
        Its length.
    transcript : str or None
        The text of a video to read. The column of the database is called ``truth``.
    wanted : int or None
        The score that an attention check asks for.
    """

    id: str
    task: Task
    condition: str
    clip: str
    sha256: str
    seconds: float
    transcript: str | None = None
    wanted: int | None = None


@dataclass(frozen=True)
class StudyStep:
    """The next step of a participant.

    Attributes
    ----------
    position, total : int
        Index of the trial, from 0, and the number of trials.
    ask : "rate", "read" or "readability"
        ``rate`` includes attention checks. ``readability`` asks how well the shown text can be read from the lips.
    video : str
    offered : tuple of str
        Words to choose from; empty if the answer is typed.
    transcript, reply : str or None
        Only for ``readability``.
    """

    position: int
    total: int
    ask: str
    video: str
    offered: tuple[str, ...] = ()
    transcript: str | None = None
    reply: str | None = None


@dataclass(frozen=True)
class ParticipantProgress:
    """The number of trials that one participant has done."""

    number: int
    code: str
    done: int
    total: int


def create(
    path: Path,
    dataset: str,
    split: str,
    conditions: Sequence[str],
    seed: int,
    videos: Sequence[ShownVideo],
    codes: Sequence[str],
    plans: Sequence[Sequence[Trial]],
) -> None:
    """Write the database of a new study: ``plans`` has the trials of each participant, ``codes`` the codes."""
    ids = {(video.task, video.condition, video.clip): video.id for video in videos}
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.executescript("BEGIN;" + _SCHEMA + "COMMIT;")
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO study VALUES (?, ?, ?, ?)", (dataset, split, json.dumps(list(conditions)), seed)
        )
        connection.executemany(
            "INSERT INTO videos VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(v.id, v.task, v.condition, v.clip, v.sha256, v.seconds, v.transcript, v.wanted) for v in videos],
        )
        connection.executemany("INSERT INTO participants VALUES (?, ?)", enumerate(codes))
        connection.executemany(
            "INSERT INTO trials VALUES (?, ?, ?, ?, NULL, NULL)",
            [
                (number, position, ids[t.item.task, t.item.condition, t.item.clip], json.dumps(t.offered))
                for number, plan in enumerate(plans)
                for position, t in enumerate(plan)
            ],
        )
        connection.execute("COMMIT")
    finally:
        connection.close()


class Store:
    """The open database of a study. Several threads may use it. ``reads`` says whether the study has clips to read.

    Raises TlbenchError if there is no database, or it belongs to something else or to another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()
        path = folder / FILE_NAME
        if not path.is_file():
            raise TlbenchError(f"{folder}: there is no study here (no {FILE_NAME}); `tlbench study new` makes one")
        self._connection = sqlite3.connect(
            path.absolute().as_uri() + "?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS,
            check_same_thread=False,
        )
        try:
            self._check(path)
        except TlbenchError:
            self.close()
            raise
        self.reads = bool(self._all("SELECT 1 FROM videos WHERE task = 'read' LIMIT 1"))

    def _check(self, path: Path) -> None:
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA foreign_keys = ON")
            mark = self._connection.execute("PRAGMA application_id").fetchone()[0]
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise TlbenchError(f"{path}: can't be read as a study ({error}); is it another file?") from error
        if mark != APPLICATION_ID:
            raise TlbenchError(f"{path}: an SQLite file, but not of a study; pass the folder that `study new` made")
        if version != VERSION:
            remedy = "update tlbench" if version > VERSION else "finish it with the tlbench that made it"
            raise TlbenchError(f"{path}: a study of version {version}, this tlbench has version {VERSION}; {remedy}")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is written or nothing, by one writer at a time."""
        with self._lock, self._connection:  # commits, or rolls back on an error
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise TlbenchError(f"{self.folder / FILE_NAME}: damaged ({error}); restore it from a copy") from error

    def participant(self, code: str) -> int | None:
        """The number of the participant with a code; None if there is no such code."""
        found = self._all("SELECT number FROM participants WHERE code = ?", (code,))
        return int(str(found[0][0])) if found else None

    def may_see(self, participant: int, video: str) -> bool:
        """Whether the video is in the participant's plan and has been reached."""
        rows = self._all(
            "SELECT 1 FROM trials WHERE participant = ? AND video = ? AND shown_at IS NOT NULL", (participant, video)
        )
        return bool(rows)

    def step(self, participant: int) -> StudyStep | None:
        """The next step, which is marked as shown; None when all is done."""
        with self._transaction() as connection:
            step = _next_step(connection, participant)
            if step is not None:
                connection.execute(
                    "UPDATE trials SET shown_at = ? WHERE participant = ? AND position = ? AND shown_at IS NULL",
                    (time.time(), participant, step.position),
                )
        return step

    def progress(self, participant: int) -> tuple[int, int]:
        """The number of trials done, and of all trials."""
        found = self._all("SELECT count(done_at), count(*) FROM trials WHERE participant = ?", (participant,))
        done, total = found[0]
        return int(str(done)), int(str(total))

    def rate(self, participant: int, position: int, scores: Mapping[str, int]) -> bool:
        """Store the scores of a video (all of ``RATED``). False if another step is next, as after a second click."""
        with self._transaction() as connection:
            if not _is_next(connection, participant, position, "rate"):
                return False
            _keep_scores(connection, participant, position, {scale: scores[scale] for scale in RATED})
        return True

    def reply(self, participant: int, position: int, reply: str) -> bool:
        """Store a transcription. False if another step is next. Raises ValueError for a word that was not offered."""
        with self._transaction() as connection:
            step = _next_step(connection, participant)
            if step is None or (step.position, step.ask) != (position, "read"):
                return False
            if step.offered and reply not in step.offered:
                raise ValueError("not one of the words offered")
            connection.execute("INSERT INTO replies VALUES (?, ?, ?)", (participant, position, reply))
        return True

    def rate_readability(self, participant: int, position: int, score: int) -> bool:
        """Store the score of readability. False if another step is next."""
        with self._transaction() as connection:
            if not _is_next(connection, participant, position, "readability"):
                return False
            _keep_scores(connection, participant, position, {"readability": score})
        return True

    def participants(self) -> list[ParticipantProgress]:
        """All participants with their progress, in the order of their numbers."""
        rows = self._all(
            "SELECT number, code, count(done_at), count(*) FROM participants JOIN trials ON participant = number "
            "GROUP BY number ORDER BY number"
        )
        return [ParticipantProgress(*row) for row in rows]  # type: ignore[arg-type]

    def answers(self) -> Answers:
        """All answers. Raises TlbenchError if the database is damaged."""
        dataset, split, conditions, _ = self._all("SELECT * FROM study")[0]
        scores: list[Score] = []
        asked: dict[tuple[object, object], tuple[int, list[int]]] = {}
        for who, position, task, condition, clip, wanted, scale, score in self._all(
            "SELECT s.participant, s.position, v.task, v.condition, v.clip, v.wanted, s.scale, s.score FROM scores s "
            "JOIN trials t USING (participant, position) JOIN videos v ON v.id = t.video ORDER BY 1, 2, 7"
        ):
            if task == "check":
                asked.setdefault((who, position), (_whole(wanted), []))[1].append(_whole(score))
            else:
                scores.append(Score(_whole(who), str(condition), str(clip), str(scale), _whole(score)))
        transcriptions = [
            TranscriptionAnswer(
                _whole(who), str(condition), str(clip), str(transcript), str(reply), len(json.loads(str(offered)))
            )
            for who, condition, clip, transcript, reply, offered in self._all(
                "SELECT r.participant, v.condition, v.clip, v.truth, r.reply, t.offered FROM replies r "
                "JOIN trials t USING (participant, position) JOIN videos v ON v.id = t.video ORDER BY 1, r.position"
            )
        ]
        participants = self.participants()
        sources = {
            (str(condition), str(clip)): str(sha256)
            for condition, clip, sha256 in self._all("SELECT condition, clip, sha256 FROM videos")
        }
        hasty = {
            _whole(who): _whole(count)
            for who, count in self._all(
                "SELECT t.participant, count(*) FROM trials t JOIN videos v ON v.id = t.video "
                "WHERE t.done_at - t.shown_at < v.seconds GROUP BY 1 ORDER BY 1"
            )
        }
        return Answers(
            conditions=tuple(json.loads(str(conditions))),
            dataset=str(dataset),
            split=str(split),
            invited=len(participants),
            scores=tuple(scores),
            transcriptions=tuple(transcriptions),
            checks=tuple(Check(_whole(who), wanted, tuple(given)) for (who, _), (wanted, given) in asked.items()),
            finished=frozenset(p.number for p in participants if p.done == p.total),
            sources=sources,
            hasty=hasty,
        )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TlbenchError(
            f"the database of the study has {value!r:.60} instead of a whole number; restore it from a copy"
        )
    return value


def _next_step(connection: sqlite3.Connection, participant: int) -> StudyStep | None:
    row = connection.execute(
        "SELECT t.position, (SELECT count(*) FROM trials n WHERE n.participant = t.participant), t.video, v.task, "
        "t.offered, v.truth, r.reply FROM trials t JOIN videos v ON v.id = t.video "
        "LEFT JOIN replies r USING (participant, position) "
        "WHERE t.participant = ? AND t.done_at IS NULL ORDER BY t.position LIMIT 1",
        (participant,),
    ).fetchone()
    if row is None:
        return None
    position, total, video, task, offered, transcript, reply = row
    if task != "read":
        return StudyStep(position, total, "rate", video)
    if reply is None:
        return StudyStep(position, total, "read", video, tuple(json.loads(offered)))
    return StudyStep(position, total, "readability", video, tuple(json.loads(offered)), transcript, reply)


def _is_next(connection: sqlite3.Connection, participant: int, position: int, ask: str) -> bool:
    step = _next_step(connection, participant)
    return step is not None and (step.position, step.ask) == (position, ask)


def _keep_scores(connection: sqlite3.Connection, participant: int, position: int, scores: Mapping[str, int]) -> None:
    connection.executemany(
        "INSERT INTO scores VALUES (?, ?, ?, ?)",
        [(participant, position, scale, score) for scale, score in scores.items()],
    )
    connection.execute(
        "UPDATE trials SET done_at = ? WHERE participant = ? AND position = ?", (time.time(), participant, position)
    )

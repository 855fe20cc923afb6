"""The database of a study: one SQLite file with the plan and all answers, written as soon as they are given.

Write-ahead logging lets ``tlbench study results`` read while people answer. Within the server one connection with a
lock does all the writing, and another all the reading. SQLite's own lock keeps a second server from interleaving.
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

from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.opinion import SCALES
from tlbench.study.answers import Answers, Check, Score, TranscriptionAnswer
from tlbench.study.database import (
    APPLICATION_ID,
    BUSY_SECONDS,
    FILE_NAME,
    MAX_REPLY,
    PLAN_HASH,
    SCHEMA,
    VERSION,
    open_database,
    plan_sha256,
)
from tlbench.study.plan import Task, Trial

CLOSING_SECONDS = 0.5  # that the end of the server waits for an answer that is being written
RATED = tuple(scale.key for scale in SCALES if scale.key != "readability")


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
    """Write the database of a new study: ``plans`` has the trials of each participant, ``codes`` the codes.

    The hash of all that is written lies next to it, in ``PLAN_HASH``.
    """
    ids = {(video.task, video.condition, video.clip): video.id for video in videos}
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.executescript("BEGIN;" + SCHEMA + "COMMIT;")
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
        path.with_name(PLAN_HASH).write_text(plan_sha256(connection) + "\n", encoding="ascii")
    finally:
        connection.close()


class Store:
    """The open database of a study. Several threads may use it. ``reads`` says whether the study has clips to read.

    One connection reads and another writes, so that pages are shown while an answer waits for another process. All
    methods raise TlbenchError if the database can't be read or written at the moment, as when the disk is full, or is
    damaged; nothing is stored then. The constructor raises it also if there is no database of this version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE_NAME
        self._reading_lock, self._writing_lock = Lock(), Lock()
        self._writing = open_database(self._path)
        try:
            self._reading = open_database(self._path)
        except TlbenchError:
            self._writing.close()
            raise
        self.reads = bool(self._all("SELECT 1 FROM videos WHERE task = 'read' LIMIT 1"))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, after the answer that is just being written."""
        for lock, connection in ((self._writing_lock, self._writing), (self._reading_lock, self._reading)):
            if lock.acquire(timeout=CLOSING_SECONDS):
                connection.close()
                lock.release()

    def check_writable(self) -> None:
        """Raises TlbenchError if answers can't be written."""
        with self._transaction():
            pass

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is on disk when the block ends, or nothing, by one writer at a time."""
        if not self._writing_lock.acquire(timeout=BUSY_SECONDS):
            raise TlbenchError(f"{self._path}: can't be written now (others are waiting to write); try again")
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            yield self._writing
            self._writing.execute("COMMIT")
        except (sqlite3.Error, UnicodeError) as error:
            raise TlbenchError(f"{self._path}: can't be written now ({error}); see to space and permissions") from error
        finally:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            self._writing_lock.release()

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._read() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        if not self._reading_lock.acquire(timeout=BUSY_SECONDS):
            raise TlbenchError(f"{self._path}: can't be read now (others are waiting to read); try again")
        try:
            yield self._reading
        except sqlite3.OperationalError as error:
            raise TlbenchError(f"{self._path}: can't be read now ({error}); close what else uses it") from error
        except (sqlite3.DatabaseError, UnicodeError) as error:
            raise TlbenchError(f"{self._path}: damaged ({error}); restore it from a copy") from error
        finally:
            self._reading_lock.release()

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

    def video_names(self) -> list[str]:
        """The ids of all videos, sorted."""
        return [str(name) for (name,) in self._all("SELECT id FROM videos ORDER BY 1")]

    def step(self, participant: int) -> StudyStep | None:
        """The next step, which is marked as shown; None when all is done."""
        with self._read() as connection:
            step, shown = _next_step(connection, participant)
        if step is not None and not shown:
            with self._transaction() as connection:
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
        """Store a transcription. False if another step is next.

        Raises ValueError for a word that was not offered, or more than ``MAX_REPLY`` characters.
        """
        if len(reply) > MAX_REPLY:
            raise ValueError("too long")
        with self._transaction() as connection:
            step = _asked(connection, participant)
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
            f"the database of the study has {quoted(value)} instead of a whole number; restore it from a copy"
        )
    return value


def _next_step(connection: sqlite3.Connection, participant: int) -> tuple[StudyStep | None, bool]:
    """The first step that is not done, and whether it was shown."""
    row = connection.execute(
        "SELECT t.position, (SELECT count(*) FROM trials n WHERE n.participant = t.participant), t.video, v.task, "
        "t.offered, v.truth, r.reply, t.shown_at IS NOT NULL FROM trials t JOIN videos v ON v.id = t.video "
        "LEFT JOIN replies r USING (participant, position) "
        "WHERE t.participant = ? AND t.done_at IS NULL ORDER BY t.position LIMIT 1",
        (participant,),
    ).fetchone()
    if row is None:
        return None, False
    position, total, video, task, offered, transcript, reply, shown = row
    if task != "read":
        return StudyStep(position, total, "rate", video), bool(shown)
    words = tuple(json.loads(offered))
    if reply is None:
        return StudyStep(position, total, "read", video, words), bool(shown)
    return StudyStep(position, total, "readability", video, words, transcript, reply), bool(shown)


def _asked(connection: sqlite3.Connection, participant: int) -> StudyStep | None:
    """The step that an answer may be given to. One whose page was never shown is none."""
    step, shown = _next_step(connection, participant)
    return step if shown else None


def _is_next(connection: sqlite3.Connection, participant: int, position: int, ask: str) -> bool:
    step = _asked(connection, participant)
    return step is not None and (step.position, step.ask) == (position, ask)


def _keep_scores(connection: sqlite3.Connection, participant: int, position: int, scores: Mapping[str, int]) -> None:
    connection.executemany(
        "INSERT INTO scores VALUES (?, ?, ?, ?)",
        [(participant, position, scale, score) for scale, score in scores.items()],
    )
    connection.execute(
        "UPDATE trials SET done_at = ? WHERE participant = ? AND position = ?", (time.time(), participant, position)
    )

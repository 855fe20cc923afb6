"""The runs below a folder of results, and in which state each is: read from files that a run writes anyway."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Literal

from tlbench.document import counted, label_with_arrow, number_text
from tlbench.errors import TlbenchError
from tlbench.files import RECORDS, open_outside
from tlbench.owner import owner_now
from tlbench.scoring.announcement import RUNNING_NAME, Announcement, read_announcement
from tlbench.scoring.record import PARTIAL, RECORDS_NAME
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.scoring.result_file import load_result
from tlbench.scoring.shard import SHARDS_NAME
from tlbench.scoring.shard_files import PLAN_NAME, read_plan

MOST_RUNS = 2_000  # that are listed; more are no page for people
MOST_FOLDERS = 20_000  # that are looked into
SHOWN_NUMBERS = 4  # of a run in the list
LISTING_SECONDS = 10.0  # a new run is found after so long

State = Literal["running", "waiting", "stopped", "shards", "complete", "incomplete", "damaged"]


@dataclass(frozen=True)
class RunState:
    """One run, as the page shows it.

    Attributes
    ----------
    id : str
        Its folder below the folder of results, with ``/``; ``.`` for the folder itself.
    name, place : str
        What tables call the system, and its data set with the split; the folder's name and "" while nothing says so.
    role : "system", "control" or "blind"
    state : str
    done, total : int or None
        Clips that are scored, and that there are.
    told : str
        The state in a few words.
    numbers : tuple of (str, str)
        Label and value of headline metrics.
    changed : float
        When it was written last, in seconds since 1970.
    has_page : bool
        Whether a report can be made of it.
    """

    id: str
    name: str
    place: str
    role: Role
    state: State
    done: int | None
    total: int | None
    told: str
    numbers: tuple[tuple[str, str], ...] = ()
    changed: float = 0.0
    has_page: bool = False


class Runs:
    """The runs below a folder. Threads may use it at the same time.

    Parameters
    ----------
    folder : Path
    clock : callable
        Gives the time in seconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, Path] = {}
        self._listed = float("-inf")
        self._results: dict[Path, tuple[tuple[int, int], Result | TlbenchError]] = {}
        self._lines: dict[Path, tuple[int, int, int]] = {}  # of a file of records: inode, bytes read, lines

    def path_of(self, run: str) -> Path | None:
        """The folder of a run by its id; None if there is no such run. No path is made of the id."""
        with self._lock:
            return self._folders().get(run)

    def states(self) -> list[RunState]:
        """All runs, those that run now first, then the latest."""
        with self._lock:
            found = [self._state(run, path) for run, path in self._folders().items()]
        return sorted(found, key=lambda run: (run.state != "running", -run.changed, run.id))

    def result(self, path: Path) -> Result | TlbenchError | None:
        """The result of a run's folder, or why it can't be read; None if there is none. Read again when it changes."""
        file = path / FILE_NAME
        try:
            about = file.stat()
        except OSError:
            return None
        key = (about.st_mtime_ns, about.st_size)
        kept = self._results.get(path)
        if kept is None or kept[0] != key:
            try:
                kept = (key, load_result(file))
            except TlbenchError as error:
                kept = (key, error)
            self._results[path] = kept
        return kept[1]

    def _folders(self) -> dict[str, Path]:
        if self._clock() - self._listed > LISTING_SECONDS:
            self._found = {path.relative_to(self.folder).as_posix(): path for path in _run_folders(self.folder)}
            self._listed = self._clock()
        return self._found

    def _state(self, run: str, path: Path) -> RunState:
        result = self.result(path)
        found = RunState(run, path.name, "", "system", "waiting", None, None, "waiting", changed=_changed(path))
        if isinstance(result, Result):
            found = _of_result(found, result)
        elif result is not None:
            found = replace(found, state="damaged", told=_short(result, path))
        owned = owner_now(path) is not None
        try:
            announcement = read_announcement(path)
        except TlbenchError:
            announcement = None
        if announcement is not None:
            done = self._count(path / (RECORDS_NAME + PARTIAL))
            return self._of_announcement(found, announcement, done, owned)
        if result is None and (path / SHARDS_NAME / PLAN_NAME).exists():
            return self._of_shards(found, path)
        if owned:
            return replace(found, told="its turn comes" if result is None else "reading real videos", state="waiting")
        return replace(found, state="stopped", told="before its end") if result is None else found

    def _of_announcement(self, found: RunState, of: Announcement, done: int, owned: bool) -> RunState:
        about = replace(found, name=of.system, place=f"{of.dataset}:{of.split}", done=done, total=of.clips)
        clips = f"{done} of {counted(of.clips, 'clip')}"
        if not owned:
            return replace(about, state="stopped", told=f"at {clips}; the same command goes on")
        seconds = self._clock() - datetime.fromisoformat(of.started).timestamp()
        worked = done - of.from_cache  # clips from the cache take no time, so they say nothing of those that are left
        left = f", about {_duration(seconds * (of.clips - done) / worked)} left" if worked > 0 and seconds > 0 else ""
        return replace(about, state="running", told=clips + left)

    def _of_shards(self, found: RunState, path: Path) -> RunState:
        try:
            plan = read_plan(path)
        except TlbenchError as error:
            return replace(found, state="damaged", told=_short(error, path))
        files = [shard.records(path) for shard in plan.each]
        done = sum(self._count(file) or self._count(file.with_name(file.name + PARTIAL)) for file in files)
        ended = sum(shard.summary(path).exists() for shard in plan.each)
        told = f"{done} of {counted(len(plan.ids), 'clip')}, {ended} of {counted(plan.shards, 'shard')} done"
        if ended == plan.shards:
            told += "; now run tlbench merge"
        outline = plan.outline
        return replace(
            found,
            name=outline.name,
            place=f"{outline.dataset}:{outline.split}",
            role=outline.role,
            state="shards",
            done=done,
            total=len(plan.ids),
            told=told,
        )

    def _count(self, file: Path) -> int:
        """Lines of a file that only grows; what was read before is not read again."""
        try:
            with open_outside(file, RECORDS) as records:
                about = os.fstat(records.fileno())
                inode, read, lines = self._lines.get(file, (about.st_ino, 0, 0))
                if inode != about.st_ino or about.st_size < read:
                    read, lines = 0, 0
                records.seek(read)
                while block := records.read(2**20):
                    read += len(block)
                    lines += block.count(b"\n")
        except OSError:
            return 0
        self._lines[file] = (about.st_ino, read, lines)
        return lines


def _run_folders(root: Path) -> Iterator[Path]:
    """Folders that have files of a run, without links, and without what is below such a folder."""
    found = 0
    for folder, folders, files in islice(os.walk(root, followlinks=False), MOST_FOLDERS):
        if found >= MOST_RUNS:
            return
        is_run = {FILE_NAME, RECORDS_NAME, RECORDS_NAME + PARTIAL, RUNNING_NAME} & set(files) or (
            SHARDS_NAME in folders and (Path(folder) / SHARDS_NAME / PLAN_NAME).is_file()
        )
        if is_run:
            found += 1
            folders.clear()
            yield Path(folder)
        else:
            folders[:] = sorted(name for name in folders if not name.startswith("."))


def _of_result(found: RunState, result: Result) -> RunState:
    rows = [row for row in result.rows() if row.metric.headline and row.value is not None]
    sound = [row for row in rows if row.metric.arithmetic == "sound"] or rows
    numbers = tuple(
        (
            label_with_arrow(row.metric.label, row.metric.better),
            f"{number_text(row.value, row.metric.digits)} {row.metric.unit}".rstrip(),
        )
        for row in sound
    )
    scored = len(result.clips) - len(result.clips_in_error)
    clips = f"{scored} of {counted(result.expected, 'clip')} scored"
    return replace(
        found,
        name=result.name,
        place=f"{result.dataset}:{result.split}" + (f" ({result.selection} only)" if result.selection else ""),
        role=result.role,
        state="complete" if result.complete else "incomplete",
        done=scored,
        total=result.expected,
        told=clips,
        numbers=numbers[:SHOWN_NUMBERS],
        has_page=True,
    )


def _short(error: TlbenchError, path: Path) -> str:
    """An error without the folder of the run, which is shown anyway."""
    return str(error).replace(f"{path}{os.sep}", "")


def _changed(path: Path) -> float:
    """When the newest of a run's files was written."""
    times = []
    for name in (FILE_NAME, RECORDS_NAME, RECORDS_NAME + PARTIAL, RUNNING_NAME, SHARDS_NAME):
        try:
            times.append((path / name).stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def moment(seconds: float) -> str:
    """A time for people, in UTC: ``2026-01-31 12:00 UTC``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"

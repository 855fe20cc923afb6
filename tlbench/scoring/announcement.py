"""``running.json``: what a run that was started is going to do, for those who look at its folder meanwhile.

How many clips are done is seen from the records; how many of them came from the cache, and took no time, only the run
knows, so it says that too. The file is removed when the result is written, so where it stays the run was stopped.
Nothing else reads it: a run goes on by the cache of evidence.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from tlbench.errors import TlbenchError, shortened
from tlbench.files import JSON, read_outside, write_text_atomically
from tlbench.json_fields import count, fields_of, name_text, text
from tlbench.json_input import parse_json

RUNNING_NAME = "running.json"
SCHEMA = "tlbench.running/2"
SECONDS_BETWEEN = 2.0  # of its writing; the page of runs asks as often


@dataclass(frozen=True)
class Announcement:
    """A run that was started.

    Attributes
    ----------
    system, dataset, split : str
    clips : int
        How many it is going to score.
    started : str
        ISO 8601 time with its zone.
    from_cache : int
        How many clips of those done so far had all their evidence in the cache.
    """

    system: str
    dataset: str
    split: str
    clips: int
    started: str
    from_cache: int = 0


@contextmanager
def announced(
    folder: Path, announcement: Announcement, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Inside, the folder says what is being done. Raises TlbenchError if it can't be written.

    What it gives is to be called after each clip with how many of those done came from the cache. If that number is
    new, it is written, but not again within two seconds. ``clock`` gives the time in seconds.
    """
    path = folder / RUNNING_NAME
    written, at = announcement, clock()
    _write(path, written)

    def say(from_cache: int) -> None:
        nonlocal written, at
        if from_cache != written.from_cache and clock() - at >= SECONDS_BETWEEN:
            written, at = replace(written, from_cache=from_cache), clock()
            _write(path, written)

    yield say
    path.unlink(missing_ok=True)


def _write(path: Path, announcement: Announcement) -> None:
    write_text_atomically(path, json.dumps({"schema": SCHEMA, **asdict(announcement)}, indent=1) + "\n")


def read_announcement(folder: Path) -> Announcement | None:
    """What a folder says of its run; None if there is no such file. Raises TlbenchError if it is something else."""
    path = folder / RUNNING_NAME
    try:
        data = fields_of(parse_json(read_outside(path, JSON)), RUNNING_NAME)
        if data.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        announcement = Announcement(
            name_text(data["system"], "system"),
            name_text(data["dataset"], "dataset"),
            name_text(data["split"], "split"),
            count(data["clips"], "clips"),
            text(data["started"], "started"),
            count(data["from_cache"], "from_cache"),
        )
        if datetime.fromisoformat(announcement.started).tzinfo is None:
            raise ValueError("its time has no zone")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise TlbenchError(f"{path}: says nothing of a run ({shortened(str(error))}); remove it") from error
    return announcement

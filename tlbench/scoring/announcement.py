"""``running.json``: what a run that was started is going to do, for those who look at its folder meanwhile.

It is removed when the result is written, so where it stays the run was stopped. Nothing else reads it: a run goes on by
the cache of evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tlbench.errors import TlbenchError, shortened
from tlbench.files import JSON, read_outside, write_text_atomically
from tlbench.json_fields import count, fields_of, name_text, text
from tlbench.json_input import parse_json

RUNNING_NAME = "running.json"
SCHEMA = "tlbench.running/1"


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
    """

    system: str
    dataset: str
    split: str
    clips: int
    started: str


@contextmanager
def announced(folder: Path, announcement: Announcement) -> Iterator[None]:
    """Inside, the folder says what is being done. Raises TlbenchError if it can't be written."""
    path = folder / RUNNING_NAME
    write_text_atomically(path, json.dumps({"schema": SCHEMA, **asdict(announcement)}, indent=1) + "\n")
    yield
    path.unlink(missing_ok=True)


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

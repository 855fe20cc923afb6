"""Shards: a run divided among jobs that do not talk to each other.

The ids of a selection are sorted, and shard i of n (from 1) has those whose place, counted from 0, leaves the remainder
i - 1 when divided by n. So every job knows its clips, and neighbours in the list, which are often of one speaker and
one length, go to different jobs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError, quoted
from tlbench.scoring.feature_file import FEATURES_NAME
from tlbench.scoring.record import RECORDS_NAME

SHARDS_NAME = "shards"  # of the folder in a run's folder
MOST_SHARDS = 1_000  # each is one open file while they are merged
# Where a batch system says which of several processes this is, from 0, and of how many.
_PROCESSES = (("SLURM_PROCID", "SLURM_NTASKS"), ("RANK", "WORLD_SIZE"))


@dataclass(frozen=True)
class Shard:
    """One of the parts of a run.

    Attributes
    ----------
    number : int
        From 1.
    count : int
        How many there are.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS:
            raise TlbenchError(f"{self.count} shards: there may be 1 to {MOST_SHARDS:,} (--shard)")
        if not 1 <= self.number <= self.count:
            raise TlbenchError(f"no shard {self.number} of {self.count}; they are numbered from 1 to {self.count}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """The shard in names of files: ``3-of-64``."""
        return f"{self.number}-of-{self.count}"

    def ids(self, ids: Iterable[str]) -> set[str]:
        """Which of all the run's ids are this shard's."""
        return set(sorted(ids)[self.number - 1 :: self.count])

    def of(self, clips: Sequence[Clip]) -> list[Clip]:
        """This shard's clips, in the order of the selection."""
        own = self.ids(clip.id for clip in clips)
        return [clip for clip in clips if clip.id in own]

    def records(self, run: Path) -> Path:
        """Its file of records in a run's folder."""
        return run / SHARDS_NAME / f"{self.name}.{RECORDS_NAME}"

    def features(self, run: Path) -> Path:
        """Its file of features, for numbers of the whole set; there is none if nothing needs them."""
        return run / SHARDS_NAME / f"{self.name}.{FEATURES_NAME}"

    def summary(self, run: Path) -> Path:
        """Its other file, which is there once all of its clips are done."""
        return run / SHARDS_NAME / f"{self.name}.json"


def parse_shard(text: str, variables: Mapping[str, str] = os.environ) -> Shard:
    """A shard from ``3/64``, or from ``auto``: what the batch system says in environment variables.

    ``auto`` takes the first of these that is there: a task of a Slurm array, a task of a Slurm step, a process of
    torchrun or MPI with RANK and WORLD_SIZE.

    Raises
    ------
    TlbenchError
        Another form, no such shard, ``auto`` without any of these variables, or with values that mean no shard.
    """
    if text == "auto":
        return _from(variables)
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if found is None:
        raise TlbenchError(f"--shard takes I/N, such as 3/64 (from 1), or auto; got {quoted(text)}")
    return Shard(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class _Task:
    """What one batch system says of this process: its place among all, from 0, and how many they are."""

    place: int
    count: int
    said: str  # the variables that say it, for messages


def _from(variables: Mapping[str, str]) -> Shard:
    found = (_process(variables, *names) for names in _PROCESSES if names[0] in variables)
    task = _array_task(variables) if "SLURM_ARRAY_TASK_ID" in variables else next(found, None)
    if task is None:
        raise TlbenchError(
            "--shard auto: neither SLURM_ARRAY_TASK_ID, SLURM_PROCID nor RANK is set, so this is no job of Slurm, "
            "torchrun or MPI; pass --shard I/N"
        )
    if not task.place < task.count <= MOST_SHARDS:
        raise TlbenchError(
            f"--shard auto: {task.said}; places begin at 0 and are below the number, of at most {MOST_SHARDS:,}; pass "
            "--shard I/N"
        )
    return Shard(task.place + 1, task.count)


def _number(variables: Mapping[str, str], name: str) -> int:
    value = variables.get(name)
    if value is None:
        raise TlbenchError(f"--shard auto: ${name} is not set, as the other variables need; pass --shard I/N")
    if re.fullmatch(r"[0-9]{1,9}", value) is None:
        raise TlbenchError(f"--shard auto: ${name} is {quoted(value)}, not a whole number; pass --shard I/N")
    return int(value)


def _array_task(variables: Mapping[str, str]) -> _Task:
    """sbatch(1): ``--array=MIN-MAX:STEP``. COUNT is the number of tasks."""
    step = _number(variables, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in variables else 1
    number, first, count = (_number(variables, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "COUNT"))
    above = number - first
    if step < 1 or above < 0 or above % step or above // step >= count:
        raise TlbenchError(
            f"--shard auto: task {number} is none of {count} tasks from {first} in steps of {step}; a list such as "
            "--array=3,7 has gaps, so pass --shard I/N"
        )
    return _Task(above // step, count, f"task {number} of an array of {count} from {first}")


def _process(variables: Mapping[str, str], rank: str, size: str) -> _Task:
    place, count = _number(variables, rank), _number(variables, size)
    return _Task(place, count, f"${rank} is {place} and ${size} is {count}")

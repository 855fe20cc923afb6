"""``tlbench check``: all checks of a folder of generated videos, in seconds and without a model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.lrw import LRW_WORDS
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError
from tlbench.preflight.clip import ClipFacts, check_clip
from tlbench.preflight.findings import LEVELS, Finding, Level, worst_first
from tlbench.preflight.folder import COPIES, Content, check_copies, check_file_names, check_ground_truth, check_lengths
from tlbench.preflight.headers import Expected
from tlbench.preflight.texts import ALPHABET, check_contradictions, check_texts
from tlbench.worker_processes import worker_processes

SCHEMA = "tlbench.check/1"
MOST_WORKERS = 8  # with more, the disk is the bottleneck
FEW_CLIPS = 100  # starting two processes takes as long as checking so many clips in this one
IF_KILLED = (
    "a worker process could not start or was killed; run again with --workers 1 "
    "(a script must call check() below `if __name__ == '__main__':`)"
)
CLIPS_A_TASK = 8  # clips handed to a process at once, to save communication

FACES = "faces"
# Not part of these checks: the real videos are not decoded, and no detector is loaded.
NOT_CHECKED = ("pictures of the real videos", FACES)


@dataclass(frozen=True)
class CheckReport:
    """The result of a check.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then info; grouped by code, in the order of the clips.
    dataset, split : str
    generated : Path or None
        The folder that was checked.
    expected, found, checked : int
        Number of clips of the selection, of those with a generated video, and of those with a video that was opened.
    seconds : float
        How long the check took.
    not_checked : tuple of str
        What was not checked.
    """

    findings: tuple[Finding, ...]
    dataset: str
    split: str
    generated: Path | None
    expected: int
    found: int
    checked: int
    seconds: float
    not_checked: tuple[str, ...] = ()

    def count(self, level: Level) -> int:
        """How many findings have this level."""
        return sum(found.level == level for found in self.findings)

    @property
    def exit_code(self) -> int:
        """2 if there is an error, 1 if there is a warning, else 0."""
        return 2 if self.count("error") else 1 if self.count("warning") else 0

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "split": self.split,
            "generated": None if self.generated is None else str(self.generated),
            "clips": {"expected": self.expected, "found": self.found, "checked": self.checked},
            "counts": {level: self.count(level) for level in LEVELS},
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "not_checked": list(self.not_checked),
            "findings": [found.to_json() for found in self.findings],
        }


def check_selection(
    selection: Selection,
    *,
    alphabet: frozenset[str] | None = None,
    workers: int | None = None,
    progress: CountCallback | None = None,
    boxes_of_each: bool = False,
) -> CheckReport:
    """Check selected clips, except their faces.

    Parameters
    ----------
    alphabet : frozenset of str or None
        Characters a transcript may have, in upper case; None for those of the Conformer observer.
    workers : int or None
        Number of processes; None for one per core, at most 8. Fewer than 100 clips are checked in this process, which
        is faster. A script that uses more than one must call this below ``if __name__ == "__main__":``.
    progress : callable or None
        Called with the number of clips checked and the number of all clips.
    boxes_of_each : bool
        Whether faces are detected in each video by itself, so that the two videos may differ in size.

    Raises
    ------
    TlbenchError
        If a worker process dies, or ``workers`` is below 1.
    """
    began = time.monotonic()
    if workers is None:
        workers = min(os.cpu_count() or 1, MOST_WORKERS)
    if workers < 1:
        raise TlbenchError(f"workers must be at least 1, got {workers} (--workers)")
    clips = selection.clips
    findings = check_file_names(selection)
    words = None if selection.dataset.own_words else LRW_WORDS
    findings += check_texts(clips, ALPHABET if alphabet is None else alphabet, words)
    findings += check_contradictions(selection)
    checked = 0
    if not any(found.code == "wrong-folder" for found in findings):
        expected = replace(Expected.of(selection.dataset), boxes_of_each=boxes_of_each)
        facts: list[ClipFacts] = []
        for fact in _check_clips(clips, expected, workers):
            facts.append(fact)
            if progress is not None:
                progress(len(facts), len(clips))
        of_clips = [found for fact in facts for found in fact.findings]
        ground_truth = check_ground_truth(len(clips), of_clips)
        if ground_truth is not None:
            of_clips = [ground_truth, *(found for found in of_clips if found.code not in COPIES)]
        findings += of_clips
        findings += _check_together(clips, facts)
        checked = sum(clip.generated is not None for clip in clips)
    return CheckReport(
        tuple(worst_first(findings)),
        selection.dataset.name,
        selection.split,
        selection.generated,
        expected=len(clips),
        found=sum(clip.generated is not None for clip in clips),
        checked=checked,
        seconds=time.monotonic() - began,
        not_checked=NOT_CHECKED,
    )


def _check_together(clips: Sequence[Clip], facts: Sequence[ClipFacts]) -> list[Finding]:
    findings = check_copies(
        Content(clip.id, fact.bytes_sha256, fact.pictures_sha256, fact.reference_sha256)
        for clip, fact in zip(clips, facts, strict=True)
    )
    seconds = {
        clip.id: fact.duration_seconds
        for clip, fact in zip(clips, facts, strict=True)
        if fact.duration_seconds is not None
    }
    return [*findings, *check_lengths(seconds)]


def _check_clips(clips: Sequence[Clip], expected: Expected, workers: int) -> Iterator[ClipFacts]:
    """Facts of each clip, in order. Two processes are 1.9 times as fast as one; two threads 1.3 times."""
    if workers == 1 or len(clips) < FEW_CLIPS:
        yield from map(check_clip, clips, repeat(expected))
        return
    with worker_processes(workers, _start_worker, if_killed=IF_KILLED) as pool:
        yield from pool.map(partial(check_clip, expected=expected), clips, chunksize=CLIPS_A_TASK)


def _start_worker() -> None:
    """Runs first in each worker process, and leaves interrupts to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

"""Results of clips with a fault, size by size. A size that was scored before is not scored again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tlbench.calibration.faulty_videos import CalibrationRun, FaultyVideos, PlannedVideo
from tlbench.errors import TlbenchError
from tlbench.files import JSON, read_outside, write_text_atomically
from tlbench.generation.faults import Fault
from tlbench.json_input import parse_json
from tlbench.observing.cache import content_key, content_sha256
from tlbench.scoring.options import RunOptions
from tlbench.scoring.record import RECORDS_NAME
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.run import run

MADE_NAME = "made.json"
NO_FAULT = "none"  # the folder of the clips without a fault, which all faults share


def records_path(fault: str, size: float | None) -> str:
    """The path of the records of a fault's size below the output folder; ``size`` is None for :data:`NO_FAULT`."""
    folder = fault if size is None else f"{fault}/{size:g}"
    return f"points/{folder}/{RECORDS_NAME}"


class FaultResults:
    """Makes and scores the clips of a run, size by size."""

    def __init__(self, settings: CalibrationRun, videos: FaultyVideos) -> None:
        self._run = settings
        self._videos = videos

    def score(self, fault: Fault, sizes: Sequence[float]) -> dict[float, Result]:
        """The results of some sizes of a fault. Missing videos are written first."""
        planned = {size: self._videos.plan(fault, size) for size in sizes}
        done = {size: self._load(fault, size, planned[size]) for size in sizes}
        self._videos.write(fault, [planned[size] for size in sizes if done[size] is None])
        return {size: done[size] or self._score(fault, size, planned[size]) for size in sizes}

    def _folder(self, fault: Fault, size: float) -> Path:
        path = records_path(NO_FAULT, None) if size == fault.none else records_path(fault.name, size)
        return (self._run.out / path).parent

    def _load(self, fault: Fault, size: float, planned: Mapping[str, PlannedVideo]) -> Result | None:
        """The result of an earlier run with the same videos and the same observers; None if there is none."""
        folder = self._folder(fault, size)
        try:
            made = parse_json(read_outside(folder / MADE_NAME, JSON))
        except (OSError, ValueError):
            return None
        if made != self._identity(planned):
            return None
        try:
            result = load_result(folder / FILE_NAME, self._run.setup.metrics)
        except TlbenchError:
            return None  # deleted or damaged: score again
        setup = self._run.setup
        same = {metric.key for metric in result.metrics} == {metric.key for metric in setup.metrics}
        of_sets = {metric.key for metric in setup.sets} <= {score.metric.key for score in result.sets}
        return result if same and of_sets else None

    def _identity(self, planned: Mapping[str, PlannedVideo]) -> dict[str, str]:
        """A hash of all that decides the result of a size, as kept in ``made.json``."""
        selection, setup = self._run.selection, self._run.setup
        what = {
            "videos": {clip_id: video.path.stem for clip_id, video in planned.items()},
            "clips": sorted({clip.id for clip in selection.clips}),
            "texts": {clip.id: [clip.transcript, clip.word, clip.speaker] for clip in selection.clips},
            "observers": [
                [plan.name, list(plan.views), list(plan.modes), plan.weights_sha256] for plan in setup.plan.observers
            ],
            "metrics": [
                *([metric.key, metric.version] for metric in setup.metrics),
                *([metric.key, metric.version] for metric in setup.sets),
            ],
            "guides": self._guides,
            "seed": self._run.seed,
        }
        return {"made": content_key(what)}

    @cached_property
    def _guides(self) -> str:
        """A hash of what decides the crops of observers: given boxes and landmarks, or the rule that finds them."""
        given = [
            content_sha256(path, clip.id, "guide") if path else None
            for clip in self._run.selection.clips
            for path in (clip.boxes, clip.landmarks)
        ]
        return content_key({"given": given, "rule": self._videos.finder.rule.identity + self._videos.followed})

    def _score(self, fault: Fault, size: float, planned: Mapping[str, PlannedVideo]) -> Result:
        folder = self._folder(fault, size)
        (folder / MADE_NAME).unlink(missing_ok=True)
        paths = {clip_id: video.path for clip_id, video in planned.items() if video.path.is_file()}
        clips = [replace(clip, generated=paths.get(clip.id), audio=None) for clip in self._run.selection.clips]
        result = run(
            replace(self._run.selection, clips=clips),
            self._run.setup,
            "no fault" if size == fault.none else f"{fault.name} {size:g}",
            options=RunOptions(self._run.workers, seed=self._run.seed, kept=self._run.kept),
            role="control",
            out=folder,
            progress=self._run.progress,
            excused=fault.control(size).excused,
        )
        if all(clip.id not in planned for clip in result.clips if clip.failures):
            write_text_atomically(folder / MADE_NAME, json.dumps(self._identity(planned)) + "\n")
        return result

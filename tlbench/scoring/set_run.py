"""The part of a run that is about the whole set: features of generated and real clips, then its numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from tlbench.datasets.clip import Clip
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Observation
from tlbench.observing.plan import Plan
from tlbench.observing.registry import observer_class
from tlbench.scoring.feature_file import FeatureReader, FeatureWriter, Side
from tlbench.scoring.options import RunOptions
from tlbench.scoring.real_set import RealSet
from tlbench.scoring.result import Result
from tlbench.scoring.set_scores import set_scores
from tlbench.scoring.shard import Shard

FEATURES = "features"  # the value of the evidence
REAL_NAME = "real videos"  # in progress, in place of the system's name

Progress: TypeAlias = "Callable[[str, Observation, int, int], None]"


class SetFeatures:
    """The features of a run's set, generated and real, as they come, and the file that they are written to.

    Videos that are references of the run's clips are observed with these (``of_clips``), the others afterwards. Another
    system that is compared with the same videos finds them in the cache. A real video that can't be read is left out,
    with the generated video of its clip, and so is one that shows no face where a crop needs it; a warning says how
    many, and why the first.

    Parameters
    ----------
    writer : FeatureWriter
    given : RealSet
        The references of ``clips``, or a folder's videos, of which a shard has its part.
    clips : sequence of Clip
        Of the run, or of this shard of it.
    """

    def __init__(self, writer: FeatureWriter, given: RealSet, clips: Sequence[Clip], shard: Shard | None) -> None:
        self._writer = writer
        part = slice(None) if shard is None else slice(shard.number - 1, None, shard.count)
        self.of_clips, self._others = given.to_observe(clips, part)
        self._left_out: list[str] = []
        if given.statistics is not None and (shard is None or shard.number == 1):
            writer.write_statistics(given.statistics)

    def keep(self, observation: Observation) -> None:
        """Add the features of a clip, and of the real video that was observed with it."""
        self._write("generated", observation)
        if observation.real is not None:
            self._keep_real(observation.real)

    def observe_others(self, plan: Plan, options: RunOptions, progress: Progress | None) -> None:
        """Add the features of the real videos that are of no clip of the run, and warn of those that have none."""
        count = len(self._others)
        if count:  # else the run had them all, or all is in the statistics
            seen = observe(plan.of_set, self._others, options.workers, options.engine, options.ray, options.kept)
            for done, observation in enumerate(seen, start=1):
                self._keep_real(observation)
                if progress is not None:
                    progress(REAL_NAME, observation, done, count)
        if self._left_out:
            said = f"{len(self._left_out)} of {len(self.of_clips) + count} real videos are not in the set"
            warnings.warn(f"{said}: {self._left_out[0]}", stacklevel=2)

    def _keep_real(self, observation: Observation) -> None:
        self._write("real", observation)
        self._left_out += [why.message for why in list(observation.failures.values())[:1]]

    def _write(self, side: Side, observation: Observation) -> None:
        for name, evidence in observation.evidence.items():
            if observer_class(name).of_sets:
                self._writer.write(side, name, observation.clip.id, evidence.array(FEATURES))


def with_set_scores(result: Result, features: Sequence[Path]) -> Result:
    """The result with the numbers of its set, made from the files of a run or of all its shards.

    Raises TlbenchError if a file is missing, damaged or has a clip of another.
    """
    speakers = {clip.id: clip.info.speaker for clip in result.clips}
    with FeatureReader(features) as reader:
        scores = set_scores(result.sets, reader, speakers, result.interval)
    return replace(result, sets=scores)

"""The part of a run that is about the whole set: features of generated and real clips, then its numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Observation
from tlbench.observing.registry import observer_class
from tlbench.scoring.feature_file import FeatureReader, FeatureWriter, Side
from tlbench.scoring.options import RunOptions
from tlbench.scoring.real_set import RealSet
from tlbench.scoring.result import Result
from tlbench.scoring.set_scores import set_scores
from tlbench.scoring.setup import Setup
from tlbench.scoring.shard import Shard

FEATURES = "features"  # the value of the evidence
REAL_NAME = "real videos"  # in progress, in place of the system's name


def keep_features(writer: FeatureWriter, side: Side, observation: Observation) -> None:
    """Add the features of one clip to a file."""
    for name, evidence in observation.evidence.items():
        if observer_class(name).of_sets:
            writer.write(side, name, observation.clip.id, evidence.array(FEATURES))


def observe_real(
    writer: FeatureWriter,
    clips: Sequence[Clip],
    setup: Setup,
    given: RealSet,
    options: RunOptions,
    shard: Shard | None,
    progress: Callable[[str, Observation, int, int], None] | None,
) -> None:
    """Add the features of the real videos: the references of ``clips``, or the shard's part of the ``given`` folder.

    Another system that is compared with the same videos finds them in the cache. A real video that can't be read is
    left out, with the generated video of its clip, and so is one that shows no face where a crop needs it; a warning
    says how many, and why the first.
    """
    if given.statistics is not None and (shard is None or shard.number == 1):
        writer.write_statistics(given.statistics)
    part = slice(None) if shard is None else slice(shard.number - 1, None, shard.count)
    real = given.to_observe(clips, part)
    if not real:
        return  # all is in the statistics, or this shard has none of the folder's few videos
    observers = tuple(plan for plan in setup.plan.observers if observer_class(plan.name).of_sets)
    plan = replace(setup.plan, observers=observers)
    left_out: list[str] = []
    for done, observation in enumerate(observe(plan, real, options.workers, options.engine, options.ray), start=1):
        keep_features(writer, "real", observation)
        if progress is not None:
            progress(REAL_NAME, observation, done, len(real))
        left_out += [why.message for why in list(observation.failures.values())[:1]]
    if left_out:
        warnings.warn(f"{len(left_out)} of {len(real)} real videos are not in the set: {left_out[0]}", stacklevel=2)


def with_set_scores(result: Result, features: Sequence[Path]) -> Result:
    """The result with the numbers of its set, made from the files of a run or of all its shards.

    Raises TlbenchError if a file is missing, damaged or has a clip of another.
    """
    speakers = {clip.id: clip.info.speaker for clip in result.clips}
    with FeatureReader(features) as reader:
        scores = set_scores(result.sets, reader, speakers, result.interval)
    return replace(result, sets=scores)

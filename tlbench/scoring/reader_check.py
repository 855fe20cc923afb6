"""The last step of a run: rows of blind readers for each result, and whether lip readers can read the real clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Observation
from tlbench.observing.plan import Plan
from tlbench.scoring.options import RunOptions
from tlbench.scoring.probe import PROBE, BlindReaders, probe_clips, read_probe, reading_plan
from tlbench.scoring.result import Result
from tlbench.scoring.run import Progress
from tlbench.scoring.setup import Setup


def with_readers(
    results: list[Result],
    selections: Sequence[Selection],
    setup: Setup,
    options: RunOptions,
    *,
    probe: bool,
    progress: Progress | None,
) -> list[Result]:
    """Results with rows of blind readers, and with a finding if the lip readers can't read the real clips.

    The real clips are those of the control ``ground-truth`` if it was scored; else, if ``probe``, a few of them. The
    first results are those of the selections, the others are controls of the first selection.
    """
    plan = reading_plan(setup.plan, setup.metrics)
    if plan is None:
        return results
    readers: dict[tuple[Clip, ...], BlindReaders] = {}
    blinds: list[BlindReaders] = []
    for selection in [*selections, *[selections[0]] * (len(results) - len(selections))]:
        clips = tuple(replace(clip, generated=None) for clip in selection.clips)
        if clips not in readers:  # folders without a data set have clips of their own
            readers[clips] = BlindReaders(selection, setup.metrics, plan, options.seed, setup.weights)
        blinds.append(readers[clips])
    ground_truth = next((r for r in results if r.role == "control" and r.name == "ground-truth"), None)
    found = None
    if ground_truth is not None:
        found = blinds[0].probe(ground_truth, "ground-truth")
    elif probe and (probed := probe_clips(selections[0].clips, options.seed)):
        found = blinds[0].probe(read_probe(results[0], _observed(plan, probed, options, progress)), "probe")
    return [own.add_to(result, found) for own, result in zip(blinds, results, strict=True)]


def _observed(
    plan: Plan, clips: Sequence[Clip], options: RunOptions, progress: Progress | None
) -> Iterator[Observation]:
    for done, observation in enumerate(observe(plan, clips, options.workers, options.engine), start=1):
        if progress is not None:
            progress(PROBE, observation, done, len(clips))
        yield observation

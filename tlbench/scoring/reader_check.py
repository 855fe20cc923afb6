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
from tlbench.scoring.result import ClipScore, Result
from tlbench.scoring.run import Progress
from tlbench.scoring.setup import Setup
from tlbench.scoring.shard import Shard
from tlbench.scoring.shard_files import ProbeReadings, Readings


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
    blinds = _blind_readers(len(results), selections, setup, plan, options)
    truth = ground_truth(results)
    found = None
    if truth is not None:
        found = blinds[0].probe(truth, "ground-truth")
    elif probe and (probed := probe_clips(selections[0].clips, options.seed)):
        found = blinds[0].probe(read_probe(results[0], _observed(plan, probed, options, progress)), "probe")
    return [own.add_to(result, found) for own, result in zip(blinds, results, strict=True)]


def readings_of_shard(
    results: list[Result],
    selections: Sequence[Selection],
    setup: Setup,
    options: RunOptions,
    shard: Shard,
    *,
    probe: bool,
    progress: Progress | None,
) -> list[tuple[Readings | None, ProbeReadings | None]]:
    """What :func:`with_readers` needs of a shard's clips, for each of its results; guesses know the whole list."""
    plan = reading_plan(setup.plan, setup.metrics)
    if plan is None:
        return [(None, None)] * len(results)
    blinds = _blind_readers(len(results), selections, setup, plan, options)
    truth = ground_truth(results)
    found: ProbeReadings | None = None
    if truth is not None:
        found = ProbeReadings("ground-truth", _reading_only(truth), tuple(blinds[0].readings(truth)))
    elif probe and (probed := probe_clips(selections[0].clips, options.seed)):
        own = shard.ids(clip.id for clip in selections[0].clips)
        mine = [clip for clip in probed if clip.id in own]
        read = read_probe(results[0], _observed(plan, mine, options, progress))
        found = ProbeReadings("probe", read, tuple(blinds[0].readings(read)))
    return [
        (Readings(blind.learned_from, tuple(blind.readings(result))), found)
        for blind, result in zip(blinds, results, strict=True)
    ]


def ground_truth(results: Sequence[Result]) -> Result | None:
    """The result of the control ``ground-truth``, if it was scored."""
    return next((r for r in results if r.role == "control" and r.name == "ground-truth"), None)


def _reading_only(result: Result) -> Result:
    """The clips of a result with the tallies of its reading metrics alone."""
    metrics = tuple(metric for metric in result.metrics if metric.rates_reading)
    keys = {metric.key for metric in metrics}
    clips = tuple(
        ClipScore(clip.info, {key: tally for key, tally in clip.tallies.items() if key in keys})
        for clip in result.clips
    )
    protocols = {metric.key: result.protocols[metric.key] for metric in metrics}
    return replace(
        result,
        metrics=metrics,
        protocols=protocols,
        clips=clips,
        intervals={},
        findings=(),
        remarks=(),
        provenance={},
        sets=(),
    )


def _blind_readers(
    count: int, selections: Sequence[Selection], setup: Setup, plan: Plan, options: RunOptions
) -> list[BlindReaders]:
    """Blind readers for each of ``count`` results; those after the selections are controls of the first."""
    readers: dict[tuple[Clip, ...], BlindReaders] = {}
    blinds: list[BlindReaders] = []
    for selection in [*selections, *[selections[0]] * (count - len(selections))]:
        clips = tuple(replace(clip, generated=None) for clip in selection.clips)
        if clips not in readers:  # folders without a data set have clips of their own
            readers[clips] = BlindReaders(selection, setup.metrics, plan, options.seed, setup.weights)
        blinds.append(readers[clips])
    return blinds


def _observed(
    plan: Plan, clips: Sequence[Clip], options: RunOptions, progress: Progress | None
) -> Iterator[Observation]:
    for done, observation in enumerate(
        observe(plan, clips, options.workers, options.engine, options.ray, options.kept), start=1
    ):
        if progress is not None:
            progress(PROBE, observation, done, len(clips))
        yield observation

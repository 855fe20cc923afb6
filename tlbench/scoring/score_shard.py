"""One shard of a run: what :func:`tlbench.scoring.score.score_folders` does, for this shard's clips alone.

All that depends on the whole list of clips (protocols, donors of controls, guesses of blind readers, the real clips
that are read) is decided from the whole list, as in a run without shards. :func:`tlbench.scoring.merge.merge` makes the
results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlbench.datasets.options import DataOptions
from tlbench.generation.controls import control
from tlbench.observing.face_options import FaceOptions
from tlbench.owner import owned
from tlbench.scoring.control_rows import control_selections
from tlbench.scoring.earlier_result import check_earlier_result
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.provenance import without_option
from tlbench.scoring.reader_check import readings_of_shard
from tlbench.scoring.result import Result
from tlbench.scoring.run import Progress, outline, run
from tlbench.scoring.score import Job, begin, place_of
from tlbench.scoring.shard import SHARDS_NAME, Shard
from tlbench.scoring.shard_files import ShardSummary, keep_plan, obeyed, plan_text, write_summary
from tlbench.scoring.system_names import CONTROLS_NAME, OUT_NAME, system_names


def score_shard(
    folders: Sequence[Path],
    data: DataOptions,
    measured: MetricOptions,
    faces: FaceOptions,
    options: RunOptions,
    shard: Shard,
    *,
    name: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Observe the clips of one shard of each folder, and of controls if asked, into files of their own.

    The way of computing is that of the job that came first, where ``options`` leave it open (``auto``).

    Returns
    -------
    list of Result
        Of this shard's clips alone: the systems in order, then the controls.

    Raises
    ------
    TlbenchError
        As :func:`tlbench.scoring.score.score_all`; if there are shards of another plan in the folder, or another job
        does this shard.
    """
    out = out or Path(OUT_NAME)
    options = obeyed(options, out / system_names(folders, name)[0])
    job = begin(folders, data, measured, faces, options, name=name)
    source = _probe_source(job, measured)
    places = [out / system for system in job.names] + [out / CONTROLS_NAME / kind for kind in job.kinds]
    of_shard = (place / SHARDS_NAME for place in places)
    with owned(*of_shard, name=shard.name, take_over=options.take_over), options.kept:
        plans = []
        for system, selection, own in zip(job.names, job.selections, job.setups, strict=True):
            check_earlier_result(out / system, selection, own, system, options, clips=shard.of(selection.clips))
            expected, _ = outline(selection, own, system, options)
            plans.append(keep_plan(out / system, plan_text(selection, own, expected, options, shard.count, source)))
        results = [
            run(selection, own, system, options, out=out / system, shard=shard, progress=progress)
            for system, selection, own in zip(job.names, job.selections, job.setups, strict=True)
        ]
        if job.kinds:
            first, place = job.selections[0], out / CONTROLS_NAME
            for kind in job.kinds:
                check_earlier_result(
                    place / kind, first, job.setup, kind, options, role="control", clips=shard.of(first.clips)
                )
            own_ids = shard.ids(clip.id for clip in first.clips)
            written = control_selections(
                job.kinds, first, job.setup, options, out=place, only=own_ids, part=shard.name, progress=progress
            )
            for chosen, kind in written:
                excused = control(kind).excused
                expected, _ = outline(chosen, job.setup, kind, options, role="control", excused=excused)
                text = plan_text(chosen, job.setup, expected, options, shard.count, source)
                plans.append(keep_plan(place / kind, text))
                results.append(
                    run(
                        chosen,
                        job.setup,
                        kind,
                        options,
                        out=place / kind,
                        role="control",
                        excused=excused,
                        shard=shard,
                        progress=progress,
                    )
                )
        said = readings_of_shard(
            results, job.selections, job.setup, options, shard, probe=measured.probe, progress=progress
        )
        for result, plan, (blind, probe) in zip(results, plans, said, strict=True):
            provenance = {**result.provenance, "command": without_option(result.provenance["command"], "--shard")}
            write_summary(place_of(result, out), shard, plan, ShardSummary(provenance, blind, probe), result)
    return results


def _probe_source(job: Job, measured: MetricOptions) -> str | None:
    """Which real clips the run reads, as its plan says."""
    if not any(metric.rates_reading for metric in job.setup.metrics):
        return None
    return "ground-truth" if "ground-truth" in job.kinds else "probe" if measured.probe else None

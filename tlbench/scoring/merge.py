"""The results of a run in shards, made from what its shards wrote. No video is read and no model is loaded."""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast
from unicodedata import normalize

from tlbench.arguments import AnyPath
from tlbench.document import counted
from tlbench.errors import TlbenchError, shortened
from tlbench.metrics.blind import BlindReading
from tlbench.observing.device import LAST_DIGITS
from tlbench.owner import owned
from tlbench.scoring.aggregation import aggregate_like
from tlbench.scoring.blind_rows import Probe, ProbeSource, probe_of, with_blind
from tlbench.scoring.probe import with_readings
from tlbench.scoring.provenance import mixed_processors
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, RecordWriter, read_records
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.run import with_damaged_checkpoints
from tlbench.scoring.set_run import with_set_scores
from tlbench.scoring.shard import SHARDS_NAME, Shard
from tlbench.scoring.shard_files import PLAN_NAME, ShardPlan, ShardSummary, check_own_files, read_plan, read_summary

NAMED = 3  # missing clips and shards that an error names


@dataclass(frozen=True)
class MissingShard:
    """A shard that is to be scored, perhaps again.

    Attributes
    ----------
    shard : Shard
    state : "not started", "started" or "changed"
        Changed: it came to its end, and its files are no longer those that it wrote.
    ids : tuple of str
        Its clips, in the order of the run.
    """

    shard: Shard
    state: Literal["not started", "started", "changed"]
    ids: tuple[str, ...]


def merge(folder: AnyPath, *, take_over: bool = False) -> list[Result]:
    """Make the results of a run in shards: the same bytes as of one run, but for the times in its provenance.

    Parameters
    ----------
    folder : path
        A run's folder, ``tlbench-results/NAME``, or the folder of several runs and controls.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.

    Returns
    -------
    list of Result
        Each is written to its folder with its records. Systems first.

    Raises
    ------
    TlbenchError
        If clips are missing: the line names the shards. If shards have the same clip, or are of different plans.

    Warns
    -----
    UserWarning
        If shards were computed on different types of processor, or by different versions of packages.
    """
    runs = runs_in_shards(Path(folder))
    plans = {run: read_plan(run) for run in runs}
    for run, plan in plans.items():
        missing = missing_shards(run, plan)
        if missing:
            raise TlbenchError(_told(run, plan, missing))
    results = []
    for run, plan in plans.items():
        with owned(run, take_over=take_over):
            results.append(_merged(run, plan))
    return results


def runs_in_shards(folder: Path) -> list[Path]:
    """The folder itself if it has shards, else the runs below it, controls last. Raises TlbenchError if none has."""
    if (folder / SHARDS_NAME / PLAN_NAME).exists():
        return [folder]
    found = {path.parent.parent for path in folder.rglob(f"{SHARDS_NAME}/{PLAN_NAME}")}
    if not found:
        raise TlbenchError(
            f"{folder}: there is no {SHARDS_NAME}/{PLAN_NAME} in this folder or below it; `tlbench score --shard I/N` "
            "writes it"
        )
    return sorted(found, key=lambda run: (len(run.parts), run))


def missing_shards(run: Path, plan: ShardPlan, *, check: bool = False) -> list[MissingShard]:
    """The shards of a run that are not done; with ``check`` also those whose files have changed, which takes hashes."""
    found = []
    for shard in plan.each:
        records = shard.records(run)
        state: Literal["not started", "started", "changed"]
        if shard.summary(run).exists() and records.exists():
            if not check or _is_as_written(run, shard, plan):
                continue
            state = "changed"
        else:
            state = "started" if any(records.parent.glob(f"{records.name}*")) else "not started"
        own = shard.ids(plan.ids)
        found.append(MissingShard(shard, state, tuple(one for one in plan.ids if one in own)))
    return found


def _is_as_written(run: Path, shard: Shard, plan: ShardPlan) -> bool:
    try:
        check_own_files(run, shard, _summary(run, shard, plan))
    except TlbenchError:  # `merge` tells it
        return False
    return True


def _told(run: Path, plan: ShardPlan, missing: Sequence[MissingShard]) -> str:
    numbers = ", ".join(str(one.shard.number) for one in missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
    ids = [clip for one in missing for clip in one.ids]
    named = ", ".join(map(shortened, ids[:NAMED])) + (", ..." if len(ids) > NAMED else "")
    which = "shard" if len(missing) == 1 else "shards"
    return (
        f"{run}: {which} {numbers} of {plan.shards} not done, so {len(ids)} of {counted(len(plan.ids), 'clip')} are "
        f"missing: {named}; score these shards, then merge again (`tlbench merge --missing {run}` lists all)"
    )


def _merged(run: Path, plan: ShardPlan) -> Result:
    said = [_summary(run, shard, plan) for shard in plan.each]
    outline = replace(plan.outline, provenance=_united([one.provenance for one in said]))
    for line in _mixtures(run, said):
        warnings.warn(line, stacklevel=4)
    writer = RecordWriter(run / RECORDS_NAME)
    try:
        with writer:
            result = aggregate_like(outline, _written(writer, _in_order(run, plan)))
            for shard, one in zip(plan.each, said, strict=True):
                check_own_files(run, shard, one)
    except TlbenchError:
        writer.partial.unlink(missing_ok=True)  # a part that no run goes on with
        raise
    result = with_damaged_checkpoints(result, plan.checkpoints)
    if plan.outline.sets:
        result = with_set_scores(result, [shard.features(run) for shard in plan.each])
    result = _with_blind_rows(result, plan, said)
    result.write(run / FILE_NAME)
    return result


def _summary(run: Path, shard: Shard, plan: ShardPlan) -> ShardSummary:
    found = read_summary(run, shard, plan)
    if found is None:  # removed at this moment
        raise TlbenchError(f"{shard.summary(run)}: there is no such file; score shard {shard} again")
    return found


def _in_order(run: Path, plan: ShardPlan) -> Iterator[ClipRecord]:
    """The records of all shards in the order of the run. Raises TlbenchError for a clip that is another shard's."""

    def of(shard: Shard) -> Iterator[tuple[int, ClipRecord]]:
        path = shard.records(run)
        waiting = sorted(plan.places[normalize("NFC", one)] for one in shard.ids(plan.ids))
        own = iter(waiting)
        for record in read_records(path):
            place = next(own, None)
            if place is None or plan.places.get(record.id) != place:
                expected = "no more clips" if place is None else f"clip {shortened(plan.ids[place])}"
                raise TlbenchError(
                    f"{path}: has clip {shortened(record.id)} where {expected} should follow, twice or of another "
                    f"shard; score shard {shard} again"
                )
            yield place, record
        missing = next(own, None)
        if missing is not None:
            raise TlbenchError(f"{path}: clip {shortened(plan.ids[missing])} is missing; score shard {shard} again")

    yield from (record for _, record in heapq.merge(*map(of, plan.each), key=lambda pair: pair[0]))


def _written(writer: RecordWriter, records: Iterator[ClipRecord]) -> Iterator[ClipRecord]:
    for record in records:
        writer.write(record)
        yield record


def _united(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One provenance of all: from the first start to the last end; values that differ are all listed."""
    first = dict(said[0])
    for name, value in first.items():
        values = [one.get(name, value) for one in said]
        if name in ("started", "finished"):
            first[name] = (min if name == "started" else max)(values)
        elif name == "processors":
            first[name] = sorted({kind for kinds in values for kind in kinds})
        elif isinstance(value, dict) and name in ("packages",):
            first[name] = {key: _listed([one.get(key) for one in values]) for key in value}
        elif isinstance(value, str):
            first[name] = _listed(values)
    return first


def _listed(values: Sequence[str | None]) -> str | None:
    """The value, or ``2.12.0, 2.13.0`` if there are several."""
    there = sorted({value for value in values if value is not None})
    return ", ".join(there) if there else None


def _mixtures(run: Path, said: Sequence[ShardSummary]) -> Iterator[str]:
    """A line for each thing that decides the last digits of a float and was not the same for all shards."""
    yield from mixed_processors(run, (kind for one in said for kind in one.provenance.get("processors", ())))
    packages = _united([one.provenance for one in said]).get("packages", {})
    mixed = [f"{name} {versions}" for name, versions in packages.items() if versions is not None and ", " in versions]
    if mixed:
        yield f"{run}: its shards were made with different versions of packages ({'; '.join(mixed)}); {LAST_DIGITS}"


def _with_blind_rows(result: Result, plan: ShardPlan, said: Sequence[ShardSummary]) -> Result:
    blinds = [one.blind for one in said if one.blind is not None]
    if not blinds:
        return result
    learned_from = blinds[0].learned_from
    probes = [one.probe for one in said if one.probe is not None]
    probe: Probe | None = None
    if probes:
        clips = sorted((clip for one in probes for clip in one.result.clips), key=lambda clip: plan.places[clip.id])
        read = replace(probes[0].result, clips=tuple(clips), expected=len(clips))
        compared = with_blind(read, _joined([one.readings for one in probes]), learned_from)
        probe = probe_of(compared, cast(ProbeSource, probes[0].source))
    return with_readings(result, _joined([one.readings for one in blinds]), learned_from, probe)


def _joined(readings: Sequence[Sequence[BlindReading]]) -> list[BlindReading]:
    """The readings of all shards, each way of guessing as one, in the order in which a shard has them."""
    joined: dict[str, dict[str, dict[str, Any]]] = {}
    for reading in (one for shard in readings for one in shard):
        own = joined.setdefault(reading.name, {})
        for key, tallies in reading.tallies.items():
            own.setdefault(key, {}).update(tallies)
    return [BlindReading(name, tallies) for name, tallies in joined.items()]

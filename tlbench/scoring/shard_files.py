"""The files of a run in shards: what all have in common, and what each adds to its records.

In ``RUN/shards`` there are ``plan.json``, written by the job that comes first, and for each shard
``3-of-64.records.jsonl`` and, once it is done, ``3-of-64.json``. Nobody waits for anybody and nothing is locked: the
plan appears whole under its name, by a hard link that fails if the name is taken, and is the same whoever writes it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError, shortened
from tlbench.files import JSON, file_sha256, file_size, read_outside, unwritable, write_bytes_atomically
from tlbench.json_fields import clip_id, count, entries_of, fields_of, name_text, text
from tlbench.json_input import parse_json
from tlbench.litter import temporary_name
from tlbench.metrics.blind import BlindReading
from tlbench.observing.device import choose_device
from tlbench.observing.observer import PACKED_NAME
from tlbench.scoring.options import RunOptions
from tlbench.scoring.provenance import read_provenance
from tlbench.scoring.result import ClipScore, Result
from tlbench.scoring.result_file import MOST_CLIPS, MOST_TEXTS, parse_result
from tlbench.scoring.run import checkpoint_names
from tlbench.scoring.setup import Setup
from tlbench.scoring.shard import SHARDS_NAME, Shard
from tlbench.version import VERSION

PLAN_SCHEMA, SHARD_SCHEMA = "tlbench.shards/1", "tlbench.shard/1"
PLAN_NAME = "plan.json"
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}  # of file systems without hard links
# What the fields of a plan are called in the error for two plans in one folder.
_FIELDS = {
    "tlbench": "the version of tlbench",
    "shards": "the number of shards",
    "system": "the name",
    "computing": "the way of computing",
    "files": "the files of the clips (names or sizes)",
    "ids": "the list of clips",
    "checkpoints": "the checkpoints",
    "probe": "whether real clips are read",
    "outline": "what is measured",
}


@dataclass(frozen=True)
class ShardPlan:
    """What all shards of a run have in common.

    Attributes
    ----------
    shards : int
    ids : tuple of str
        Of all clips of the run, in the order of the selection.
    outline : Result
        The result without clips, see :func:`tlbench.scoring.run.outline`.
    checkpoints : mapping of observer to str
        What messages call its checkpoint.
    sha256 : str
        Of the file.
    """

    shards: int
    ids: tuple[str, ...]
    outline: Result
    checkpoints: Mapping[str, str]
    sha256: str

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each clip by its id, as ids are read from records."""
        return {normalize("NFC", one): place for place, one in enumerate(self.ids)}

    @property
    def each(self) -> list[Shard]:
        """All of its shards."""
        return [Shard(number, self.shards) for number in range(1, self.shards + 1)]


@dataclass(frozen=True)
class Readings:
    """What blind readers guess of some clips, and where the guesses come from."""

    learned_from: tuple[str, ...]
    readings: tuple[BlindReading, ...]


@dataclass(frozen=True)
class ProbeReadings:
    """Real clips that lip readers read, as a result, and what blind readers guess of them."""

    source: str
    result: Result
    readings: tuple[BlindReading, ...]


@dataclass(frozen=True)
class ShardSummary:
    """What a shard says at its end, next to its records.

    Attributes
    ----------
    provenance : mapping
        As :attr:`tlbench.scoring.result.Result.provenance`.
    blind : Readings or None
        None if the run reads nothing.
    probe : ProbeReadings or None
        None if the run reads no real clips. A shard has those that are its own, perhaps none.
    files : mapping of name to str
        SHA-256 of its other files; of a summary that is to be written they are found by :func:`write_summary`.
    """

    provenance: Mapping[str, Any]
    blind: Readings | None = None
    probe: ProbeReadings | None = None
    files: Mapping[str, Any] = field(default_factory=dict)


def plan_text(
    selection: Selection, setup: Setup, outline: Result, options: RunOptions, shards: int, probe: str | None
) -> str:
    """The plan of a run in shards, as the text of its file."""
    is_control = outline.role == "control"  # whose videos are written by each shard for itself
    data = {
        "schema": PLAN_SCHEMA,
        "tlbench": VERSION,
        "shards": shards,
        "system": outline.name,
        "computing": {
            "device": setup.plan.device.partition(":")[0],
            "precision": options.precision,
            "matrix_product": PACKED_NAME if any(plan.packed for plan in setup.plan.observers) else "torch",
        },
        "files": files_sha256(selection.clips, generated=not is_control),
        "ids": [clip.id for clip in selection.clips],
        "checkpoints": checkpoint_names(setup.weights),
        "probe": probe,
        "outline": outline.to_json(),
    }
    return json.dumps(data, allow_nan=False, indent=1) + "\n"


def files_sha256(clips: Iterable[Clip], *, generated: bool = True) -> str:
    """A hash of the clips' ids and texts, and of the names and sizes of their files; not of folders, nor of contents.

    So two machines see whether they have the same files, wherever each has them.
    """
    digest = hashlib.sha256()
    for clip in clips:
        paths = [clip.generated if generated else None, clip.reference, clip.boxes, clip.landmarks, clip.audio]
        files = [None if path is None else [path.name, file_size(path)] for path in paths]
        digest.update(json.dumps([clip.id, clip.transcript, clip.word, clip.speaker, files]).encode() + b"\n")
    return digest.hexdigest()


def obeyed(options: RunOptions, run: Path) -> RunOptions:
    """The options with the way of computing that the plan in a run's folder says, where they leave it open.

    Raises TlbenchError if there is a plan that can't be read, or this machine lacks the device that it says.
    """
    path = run / SHARDS_NAME / PLAN_NAME
    if not path.is_file():
        return options
    said = fields_of(_read(path, PLAN_SCHEMA)[0].get("computing"), "computing")
    device, product = said.get("device"), said.get("matrix_product")
    if options.device == "auto" and isinstance(device, str):
        try:
            choose_device(device, networks=True, elsewhere=options.engine == "ray")
        except TlbenchError as error:
            raise TlbenchError(
                f"{path}: the other shards are computed on {shortened(device)}, which this machine does not have; "
                "score this shard where there is one, or score all with --device cpu into another --out"
            ) from error
        options = replace(options, device=device)
    if options.matrix_product == "auto" and options.device == "cpu" and product in ("torch", "onednn"):
        options = replace(options, matrix_product=product)
    return options


def keep_plan(run: Path, plan: str) -> str:
    """Write the plan to a run's folder, or compare it with the one that is there. Returns its SHA-256.

    Raises
    ------
    TlbenchError
        If the shards there are of another plan: the line says what differs. If the folder can't be written.
    """
    path = run / SHARDS_NAME / PLAN_NAME
    content = plan.encode()
    temporary = path.with_name(temporary_name(".tmp"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not path.exists():
                os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    there, raw = _read(path, PLAN_SCHEMA)
    if raw != content:
        raise TlbenchError(
            f"{path.parent}: its shards are of another plan: {_difference(there, json.loads(plan))}; give the command "
            "of that plan, choose another --out, or remove that folder"
        )
    return hashlib.sha256(content).hexdigest()


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first field in which two plans differ, with both values if they are short."""
    for name, named in _FIELDS.items():
        before, now = there.get(name), here[name]
        if before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            inner = next(key for key in {**before, **now} if before.get(key) != now.get(key))
            named, before, now = f"{named} ({inner})", before.get(inner), now.get(inner)
        elif isinstance(before, list) and isinstance(now, list) and len(before) != len(now):
            before, now = len(before), len(now)
        short = all(isinstance(value, (str, int)) and len(str(value)) <= 40 for value in (before, now))
        return f"{named} is {before} there and {now} here" if short else f"{named} differs"
    return "it was written by another version of tlbench"


def read_plan(run: Path) -> ShardPlan:
    """The plan of the shards in a run's folder. Raises TlbenchError if there is none, or it can't be read."""
    path = run / SHARDS_NAME / PLAN_NAME
    data, raw = _read(path, PLAN_SCHEMA)
    if data.get("tlbench") != VERSION:
        raise TlbenchError(
            f"{path}: made by tlbench {shortened(str(data.get('tlbench')))}, this is {VERSION}; merge with the version "
            "that made the shards, or score them again"
        )
    try:
        ids = tuple(text(one, "id") for one in entries_of(data["ids"], "ids", most=MOST_CLIPS))
        for one in ids:
            clip_id(one, "id")
        return ShardPlan(
            shards=Shard(1, count(data["shards"], "shards")).count,
            ids=ids,
            outline=parse_result(fields_of(data["outline"], "outline")),
            checkpoints={
                name_text(who, "observer"): text(named, "checkpoint")
                for who, named in fields_of(data["checkpoints"], "checkpoints").items()
            },
            sha256=hashlib.sha256(raw).hexdigest(),
        )
    except (KeyError, ValueError, TypeError, TlbenchError) as error:
        raise _damaged(path, error) from error


def write_summary(run: Path, shard: Shard, plan_sha256: str, summary: ShardSummary, like: Result) -> None:
    """Write what a shard says at its end, with the hashes of its other files. ``like`` is its result.

    Raises TlbenchError if it can't be written, or another file of the shard can't be read.
    """
    blind, probe = summary.blind, summary.probe
    data = {
        "schema": SHARD_SCHEMA,
        "shard": [shard.number, shard.count],
        "plan_sha256": plan_sha256,
        "files": _own_files(run, shard),
        "provenance": dict(summary.provenance),
        "learned_from": [] if blind is None else list(blind.learned_from),
        "readings": None if blind is None else list(_readings_json(blind.readings, like)),
        "probe": None
        if probe is None
        else {
            "source": probe.source,
            "result": _without_intervals(probe.result).to_json(),
            "readings": list(_readings_json(probe.readings, probe.result)),
        },
    }
    write_bytes_atomically(shard.summary(run), (json.dumps(data, allow_nan=False) + "\n").encode())


def _own_files(run: Path, shard: Shard) -> dict[str, str]:
    """The hashes of a shard's files other than its summary, by name. Raises TlbenchError if one can't be read."""
    hashes = {}
    for path in (shard.records(run), shard.features(run)):
        try:
            hashes[path.name] = file_sha256(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TlbenchError(f"{path}: can't be read ({error.strerror}); score shard {shard} again") from error
    return hashes


def read_summary(run: Path, shard: Shard, plan: ShardPlan) -> ShardSummary | None:
    """What a shard said at its end; None if it has not ended. Raises TlbenchError if it is of another plan."""
    path = shard.summary(run)
    if not path.exists():
        return None
    data, _ = _read(path, SHARD_SCHEMA)
    try:
        if data["shard"] != [shard.number, shard.count]:
            raise ValueError(f"it says that it is shard {shortened(str(data['shard']))}")
        if data["plan_sha256"] != plan.sha256:
            raise TlbenchError(f"{path}: of another plan than {PLAN_NAME} next to it; score this shard again")
        probe = data["probe"]
        return ShardSummary(
            files=fields_of(data["files"], "files"),
            provenance=read_provenance(data["provenance"]),
            blind=None
            if data["readings"] is None
            else Readings(
                tuple(
                    text(one, "learned_from")
                    for one in entries_of(data["learned_from"], "learned_from", most=MOST_TEXTS)
                ),
                tuple(_read_readings(data["readings"])),
            ),
            probe=None
            if probe is None
            else ProbeReadings(
                name_text(probe["source"], "probe source"),
                parse_result(fields_of(probe["result"], "probe result")),
                tuple(_read_readings(probe["readings"])),
            ),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def check_own_files(run: Path, shard: Shard, summary: ShardSummary) -> None:
    """Raises TlbenchError if a file of a shard is missing, or is another than its summary says.

    A file of another run may have the same clips, so that nothing else tells it.
    """
    said, there = summary.files, _own_files(run, shard)
    other = sorted(name for name in {*said, *there} if said.get(name) != there.get(name))
    if other:
        path = shard.records(run).with_name(other[0])
        raise TlbenchError(
            f"{path}: is not the file that shard {shard} wrote; copy its files again, or score shard {shard} again"
        )


def _readings_json(readings: Sequence[BlindReading], like: Result) -> Iterator[dict[str, Any]]:
    """Each reading as a result over the clips of ``like``, which is read with all checks of results."""
    for reading in readings:
        metrics = tuple(metric for metric in like.metrics if metric.key in reading.tallies)
        clips = tuple(
            ClipScore(
                replace(clip.info, generated_sha256=None, reference_sha256=None, frames=None, frames_expected=None),
                tallies={m.key: own[clip.id] for m in metrics if clip.id in (own := reading.tallies[m.key])},
            )
            for clip in like.clips
        )
        row = replace(like, name=reading.name, role="control", metrics=metrics, clips=clips, findings=(), provenance={})
        yield _without_intervals(row).to_json()


def _without_intervals(result: Result) -> Result:
    return replace(result, intervals={}, blind=None, sets=())


def _read_readings(data: Any) -> Iterator[BlindReading]:
    for item in entries_of(data, "readings", most=MOST_TEXTS):
        row = parse_result(fields_of(item, "reading"))
        tallies = {
            metric.key: {clip.id: clip.tallies[metric.key] for clip in row.clips if metric.key in clip.tallies}
            for metric in row.metrics
        }
        yield BlindReading(row.name, tallies)


def _read(path: Path, schema: str) -> tuple[dict[str, Any], bytes]:
    """A file of JSON with this schema, and its bytes. Raises TlbenchError if it is no such file."""
    try:
        raw = read_outside(path, JSON)
        data = parse_json(raw)
    except FileNotFoundError as error:
        raise TlbenchError(f"{path}: there is no such file; `tlbench score --shard I/N` writes it") from error
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(data, dict) or data.get("schema") != schema:
        raise _damaged(path, ValueError(f"its schema is not {schema}"))
    return data, raw


def _damaged(path: Path, error: Exception) -> TlbenchError:
    why = f"{error} is missing" if isinstance(error, KeyError) else shortened(str(error))
    return TlbenchError(f"{path}: not a file of shards of this tlbench ({why}); score that shard again")

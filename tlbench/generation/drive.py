"""A drive: what generators are driven with to see what leaks from the source video, and the file that says so.

A folder with ``drive.json`` and sound files. Each source clip has three items: `silent` (as long as its video),
`mismatched` (speech of another clip) and `matched` (its own). Whoever generates writes one video for each item to
``GENERATED/<kind>/<clip id>.mp4``. The file may come from anybody, so nothing in it is trusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize

from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError, quoted, shortened
from tlbench.files import FileKind, file_sha256, read_outside
from tlbench.json_fields import clip_id, count, entries_of, fields_of, finite, name_text
from tlbench.json_input import parse_json
from tlbench.observing.cache import content_sha256

DRIVE_NAME = "drive.json"
SCHEMA = "tlbench.drive/1"
SILENT, MISMATCHED, MATCHED = "silent", "mismatched", "matched"
KINDS = (SILENT, MISMATCHED, MATCHED)
DRIVE_FILE = FileKind("drive", 100 * 10**6)  # of LRW's 25,000 clips it has 30 MB
MOST_ITEMS = 300_000
MAKE = "make one with `tlbench data drive`"


@dataclass(frozen=True)
class DriveItem:
    """One video to be generated.

    Attributes
    ----------
    kind : "silent", "mismatched" or "matched"
    clip : str
        Id of the source clip, whose face is generated.
    video : str
        The source video below the data set's folder.
    sound : str
        The sound file below the drive's folder: what the generator hears.
    donor : str or None
        Id of the clip whose speech it is; None for silence.
    cut_seconds : float
        How much of the donor's sound is left out at its end, because the source video is shorter.
    """

    kind: str
    clip: str
    video: str
    sound: str
    donor: str | None
    cut_seconds: float = 0.0


@dataclass(frozen=True)
class Drive:
    """What is in ``drive.json``, and where it is.

    Attributes
    ----------
    folder : Path
    sha256 : str
        Of the bytes of the file; its first digits are part of protocol ids.
    dataset, split : str
    seed : int
        Of the choice of donors.
    items : tuple of DriveItem
        One of each kind for each source clip.
    videos, sounds : mapping of file to SHA-256
    """

    folder: Path
    sha256: str
    dataset: str
    split: str
    seed: int
    items: tuple[DriveItem, ...]
    videos: Mapping[str, str]
    sounds: Mapping[str, str]

    @cached_property
    def clips(self) -> tuple[str, ...]:
        """Ids of the source clips, in order."""
        return tuple(dict.fromkeys(item.clip for item in self.items))

    def of_kind(self, kind: str) -> dict[str, DriveItem]:
        """The items of one kind by source clip."""
        return {item.clip: item for item in self.items if item.kind == kind}

    def log_entry(self, kind: str) -> dict[str, str]:
        """Which items the videos of a folder are, as JSON for its generation log."""
        return {"dataset": self.dataset, "drive": self.sha256, "kind": kind}

    def sound_path(self, item: DriveItem) -> Path:
        """Where the item's sound file is."""
        return self.folder / item.sound


def drive_text(
    dataset: str,
    split: str,
    seed: int,
    items: tuple[DriveItem, ...],
    videos: Mapping[str, str],
    sounds: Mapping[str, str],
) -> str:
    """The text of a drive's file; equal files and seed give equal text. Arguments as on :class:`Drive`."""
    content = {
        "schema": SCHEMA,
        "dataset": dataset,
        "split": split,
        "seed": seed,
        "items": [asdict(item) for item in items],
        "videos": dict(videos),
        "sounds": dict(sounds),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_drive(path: Path) -> Drive:
    """Read a drive and check its sound files.

    Parameters
    ----------
    path : Path
        ``drive.json``, or its folder.

    Raises
    ------
    TlbenchError
        In one line: there is no such file, it is malformed, or a sound file is missing or another.
    """
    drive = read_manifest(path)
    file = path / DRIVE_NAME if path.is_dir() else path
    for name, sha256 in drive.sounds.items():
        try:
            found = file_sha256(drive.folder / name)
        except OSError as error:
            raise TlbenchError(
                f"{drive.folder / name}: the drive's sound can't be read ({error.strerror}); {MAKE} again"
            ) from error
        if found != sha256:
            raise TlbenchError(f"{drive.folder / name}: is another sound than {file.name} says; {MAKE} again")
    return drive


def read_manifest(path: Path) -> Drive:
    """As :func:`read_drive`, whatever has become of the sound files."""
    file = path / DRIVE_NAME if path.is_dir() else path
    try:
        raw = read_outside(file, DRIVE_FILE)
    except FileNotFoundError as error:
        if path.is_dir():
            raise TlbenchError(f"{path}: is no drive, it has no {DRIVE_NAME}; {MAKE}") from error
        raise TlbenchError(f"{file}: there is no such file; {MAKE}") from error
    except OSError as error:
        raise TlbenchError(f"{file}: can't be read ({error.strerror}); {MAKE}") from error
    try:
        return _parsed(raw, file)
    except KeyError as error:
        raise TlbenchError(f"{file}: not a drive, it lacks {error}; {MAKE}") from error
    except (ValueError, TypeError) as error:
        raise TlbenchError(f"{file}: not a drive ({error}); {MAKE}") from error


def _parsed(raw: bytes, file: Path) -> Drive:
    data = fields_of(parse_json(raw), "a drive")
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {quoted(data['schema'])}, this tlbench reads {SCHEMA!r}")
    videos, sounds = (_hashes(data[name], name) for name in ("videos", "sounds"))
    items = tuple(
        _item(fields_of(item, "an item"), videos, sounds)
        for item in entries_of(data["items"], "items", most=MOST_ITEMS)
    )
    drive = Drive(
        file.parent,
        hashlib.sha256(raw).hexdigest(),
        name_text(data["dataset"], "dataset"),
        name_text(data["split"], "split"),
        count(data["seed"], "seed"),
        items,
        videos,
        sounds,
    )
    _check_kinds(drive)
    return drive


def _hashes(value: Any, name: str) -> dict[str, str]:
    found = {}
    for path, sha256 in fields_of(value, name).items():
        if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise ValueError(f"{name}: {quoted(sha256)} is no SHA-256")
        found[clip_id(path, name)] = sha256  # a relative path that leads out of no folder
    return found


def _item(data: Mapping[str, Any], videos: Mapping[str, str], sounds: Mapping[str, str]) -> DriveItem:
    if data["kind"] not in KINDS:
        raise ValueError(f"kind {quoted(data['kind'])} is none of {', '.join(KINDS)}")
    cut_seconds = finite(data["cut_seconds"], "cut_seconds")
    if cut_seconds < 0:
        raise ValueError(f"cut_seconds {cut_seconds:g} is negative")
    donor = data["donor"]
    item = DriveItem(
        data["kind"],
        clip_id(data["clip"], "clip"),
        clip_id(data["video"], "video"),
        clip_id(data["sound"], "sound"),
        None if donor is None else clip_id(donor, "donor"),
        cut_seconds,
    )
    if (item.donor is None) != (item.kind == SILENT) or (item.donor == item.clip) != (item.kind == MATCHED):
        raise ValueError(f"the {item.kind} item of clip {shortened(item.clip)} has the donor {quoted(item.donor)}")
    for what, path, known in (("video", item.video, videos), ("sound", item.sound, sounds)):
        if path not in known:
            raise ValueError(f"{what} {quoted(path)} has no SHA-256")
    if item.sound != sound_name(item.kind, item.clip):
        raise ValueError(f"the {item.kind} item of clip {shortened(item.clip)} has the sound {quoted(item.sound)}")
    return item


def sound_name(kind: str, clip: str) -> str:
    """Where an item's sound is below the drive's folder."""
    return f"sound/{kind}/{clip}.wav"


def _check_kinds(drive: Drive) -> None:
    if not drive.items:
        raise ValueError("it has no items")
    for kind in KINDS:
        of_kind = [item.clip for item in drive.items if item.kind == kind]
        if len(set(of_kind)) < len(of_kind):
            twice = next(clip for clip in of_kind if of_kind.count(clip) > 1)
            raise ValueError(f"clip {shortened(twice)} has two {kind} items")
        missing = [clip for clip in drive.clips if clip not in set(of_kind)]
        if missing:
            raise ValueError(f"clip {shortened(missing[0])} has no {kind} item")
    videos = {item.clip: item.video for item in drive.items}
    for item in drive.items:
        if item.video != videos[item.clip]:
            raise ValueError(
                f"clip {shortened(item.clip)} has two videos, {quoted(item.video)} and {quoted(videos[item.clip])}"
            )


@dataclass(frozen=True)
class DriveOptions:
    """A drive, and where the data set is that it was made from.

    Attributes
    ----------
    drive : Path
        ``drive.json``, or its folder.
    data_root, manifest, boxes : Path or None
        As on :class:`tlbench.datasets.options.DataOptions`.
    """

    drive: Path
    data_root: Path | None = None
    manifest: Path | None = None
    boxes: Path | None = None

    def load(self) -> tuple[Drive, Selection]:
        """The drive and its source clips, in its order.

        Raises
        ------
        TlbenchError
            As :func:`read_drive`; if the data set is not here or lacks a clip; if a source video is another one.
        """
        drive = read_drive(self.drive)
        data = DataOptions(drive.dataset, self.data_root, split=drive.split, manifest=self.manifest, boxes=self.boxes)
        return drive, _sources(drive, data.load())


def data_or_drive(
    drive: Path | None,
    dataset: str | None,
    data_root: Path | None,
    *,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
    landmarks: Path | None,
) -> DataOptions | DriveOptions:
    """The clips that are named: those of a data set, or those of a drive, which says all of it but where they are.

    Raises
    ------
    TlbenchError
        If neither a data set nor a drive is named, or with a drive something that the drive says.
    """
    if drive is None:
        if dataset is None:
            raise TlbenchError("it is not said which data set the videos are of; give --dataset, or --drive")
        return DataOptions(dataset, data_root, split, subset, limit, manifest, boxes, landmarks)
    said = {"dataset": dataset, "split": split, "subset": subset, "limit": limit, "landmarks": landmarks}
    for name, value in said.items():
        if value is not None:
            raise TlbenchError(f"--{name} does not go with --drive, which says what is scored; leave it out")
    return DriveOptions(drive, data_root, manifest, boxes)


def _sources(drive: Drive, selection: Selection) -> Selection:
    """The source clips and donors of a drive among all clips of the split, with the videos that it was made from.

    Their ids are in Unicode's form NFC, as those of a drive are when it is read.
    """
    by_id = {name: replace(clip, id=name) for clip in selection.clips for name in [normalize("NFC", clip.id)]}
    donors = [item.donor for item in drive.items if item.kind == MISMATCHED and item.donor is not None]
    for name in (*drive.clips, *donors):
        if name not in by_id:
            raise TlbenchError(
                f"the drive's clip {shortened(name)} is not in {drive.dataset}, split {quoted(drive.split)}, in "
                f"{selection.root or selection.manifest}; give the data set that it was made from (--data-root)"
            )
    for name, item in drive.of_kind(MATCHED).items():
        if _sha256(by_id[name], name) != drive.videos[item.video]:
            raise TlbenchError(
                f"clip {shortened(name)}: {by_id[name].reference} is another video than the drive was made from; "
                f"give the same files (--data-root), or {MAKE}"
            )
    return replace(
        selection,
        clips=[by_id[name] for name in drive.clips],
        drive=drive.sha256,
        donors=tuple(by_id[name] for name in donors),
    )


def _sha256(clip: Clip, name: str) -> str:
    """The hash of the source video. Raises TlbenchError if it can't be read."""
    try:
        return content_sha256(clip.reference, name, "reference video")
    except ClipError as error:
        raise TlbenchError(f"{error.message}; the drive needs it") from error


def driven_clips(drive: Drive, clips: list[Clip], kind: str) -> list[Clip]:
    """The source clips with the sound of one kind as their speech, to be generated."""
    items = drive.of_kind(kind)
    return [replace(clip, audio=drive.sound_path(items[clip.id])) for clip in clips]

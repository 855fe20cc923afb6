"""Making a drive: for each clip of a data set silence, another clip's speech and its own, as sound files."""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError, shortened
from tlbench.files import atomic_path, file_sha256, unwritable, write_text_atomically
from tlbench.generation.drive import (
    DRIVE_NAME,
    KINDS,
    MATCHED,
    MISMATCHED,
    SILENT,
    Drive,
    DriveItem,
    drive_text,
    read_drive,
    read_manifest,
    sound_name,
)
from tlbench.media.audio import read_whole_audio, why_silent
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.media.wav_file import write_wav
from tlbench.observing.cache import content_sha256
from tlbench.observing.make_boxes import select_references
from tlbench.owner import owned

SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND


def make_drive(
    out: Path, data: DataOptions, *, seed: int = 0, take_over: bool = False, progress: CountCallback | None = None
) -> Drive:
    """Write the drive of a data set to a folder: ``drive.json`` and ``sound/<kind>/<clip id>.wav``, 16 kHz, mono.

    Each sound is as long as the source video: cut, or filled up with silence. The donor of a clip is drawn at random
    from the clips with another transcript whose sound is not longer than the source video; if there is none, it is the
    one of which least is cut off.

    Raises
    ------
    TlbenchError
        If a clip has no real video or no audible sound, there is no clip with another transcript, the folder has
        another drive, which videos may have been generated for, or a file can't be written.
    """
    selection = select_references(data)
    lengths: dict[str, int] = {}
    rooms: dict[str, int] = {}
    for done, clip in enumerate(selection.clips, start=1):
        lengths[clip.id], rooms[clip.id] = _lengths(clip)
        if progress is not None:
            progress(done, len(selection.clips))
    donors = choose_donors(selection.clips, lengths, rooms, seed)
    by_id = {clip.id: clip for clip in selection.clips}
    videos = {
        _below(selection, clip): content_sha256(clip.reference, clip.id, "reference video") for clip in selection.clips
    }
    with owned(out, take_over=take_over):
        _check_earlier(out, selection, seed, donors, videos)
        items, hashes = [], {}
        for kind in KINDS:
            for clip in selection.clips:
                donor = {SILENT: None, MISMATCHED: donors[clip.id], MATCHED: clip.id}[kind]
                samples = np.zeros(0, dtype=np.int16) if donor is None else _speech(by_id[donor])
                wanted = rooms[clip.id]
                name = sound_name(kind, clip.id)
                hashes[name] = _write_sound(out / name, samples[:wanted], wanted)
                cut_seconds = round(max(0, len(samples) - wanted) / SAMPLE_RATE, 3)
                items.append(DriveItem(kind, clip.id, _below(selection, clip), name, donor, cut_seconds))
        text = drive_text(selection.dataset.name, selection.split, seed, tuple(items), videos, hashes)
        write_text_atomically(out / DRIVE_NAME, text)
    return read_drive(out)


def _check_earlier(
    out: Path, selection: Selection, seed: int, donors: Mapping[str, str], videos: Mapping[str, str]
) -> None:
    """Raises TlbenchError if a folder has another drive. One that can't be read is made again."""
    if not (out / DRIVE_NAME).exists():
        return
    try:
        there = read_manifest(out)
    except TlbenchError:
        return
    facts = (
        ("the data set", f"{there.dataset}:{there.split}", f"{selection.dataset.name}:{selection.split}"),
        ("the seed", there.seed, seed),
        ("the number of clips", len(there.clips), len(selection.clips)),
    )
    differs = [
        f"{what} is {shortened(str(before))} there and {now} here" for what, before, now in facts if before != now
    ]
    drawn = {clip: item.donor for clip, item in there.of_kind(MISMATCHED).items()}
    if not differs and (there.videos != _composed(videos) or drawn != _composed(donors)):
        differs = ["its videos or transcripts are others"]
    if differs:
        raise TlbenchError(
            f"{out}: has another drive, for which videos may have been generated: {differs[0]}; choose another --out, "
            "or remove that folder"
        )


def _composed(texts: Mapping[str, str]) -> dict[str, str]:
    """Names in Unicode's form NFC, as those of a drive are when it is read."""
    return {normalize("NFC", name): normalize("NFC", text) for name, text in texts.items()}


def choose_donors(
    clips: Sequence[Clip], lengths: Mapping[str, int], rooms: Mapping[str, int], seed: int
) -> dict[str, str]:
    """The clip whose speech drives each clip in `mismatched`, by id; see :func:`make_drive`.

    Depends on the set of clips and the seed, not on their order.

    Parameters
    ----------
    lengths, rooms : mapping of clip id to int
        Samples of the clip's speech, and how many its video has room for.

    Raises
    ------
    TlbenchError
        If there is no clip with another transcript for a clip.
    """
    shortest_first = sorted(clips, key=lambda clip: (lengths[clip.id], clip.id))
    sorted_lengths = [lengths[clip.id] for clip in shortest_first]
    generator = random.Random(seed)  # only Random.random() gives the same numbers in every version of Python
    chosen = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        fitting = bisect_right(sorted_lengths, rooms[clip.id])
        first = int(generator.random() * fitting)
        tried = [*shortest_first[first:fitting], *shortest_first[:first], *shortest_first[fitting:]]
        donor = next((other for other in tried if other.id != clip.id and not _same_text(clip, other)), None)
        if donor is None:
            raise TlbenchError(
                f"clip {shortened(clip.id)}: there is no other clip with another transcript; choose more clips"
            )
        chosen[clip.id] = donor.id
    return chosen


def _same_text(clip: Clip, other: Clip) -> bool:
    """Whether both say the same words; False if nothing is known of either."""
    own, others = ((found.transcript or found.word or "").lower().split() for found in (clip, other))
    return bool(own) and own == others


def _lengths(clip: Clip) -> tuple[int, int]:
    """Samples of the clip's own speech, and how many its video has room for, at 16 kHz and 25 frames a second."""
    try:
        samples = _speech(clip)
        assert clip.reference is not None  # _speech refuses a clip without one
        frames = sum(len(chunk) for chunk in VideoReader(clip.reference, 0).frames())
    except ClipError as error:
        raise TlbenchError(
            f"clip {shortened(clip.id)} can't drive a generator: {error.message.partition('; ')[0]}; leave it out "
            "(--subset)"
        ) from error
    why = why_silent(samples)
    if why is not None:
        raise TlbenchError(f"clip {shortened(clip.id)} can't drive a generator: {why}; leave it out (--subset)")
    return len(samples), frames * SAMPLES_PER_FRAME


def _speech(clip: Clip) -> np.ndarray:
    """(N,) int16 at 16 kHz. Raises ClipError if there is none."""
    if clip.reference is None:
        raise ClipError("reference-missing", "it has no real video")
    return read_whole_audio(clip.audio or clip.reference)


def _write_sound(path: Path, samples: np.ndarray, length: int) -> str:
    """Write samples, filled up with silence to ``length``, and return the file's SHA-256."""
    padded = np.zeros(length, dtype=np.int16)
    padded[: len(samples)] = samples
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, keep_suffix=True) as temporary:
            write_wav(temporary, padded)
        return file_sha256(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _below(selection: Selection, clip: Clip) -> str:
    """The source video below the data set's folder, ``/``-separated; its name alone if it is elsewhere."""
    assert clip.reference is not None  # _sound_and_frames refuses a clip without one
    if selection.root is not None:
        path = os.path.relpath(os.path.abspath(clip.reference), os.path.abspath(selection.root))
        if not path.startswith(".."):
            return path.replace(os.sep, "/")
    return f"{clip.id}{clip.reference.suffix}"

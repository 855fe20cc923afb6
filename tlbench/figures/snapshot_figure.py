"""A figure of one clip by several systems, with the real video on top: choosing, reading and labelling its frames."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.matching import ClipNames
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.datasets.word_times import word_times
from tlbench.errors import ClipError, TlbenchError, quoted, shortened
from tlbench.figures.figure_files import Width, check_figure, system_names
from tlbench.figures.snapshots import Moment, SnapshotRow, draw_snapshots
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import VideoReader

SNAPSHOTS = 8
SILENCES = ("", "sil", "sp")


def plot_snapshots(
    generated: Sequence[Path],
    dataset: str,
    data_root: Path | None,
    clip: str,
    out: Path,
    *,
    split: str | None = None,
    manifest: Path | None = None,
    names: Sequence[str] = (),
    count: int = SNAPSHOTS,
    begin_seconds: float = 0.0,
    end_seconds: float | None = None,
    at_seconds: Sequence[float] = (),
    labels: bool = True,
    width: Width | None = None,
) -> tuple[str, ...]:
    """Draw one clip by several systems. Rows are the real video and the systems, columns are moments.

    Parameters
    ----------
    generated : sequence of Path
        Folders of systems. The row of a system without the clip, or with a broken file, says so.
    clip : str
        The id of the clip, or another name that fits no other clip.
    out : Path
        A ``.png``, ``.pdf`` or ``.svg``, with fonts inside.
    names : sequence of str
        Names of the systems; the names of the folders if not given.
    count : int
        Number of moments, spread evenly between ``begin_seconds`` and ``end_seconds`` (default: the end of the real
        video).
    at_seconds : sequence of float
        The moments themselves, instead of ``count``, ``begin_seconds`` and ``end_seconds``.
    labels : bool
        Write the phoneme and word above each moment, if the data set has their times.
    width : "column" or "page", optional
        The width of the figure: 3.3 or 6.875 inches; as wide as it needs if not given.

    Returns
    -------
    tuple of str
        What is missing, one line each.

    Raises
    ------
    TlbenchError
        If there is no such clip, it has no real video, or a moment is not in it.
    """
    check_figure(out)
    titles = system_names(generated, names, "folders")
    selections = [
        load_dataset(dataset, data_root, generated=folder, split=split, manifest=manifest) for folder in generated
    ]
    if not selections:
        selections = [load_dataset(dataset, data_root, split=split, manifest=manifest)]
    clip_id = _clip_id(selections[0], clip)
    found = [next(one for one in selection.clips if one.id == clip_id) for selection in selections]
    reference = found[0].reference
    if reference is None:
        raise TlbenchError(
            f"clip {shortened(clip_id)}: has no real video for the first row; choose a data set that has them"
        )
    length_seconds = sum(len(run) for run in VideoReader(reference, 0).frames()) / FRAMES_PER_SECOND
    times = _moments(at_seconds, count, begin_seconds, end_seconds, length_seconds, clip_id)
    numbers = [floor(seconds * FRAMES_PER_SECOND + 1e-6) for seconds in times]
    rows, missing = [SnapshotRow("Ground truth", _frames(reference, numbers))], []
    for name, one in zip(titles, found, strict=False):
        try:
            if one.generated is None:
                raise ClipError("missing", "has no video of this clip")
            rows.append(SnapshotRow(name, _frames(one.generated, numbers)))
        except ClipError as error:
            missing.append(f"{name}: {error}")
            rows.append(SnapshotRow(name, note=error.message[:80]))
    moments = _labelled(selections[0], found[0], times) if labels else [Moment(seconds) for seconds in times]
    said = found[0].transcript or found[0].word or ""
    draw_snapshots(f"{clip_id}   {said}".strip(), moments, rows, out, width)
    return tuple(missing)


def _clip_id(selection: Selection, name: str) -> str:
    """The id of the only clip that a name fits. Raises TlbenchError if none or several fit."""
    found = ClipNames([clip.id for clip in selection.clips], selection.dataset.aliases).find(name)
    if len(found) != 1:
        what = f"could be {found[0]} or {found[1]}; write the whole id" if found else "is not one of its clips"
        raise TlbenchError(f"{selection.dataset.name} split {quoted(selection.split)}: {name} {what} (--clip)")
    return found[0]


def _moments(
    at: Sequence[float], count: int, begin: float, end: float | None, length: float, clip_id: str
) -> list[float]:
    """The given moments, or ``count`` even ones, in seconds. Raises TlbenchError if one is outside the clip."""
    last = length if end is None else end
    times = list(at) or [begin + (last - begin) * (place + 0.5) / count for place in range(count)]
    outside = [seconds for seconds in times if not 0 <= seconds < length]
    if outside or begin >= last:
        what = f"{outside[0]:g} s is outside its" if outside else f"{begin:g} to {last:g} s is no part of its"
        raise TlbenchError(f"clip {shortened(clip_id)}: {what} {length:g} s (--at, --from, --to)")
    return times


def _frames(path: Path, numbers: Sequence[int]) -> tuple[np.ndarray | None, ...]:
    """The frames with these numbers, each (H, W, 3) uint8 RGB; None after the end of the video. Raises ClipError."""
    found: dict[int, np.ndarray] = {}
    for run in VideoReader(path, 0).frames():
        for number in set(numbers).intersection(range(run.start, run.start + len(run))):
            found[number] = run.rgb[number - run.start].copy()
    return tuple(found.get(number) for number in numbers)


def _labelled(selection: Selection, clip: Clip, times: Sequence[float]) -> list[Moment]:
    """The moments with the phoneme and the word spoken at each."""
    spans = selection.spans(clip)
    words = word_times(clip, spans)
    sounds = [span for span in spans if span not in words]
    return [Moment(seconds, _said(sounds, seconds), _said(words, seconds)) for seconds in times]


def _said(spans: Sequence[Span], seconds: float) -> str:
    labels = [span.label for span in spans if span.begin_seconds <= seconds < span.end_seconds]
    return next((label for label in labels if label.lower() not in SILENCES), "")

"""Writing the face boxes of a data set's real videos to files: ``tlbench boxes``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.box_files import write_boxes
from tlbench.media.followed import FOUND
from tlbench.observing.cache import Cache, default_cache
from tlbench.observing.face_boxes import BoxFinder, choose_rule

Count = Callable[[int, int], None]  # clips done, number of clips


@dataclass(frozen=True)
class BoxSummary:
    """The result of :func:`make_boxes`.

    Attributes
    ----------
    source : str
        The rule, as in protocol ids: ``blazeface``, ``s3fd:619a31681264``.
    written : int
        Number of files.
    frames, frames_without_face : int
        Frames without a face have rows of NaN.
    clips_with_several : int
        Clips that show several people; their files have the face of the followed person.
    failures : dict of clip id to ClipError
    """

    source: str
    written: int
    frames: int
    frames_without_face: int
    clips_with_several: int
    failures: dict[str, ClipError]


def make_boxes(
    out: Path,
    dataset: str,
    data_root: Path | None = None,
    *,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    cache: Path | None = None,
    progress: Count | None = None,
) -> BoxSummary:
    """Write ``<out>/<id>.npy`` for each real video of a data set: (T, 4), x1 y1 x2 y2 of each frame.

    The numbers are int64, or float64 with rows of NaN if some frames show no face. The arguments are those of
    :func:`tlbench.score`. Raises TlbenchError if there are no real videos or a file can't be written.
    """
    selection = select_references(dataset, data_root, split, subset, limit, manifest, boxes)
    finder = box_finder(selection, detector, smooth, face, weights, cache)
    written = frames = without_face = several = 0
    failures = {}
    for done, clip in enumerate(selection.clips, start=1):
        try:
            found = finder.of_clip(clip)
        except ClipError as error:
            failures[clip.id] = error
        else:
            path = out / f"{clip.id}.npy"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_boxes(path, found)
            except OSError as error:
                raise TlbenchError(f"{path}: can't be written ({error.strerror}); choose another folder") from error
            written += 1
            frames += len(found)
            without_face += int((found.face.states != FOUND).sum())
            several += found.face.several > 0
        if progress is not None:
            progress(done, len(selection.clips))
    return BoxSummary(finder.rule.identity, written, frames, without_face, several, failures)


def select_references(
    dataset: str,
    data_root: Path | None,
    split: str | None,
    subset: Path | None,
    limit: int | None,
    manifest: Path | None,
    boxes: Path | None,
) -> Selection:
    selection = load_dataset(
        dataset, data_root, split=split, subset=subset, limit=limit, manifest=manifest, boxes=boxes
    )
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{dataset}: has no reference videos to work on")
    return selection


def box_finder(
    selection: Selection,
    detector: str,
    smooth: int,
    face: str,
    weights: Mapping[str, Path] | None,
    cache: Path | None,
) -> BoxFinder:
    rule, _ = choose_rule(selection.fixed_box, detector, smooth, dict(weights or {}), face=face)
    return BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))

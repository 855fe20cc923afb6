"""Writing the face boxes of a data set's real videos to files: ``tlbench boxes``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tlbench.arguments import CountCallback
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.box_files import write_boxes
from tlbench.media.followed import FOUND
from tlbench.observing.cache import Cache, default_cache
from tlbench.observing.face_boxes import BoxFinder
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.owner import owned


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
    data: DataOptions,
    faces: FaceOptions = DEFAULT_FACES,
    *,
    weights: Mapping[str, Path] | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> BoxSummary:
    """Write ``<out>/<id>.npy`` for each real video of a data set: (T, 4), x1 y1 x2 y2 of each frame.

    The numbers are int64, or float64 with rows of NaN if some frames show no face. ``weights`` are checkpoints by name,
    as for :func:`tlbench.score`; ``take_over`` is that of :func:`tlbench.owner.owned`. Raises TlbenchError if there are
    no real videos, another run writes to the folder, or a file can't be written.
    """
    selection = select_references(data)
    finder = box_finder(selection, faces, weights, cache)
    written = frames = without_face = several = 0
    failures = {}
    with owned(out, take_over=take_over):
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


def select_references(data: DataOptions) -> Selection:
    """The clips of a data set. Raises TlbenchError if none has a real video."""
    selection = data.load()
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{data.dataset}: has no reference videos to work on")
    return selection


def box_finder(
    selection: Selection, faces: FaceOptions, weights: Mapping[str, Path] | None, cache: Path | None
) -> BoxFinder:
    """What finds the face boxes of a selection, and keeps them in the cache."""
    rule, _ = faces.rule(selection.fixed_box, weights or {})
    return BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))

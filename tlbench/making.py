"""Files made from reference clips: face boxes, and controls, which are clips with a known fault put in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.controls import CONTROLS, make_controls
from tlbench.datasets.dataset import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.faces import write_boxes
from tlbench.media.followed import FOUND
from tlbench.observing.boxing import BoxFinder, choose_rule
from tlbench.observing.cache import Cache, default_cache

Count = Callable[[int, int], None]  # clips done, clips in all


@dataclass(frozen=True)
class BoxSummary:
    """What :func:`make_boxes` did.

    Attributes
    ----------
    source : str
        The rule, as in protocol ids: ``blazeface``, ``s3fd:619a31681264``.
    written : int
        Files.
    frames, frames_without_face : int
        The latter have rows of NaN.
    clips_with_several : int
        Where several people were found, the files have the face of the one who is followed.
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
    """Write ``<out>/<id>.npy`` for each reference video of a data set: (T, 4), x1 y1 x2 y2 of each frame.

    Whole numbers are written as int64, unless some frames show no face: their rows are NaN, and all are float64.
    The arguments are those of :func:`tlbench.score`. Raises TlbenchError if nothing can be done.
    """
    selection = _references(dataset, data_root, split, subset, limit, manifest, boxes)
    finder = _finder(selection, detector, smooth, face, weights, cache)
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


def write_controls(
    out: Path,
    dataset: str,
    data_root: Path | None = None,
    *,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    kinds: Sequence[str] = ("all",),
    seed: int = 0,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    cache: Path | None = None,
    progress: Count | None = None,
) -> tuple[dict[str, Path], list[tuple[str, str, ClipError]]]:
    """Write controls of a data set's reference videos; see :func:`tlbench.datasets.controls.make_controls`.

    Returns
    -------
    folders : dict of kind to Path
    failures : list of (kind, clip id, ClipError)
    """
    chosen = [known.name for known in CONTROLS] if tuple(kinds) == ("all",) else list(kinds)
    selection = _references(dataset, data_root, split, subset, limit, manifest, boxes)
    finder = _finder(selection, detector, smooth, face, weights, cache)
    failures: list[tuple[str, str, ClipError]] = []

    def remember(clip: Clip, kind: str, error: ClipError) -> None:
        failures.append((kind, clip.id, error))

    folders = make_controls(
        selection.clips,
        out,
        chosen,
        boxes_of=lambda clip: finder.of_clip(clip).face.xyxy,
        boxes_by=finder.decided_by(selection.clips),
        given_boxes=finder.given_sha256(selection.clips),
        seed=seed,
        progress=progress,
        on_failure=remember,
    )
    return folders, failures


def _references(
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


def _finder(
    selection: Selection,
    detector: str,
    smooth: int,
    face: str,
    weights: Mapping[str, Path] | None,
    cache: Path | None,
) -> BoxFinder:
    rule, _ = choose_rule(selection.fixed_box, detector, smooth, dict(weights or {}), face=face)
    return BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))

"""Which face boxes a run uses: given with the clip, fixed by the data set, or detected in the reference video.

Boxes always come from the reference and serve both videos, so that a badly generated face can't move its own crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlbench.errors import ClipError, TlbenchError
from tlbench.media.faces import Boxes, FaceDetector, HaarDetector, find_boxes, fixed_boxes, read_boxes
from tlbench.media.video import Footage
from tlbench.observing.cache import Cache, file_sha256
from tlbench.datasets.clip import Clip


@dataclass(frozen=True)
class BoxRule:
    """How boxes are found where a clip has none of its own.

    Attributes
    ----------
    detector : str
        ``haar`` (embedded), ``s3fd`` (published, needs weights) or ``fixed``.
    weights : Path or None
        S3FD's checkpoint.
    weights_sha256 : str or None
    smooth : int
        Width in frames of a running median over the boxes; 0 for none, as published.
    fixed : tuple of int or None
        x1 y1 x2 y2 of the data set's own box.
    """

    detector: str = "haar"
    weights: Path | None = None
    weights_sha256: str | None = None
    smooth: int = 0
    fixed: tuple[int, int, int, int] | None = None

    @property
    def identity(self) -> str:
        """Short text that decides the boxes besides the video: stands in protocol ids and cache keys."""
        if self.fixed is not None:
            return "fixed:" + ",".join(map(str, self.fixed))
        weights = f":{self.weights_sha256[:12]}" if self.weights_sha256 else ""
        smooth = f"~{self.smooth}" if self.smooth else ""
        return f"{self.detector}{weights}{smooth}"


def load_detector(rule: BoxRule) -> FaceDetector:
    """The detector of a rule. Raises TlbenchError if its weights are missing or do not fit."""
    if rule.detector == "haar":
        return HaarDetector()
    if rule.detector == "s3fd":
        if rule.weights is None:
            raise TlbenchError("detector 's3fd' needs its checkpoint; pass --weights s3fd=FILE, or --detector haar")
        from tlbench.media.s3fd import S3FDDetector
        from tlbench.observing.checkpoints import read_checkpoint

        state, _ = read_checkpoint(rule.weights)
        return S3FDDetector(state)
    raise TlbenchError(f"no detector {rule.detector!r}; there are haar and s3fd")


def boxes_key(clip: Clip, rule: BoxRule, reference_sha256: str | None) -> str:
    """What decides a clip's boxes, for cache keys. Raises ClipError if a given file can't be read."""
    if clip.boxes is not None:
        try:
            return "given:" + file_sha256(clip.boxes)
        except OSError as error:
            raise ClipError("bad-boxes", f"boxes {clip.boxes.name} can't be read ({error.strerror})") from error
    return f"{rule.identity}@{reference_sha256}"

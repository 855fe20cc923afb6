"""How sharp generated frames are: the variance of the Laplacian of the face. No real video is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import CROPS
from tlbench.media.views import View
from tlbench.observing.crop_observer import CropObserver
from tlbench.observing.cropping import CropStream, faces_shown
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs

from .laplacian import laplacian_variance


class _SharpnessClipState(ClipState):
    """The variances of one clip so far."""

    def __init__(self, crop: View) -> None:
        self._crop = CropStream(crop)
        self.frames = 0
        self.cropped = 0
        self.variances: list[float] = []

    def update(self, chunk: ClipChunk) -> None:
        frames = chunk.generated
        if frames is None:
            return
        pictures = self._crop.pictures(frames, chunk.boxes)
        self.frames += len(frames)
        self.cropped += len(pictures)
        shown = faces_shown(frames, self.clip_boxes if self._crop.by_box else None)[: len(pictures)]
        self.variances += [laplacian_variance(picture) for picture in pictures[shown]]


class Sharpness(CropObserver):
    """The variance of the Laplacian in each generated frame that shows the face.

    Evidence
    --------
    frames : int
        Of the generated video.
    laplacian_variance : (shown,) float64
        In squared grey levels; of the frames that show the followed face, or of all if the view is the whole frame.
    """

    name: ClassVar[str] = "sharpness"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(boxes=True, framing=True)
    default_view: ClassVar[str] = "face-256"

    def __init__(self, crop: View) -> None:
        self._crop = crop

    @classmethod
    def load(
        cls,
        weights: Path | None,
        views: Sequence[str],
        device: str,
        modes: Sequence[str] = (),
        *,
        half: bool = False,
        packed: bool = False,
    ) -> Sharpness:
        return cls(CROPS[views[0]])

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _SharpnessClipState(self._crop)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _SharpnessClipState)]

    def _compute(self, state: _SharpnessClipState) -> Evidence | ClipError:
        if not state.frames:
            return ClipError("no-frames", "the generated video has no frame; check the file")
        if not state.cropped:
            return ClipError("boxes-too-short", "no face box for any frame; give one for each frame of the reference")
        variances = np.array(state.variances, dtype=np.float64)
        return Evidence(self.name, {"frames": state.frames, "laplacian_variance": variances})

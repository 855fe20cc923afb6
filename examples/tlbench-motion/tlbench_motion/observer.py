"""Sees how much the lower half of the face moves from frame to frame, in the generated and in the real video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import CropBox, Grey, Resize, View, open_view
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer

SIDE = 48  # pixels: noise of the codec is averaged away, the opening of a mouth is not
# The first box of the reference cuts all frames of both videos. Boxes that follow the face jitter, and a crop that
# jitters makes the same motion in both: a still picture would then seem to move with the real one.
VIEW = View("motion-first-box-48", 1, (CropBox("face"), Resize(SIDE, SIDE), Grey("opencv")))


class _MotionClipState(ClipState):
    """Keeps the last picture of each video and one number a step from frame to frame."""

    def __init__(self) -> None:
        self._boxes: dict[str, np.ndarray] = {}  # (4,) int64 by video, which may differ in size
        self._last: dict[str, np.ndarray] = {}  # (SIDE / 2, SIDE) float32 by video
        self.steps: dict[str, list[float]] = {"generated": [], "reference": []}

    def update(self, chunk: ClipChunk) -> None:
        generated, reference = chunk.generated, chunk.reference
        if generated is None or reference is None:
            return  # what only one video has can't be compared
        if not self._boxes:
            boxes, own = chunk.boxes, chunk.boxes_in_reference
            if boxes is None or own is None or not len(boxes):
                raise ClipError("boxes-too-short", "motion needs a face box for the first frame; give one")
            self._boxes = {"generated": boxes[0], "reference": own[0]}
        count = min(len(generated), len(reference))
        for name, frames in (("generated", generated), ("reference", reference)):
            shown = FrameChunk(frames.start, frames.native[:count])
            seen = open_view(VIEW).apply(shown, np.tile(self._boxes[name], (count, 1)))  # (count, SIDE, SIDE) uint8
            for picture in seen[:, SIDE // 2 :].astype(np.float32):
                # The first picture of this chunk is compared with the last one of the chunk before.
                if name in self._last:
                    self.steps[name].append(float(np.abs(picture - self._last[name]).mean()))
                self._last[name] = picture


class Motion(Observer):
    """How much the mouth moves.

    Evidence
    --------
    generated, reference : (frames - 1,) float64
        Mean absolute difference, in grey levels, of the lower half of the face between each frame and the next.
    """

    name: ClassVar[str] = "motion"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True)
    views: ClassVar[dict[str, str]] = {"lower-face": VIEW.id}

    @classmethod
    def load(
        cls, weights: Path | None, views: Sequence[str], device: str, modes: Sequence[str] = (), *, half: bool = False
    ) -> Motion:
        return cls()

    @classmethod
    def recipe(cls, view: str) -> View:
        """What a contact sheet shows."""
        return VIEW

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _MotionClipState()

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _MotionClipState)]

    def _compute(self, state: _MotionClipState) -> Evidence | ClipError:
        if len(state.steps["generated"]) < 2:
            return ClipError("too-short", "motion needs three frames that both videos have; look at the files")
        return Evidence(self.name, {name: np.array(steps) for name, steps in state.steps.items()})

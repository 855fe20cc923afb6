"""How far the mouth is open in generated and real frames, at the place of the real video's face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.faces import Boxes
from tlbench.media.video_reader import FrameChunk
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer

from .opening import MouthOpening

NOT_SEEN = -1.0  # in an array of gaps, which are 0 or more: the mesh sees no face


class _MouthClipState(ClipState):
    """The gaps of one clip so far."""

    def __init__(self, opening: MouthOpening) -> None:
        self._opening = opening
        self.generated: list[float] = []
        self.reference: list[float] = []

    def update(self, chunk: ClipChunk) -> None:
        real_boxes = self.clip_reference_boxes or self.clip_boxes
        self.generated += self._gaps(chunk.generated, chunk.boxes, self.clip_boxes)
        self.reference += self._gaps(chunk.reference, chunk.boxes_in_reference, real_boxes)

    def _gaps(self, frames: FrameChunk | None, rows: np.ndarray | None, boxes: Boxes | None) -> list[float]:
        """The gap in each frame: of the followed face if the clip's boxes are known, else of the best one."""
        if frames is None:
            return []
        there = np.ones(len(frames), dtype=bool)
        if boxes is not None:
            own = slice(frames.start, frames.start + len(frames))
            rows, there = boxes.face.xyxy[own], boxes.face.there[own]
        found = []
        for number, frame in enumerate(frames.rgb):
            known = rows is not None and number < len(rows) and number < len(there) and bool(there[number])
            gap = self._opening(frame, rows[number]) if known and rows is not None else None
            found.append(NOT_SEEN if gap is None else gap)
        return found


class Mouth(Observer):
    """How far the mouth is open in each frame of both videos.

    Evidence
    --------
    frames : int
        As many frames as both videos have.
    gap, reference_gap : (frames,) float64
        The gap of the inner lips over the width of the mouth, of the generated and of the real video; -1 where no face
        is seen.
    """

    name: ClassVar[str] = "mouth"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True)
    views: ClassVar[dict[str, str]] = {"mesh": "face-mesh@1"}
    default_view: ClassVar[str] = "mesh"

    def __init__(self) -> None:
        self._opening = MouthOpening()

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
    ) -> Mouth:
        return cls()

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _MouthClipState(self._opening)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _MouthClipState)]

    def _compute(self, state: _MouthClipState) -> Evidence | ClipError:
        frames = min(len(state.generated), len(state.reference))
        if not frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        gap, reference_gap = (np.array(gaps[:frames]) for gaps in (state.generated, state.reference))
        return Evidence(self.name, {"frames": frames, "gap": gap, "reference_gap": reference_gap})

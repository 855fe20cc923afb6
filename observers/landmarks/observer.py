"""Landmark distance (LMD): how far the points of the generated face are from those of the real one, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import FACE_256, MARGIN, SIDE
from tlbench.media.dlib_models import lacking_dlib
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import ResizeAntialiased, View
from tlbench.observing.cropping import CropStream, faces_shown, first_frames
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer

from .distance import LandmarkDistance, landmark_distance
from .points import MeshPoints, PointFinder, Points68

_WHOLE_256 = (ResizeAntialiased(SIDE, SIDE),)
_INNER = SIDE * MARGIN / (1 + 2 * MARGIN)  # where the face's square begins in `face-256`


@dataclass(frozen=True)
class LandmarkView:
    """In which picture points are found, and whether by dlib's predictor instead of the mesh."""

    picture: View
    by_dlib: bool = False

    def finder(self) -> PointFinder:
        """Raises TlbenchError for dlib's points without the extra ``landmarks``."""
        return Points68(of_crop=self.picture.frames_face) if self.by_dlib else MeshPoints()


VIEWS = {
    "mesh": LandmarkView(View("face-256-mesh", 1, FACE_256.steps)),
    "dlib68": LandmarkView(View("face-256-dlib68", 1, FACE_256.steps), by_dlib=True),
    "whole-mesh": LandmarkView(View("whole-frame-256-mesh", 1, _WHOLE_256)),
    "whole-dlib68": LandmarkView(View("whole-frame-256-dlib68", 1, _WHOLE_256), by_dlib=True),
}


class _LandmarksClipState(ClipState):
    """The distances of one clip so far."""

    def __init__(self, view: LandmarkView, finder: PointFinder) -> None:
        self._framed = view.picture.frames_face
        self._finder = finder
        self._streams = [CropStream(view.picture), CropStream(view.picture)]
        self.frames = 0
        self.reference_seen = 0
        self.distances: list[LandmarkDistance] = []

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is None or chunk.reference is None:
            return  # as many frames are compared as both videos have
        count = min(len(chunk.generated), len(chunk.reference))
        generated, reference = first_frames(chunk.generated, count), first_frames(chunk.reference, count)
        self.frames += count
        real_boxes = self.clip_reference_boxes or self.clip_boxes
        rows, real_rows = chunk.boxes, chunk.boxes_in_reference
        if rows is None or real_rows is None:
            return
        seen = self._streams[0].pictures(generated, rows)
        real = self._streams[1].pictures(reference, real_rows)
        placed, real_placed = self._in_pictures(generated, rows), self._in_pictures(reference, real_rows)
        shown = faces_shown(reference, self.clip_boxes, real_boxes)
        for number in np.flatnonzero(shown[: min(len(seen), len(real), len(placed), len(real_placed))]):
            real_points = self._finder(real[number], real_placed[number])
            if real_points is None:
                continue
            self.reference_seen += 1
            points = self._finder(seen[number], placed[number])
            if points is None:
                continue
            found = landmark_distance(points, real_points, self._finder.mouth, self._finder.eyes)
            if found is not None:
                self.distances.append(found)

    def _in_pictures(self, frames: FrameChunk, rows: np.ndarray) -> np.ndarray:
        """(k, 4) float64: the boxes (k, 4) of the frame, in pixels of the pictures."""
        if self._framed:
            return np.tile(np.array([_INNER, _INNER, SIDE - _INNER, SIDE - _INNER]), (len(rows), 1))
        height, width = frames.rgb.shape[1:3]
        return np.asarray(rows * (SIDE / np.array([width, height, width, height])))


class Landmarks(Observer):
    """The landmark distance in each frame in which both faces are seen.

    Evidence
    --------
    frames : int
        As many frames as both videos have.
    reference_seen : int
        The frames in which landmarks are found in the real face.
    face_px, mouth_px : (seen,) float64
        Mean distance of all points and of those of the lips, in pixels of a picture of 256x256, of the frames in which
        landmarks are found in both faces.
    face_shape, mouth_shape : (seen,) float64
        The same once the means of both sets are in one place, over the distance between the real outer eye corners.
    """

    name: ClassVar[str] = "landmarks"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True, framing=True)
    views: ClassVar[dict[str, str]] = {name: view.picture.id for name, view in VIEWS.items()}
    default_view: ClassVar[str] = "mesh"

    def __init__(self, view: LandmarkView) -> None:
        self._view = view
        self._finder = view.finder()

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """Smoothed boxes only for a view that frames the face by them."""
        return replace(cls.needs, framing=VIEWS[views[0]].picture.frames_face)

    @classmethod
    def lacking(cls, views: Sequence[str]) -> str:
        """The extra ``landmarks``, for the views of 68 points."""
        return lacking_dlib() if VIEWS[views[0]].by_dlib else ""

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
    ) -> Landmarks:
        """Build it. Raises TlbenchError for 68 points without the extra ``landmarks``."""
        return cls(VIEWS[views[0]])

    @classmethod
    def recipe(cls, view: str) -> View | None:
        """The steps of a view that cuts the face; None for the whole frame, which has no part that could be wrong."""
        picture = VIEWS[view].picture
        return picture if picture.frames_face else None

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _LandmarksClipState(self._view, self._finder)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _LandmarksClipState)]

    def _compute(self, state: _LandmarksClipState) -> Evidence | ClipError:
        if not state.frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        rows = np.array(state.distances, dtype=np.float64).reshape(-1, len(LandmarkDistance._fields))
        return Evidence(
            self.name,
            {
                "frames": state.frames,
                "reference_seen": state.reference_seen,
                **dict(zip(LandmarkDistance._fields, np.ascontiguousarray(rows.T), strict=True)),
            },
        )

"""Landmark distance (LMD): how far the points of the generated face are from those of the real one, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import FACE_256, SIDE
from tlbench.media.dlib_models import lacking_dlib
from tlbench.media.views import ResizeAntialiased, View
from tlbench.observing.cropping import CropStream, boxes_in, faces_shown, first_frames
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer
from tlbench.observing.real_frames import RealFrames

from .distance import LandmarkDistance, landmark_distance
from .points import MeshPoints, PointFinder, Points68

_WHOLE_256 = (ResizeAntialiased(SIDE, SIDE),)


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
        self._picture = view.picture
        self._finder = finder
        self._real_points: RealFrames | None = None
        self._streams = [CropStream(view.picture), CropStream(view.picture)]
        self.frames = 0
        self.reference_seen = 0
        self.distances: list[LandmarkDistance] = []

    def real_points(self) -> RealFrames:
        """The points of the real face: those that a run of another system has found, and this clip's."""
        if self._real_points is None:
            self._real_points = RealFrames(self._look, "points", self._finder.no_points(), self.of_reference)
        return self._real_points

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
        placed = boxes_in(seen, generated, rows, self._picture)
        real_placed = boxes_in(real, reference, real_rows, self._picture)
        shown = faces_shown(reference, self.clip_boxes, real_boxes)
        compared = np.flatnonzero(shown[: min(len(seen), len(real), len(placed), len(real_placed))])
        wanted = self.real_points().of_frames(reference.start + compared, real[compared], real_placed[compared])
        for number, real_points in zip(compared, wanted, strict=True):
            if real_points is None:
                continue
            self.reference_seen += 1
            points = self._finder(seen[number], placed[number])
            if points is None:
                continue
            found = landmark_distance(points, real_points, self._finder.mouth, self._finder.eyes)
            if found is not None:
                self.distances.append(found)

    def _look(self, pictures: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [self._finder(picture, box) for picture, box in zip(pictures, boxes, strict=True)]
        points = [one for one in found if one is not None]
        return np.array([one is not None for one in found]), np.array(points or self._finder.no_points())


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
    shares_reference: ClassVar[bool] = True

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
        state.of_reference = state.real_points().evidence(self.name)
        rows = np.array(state.distances, dtype=np.float64).reshape(-1, len(LandmarkDistance._fields))
        return Evidence(
            self.name,
            {
                "frames": state.frames,
                "reference_seen": state.reference_seen,
                **dict(zip(LandmarkDistance._fields, np.ascontiguousarray(rows.T), strict=True)),
            },
        )

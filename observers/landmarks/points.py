"""The points of a face in one picture of 256x256, by the embedded face mesh or by dlib's 68-point predictor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from tlbench.media.face_mesh import INNER_LIPS, LEFT_EYE, OUTER_LIPS, POINTS, RIGHT_EYE, FaceMesh
from tlbench.media.landmarks import LandmarkFinder
from tlbench.media.mesh_in_box import mesh_in_box


class PointFinder(ABC):
    """Finds the points of a face in pictures one by one.

    Attributes
    ----------
    count : int
        Number of points.
    mouth : tuple of int
        Which of the points are the lips.
    eyes : (int, int)
        The outer corners of both eyes, whose distance 300-W's normalised error divides by (Sagonas et al. 2013).
    """

    count: ClassVar[int]
    mouth: ClassVar[tuple[int, ...]]
    eyes: ClassVar[tuple[int, int]]

    def no_points(self) -> np.ndarray:
        """(0, points, 2) float64: the points of no face."""
        return np.empty((0, self.count, 2))

    @abstractmethod
    def __call__(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        """(points, 2) float64 x y in pixels of the picture; None if no face is seen.

        Parameters
        ----------
        picture : (H, W, 3) uint8 RGB
        box : (4,) float64
            The face box x1 y1 x2 y2, in pixels of the picture.
        """


class MeshPoints(PointFinder):
    """The 468 points of the embedded face mesh, placed by the box."""

    count = POINTS
    mouth = OUTER_LIPS + INNER_LIPS
    eyes = (RIGHT_EYE[0], LEFT_EYE[0])

    def __init__(self) -> None:
        self._mesh = FaceMesh()

    def __call__(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        mesh = mesh_in_box(self._mesh, picture, box)
        return None if mesh is None else mesh.points[:, :2]


class Points68(PointFinder):
    """The 68 points of dlib's predictor, in the face that its detector likes best in the picture.

    Papers find them so: the box is not used, as the predictor was trained on boxes of dlib's own detector.
    """

    count = 68
    mouth = tuple(range(48, 68))
    eyes = (36, 45)

    def __init__(self, *, of_crop: bool) -> None:
        """``of_crop``: the pictures are crops of a face, in which it is large enough for the detector as it is."""
        self._find = LandmarkFinder(0) if of_crop else LandmarkFinder()

    def __call__(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        points = self._find(picture)
        return None if np.isnan(points).any() else points

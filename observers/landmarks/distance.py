"""The distance between the landmarks of two faces: in pixels, or of their shapes in distances between the eyes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class LandmarkDistance(NamedTuple):
    """Mean distances between the points of a generated and a real face."""

    face_px: float  # of all points, where they are in the picture
    mouth_px: float  # of the lips
    face_shape: float  # of all points once both means are in one place, over the real distance between the eyes
    mouth_shape: float  # of the lips once both means of the lips are in one place, over the same


def landmark_distance(
    generated: np.ndarray, real: np.ndarray, mouth: Sequence[int], eyes: tuple[int, int]
) -> LandmarkDistance | None:
    """The distances; None if the real face has no distance between its eyes.

    Chen et al. (ECCV 2018) define LMD as the mean Euclidean distance between the landmarks of the lips, after moving
    both sets to one mean. Many later tables leave the move out, and so have the head's place in the number.

    Parameters
    ----------
    generated, real : (points, 2) float64
        x y in pixels of pictures of one size.
    mouth : sequence of int
        Which points are the lips.
    eyes : (int, int)
        The outer corners of the eyes.
    """
    apart = float(np.linalg.norm(real[eyes[0]] - real[eyes[1]]))
    if apart == 0:
        return None
    lips = list(mouth)
    return LandmarkDistance(
        _mean_distance(generated, real),
        _mean_distance(generated[lips], real[lips]),
        _mean_distance(_centred(generated), _centred(real)) / apart,
        _mean_distance(_centred(generated[lips]), _centred(real[lips])) / apart,
    )


def _mean_distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other, axis=1).mean())


def _centred(points: np.ndarray) -> np.ndarray:
    return np.asarray(points - points.mean(axis=0))

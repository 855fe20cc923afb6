"""ArcFace's aligned face: five points of the embedded face mesh, moved to those that the network was trained with.

insightface (``python-package/insightface/utils/face_align.py``, ``arcface_dst`` and ``norm_crop``) maps both eyes, the
tip of the nose and the corners of the mouth to fixed places of 112x112 pixels by the similarity with the least squared
error, bilinearly, black outside the picture. Its points come from the detector SCRFD; ours from the mesh.
"""

from __future__ import annotations

import cv2
import numpy as np

from tlbench.media.face_mesh import LEFT_CORNER, LEFT_EYE, NOSE_TIP, RIGHT_CORNER, RIGHT_EYE
from tlbench.media.mouth_patch import similarity

from .dims import SIDE

PLACES = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)  # of the person's right and left eye, nose tip, right and left corner of the mouth


def five_points(mesh: np.ndarray) -> np.ndarray:
    """(5, 2) float64 x y of a mesh (468, 3), in the order of :data:`PLACES`; an eye is between its corners."""
    flat = mesh[:, :2]
    eyes = [flat[list(corners)].mean(axis=0) for corners in (RIGHT_EYE, LEFT_EYE)]
    return np.stack([*eyes, flat[NOSE_TIP], flat[RIGHT_CORNER], flat[LEFT_CORNER]])


def aligned_face(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(112, 112, 3) uint8 of a picture (H, W, 3) uint8, by its five points.

    Raises ClipError if all points are one.
    """
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(picture), similarity(points, PLACES), (SIDE, SIDE)))

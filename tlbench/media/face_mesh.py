"""The face mesh: 468 points of a face, and the lips, mouth opening and head turn computed from them.

The network is ``face_landmark.tflite`` of MediaPipe 0.10.21 (Kartynnik et al., arXiv:1907.06724), bundled as published
under Apache-2.0 and run by ``cv2.dnn`` (bit for bit the same in 4.11 and newer on one processor). The crop and the
decoding follow MediaPipe: ``modules/face_landmark/face_detection_front_detection_to_roi.pbtxt`` and
``face_landmark_landmarks_to_roi.pbtxt`` (a square 1.5 times as wide as the face, rotated until the eyes are level) and
``face_landmark_cpu.pbtxt`` (192x192 pixels from 0 to 1; a face if the sigmoid of the flag is above 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tlbench.media.bundled_model import BundledModel

FACE_LANDMARK = BundledModel("face_landmark.tflite", "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814")
INPUT_PX = 192
POINTS = 468
CROP = 1.5  # side of the crop over the side of the face
FLAG_MIN = 0.5

# Indices: mediapipe/python/solutions/face_mesh_connections.py, FACEMESH_LIPS, from the person's right corner along
# the upper lip to the left one and back along the lower.
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
# Middles of the inner lips, nose tip, eye corners (outer, inner) and cheeks: mediapipe/modules/face_geometry/data/
# canonical_face_model_uv_visualization.png. Right and left are the person's own.
UPPER_LIP, LOWER_LIP = 13, 14
RIGHT_CORNER, LEFT_CORNER = 61, 291  # of the outer lips
NOSE_TIP = 1
RIGHT_EYE, LEFT_EYE = (33, 133), (263, 362)
RIGHT_CHEEK, LEFT_CHEEK = 234, 454


@dataclass(frozen=True)
class Mesh:
    """The points of one face.

    Attributes
    ----------
    points : ndarray
        (468, 3) float64: x and y in pixels of the frame, z in pixels, smaller when nearer to the camera.
    flag : float
        Confidence that there is a face, 0 to 1.
    """

    points: np.ndarray
    flag: float

    @property
    def is_face(self) -> bool:
        """Whether the flag is above 0.5."""
        return self.flag > FLAG_MIN


class FaceMesh:
    """The network. It keeps no state between calls, so it can be used for any number of videos."""

    def __init__(self) -> None:
        self._network = FACE_LANDMARK.load()

    def find(self, frame: np.ndarray, square: np.ndarray, right_eye: np.ndarray, left_eye: np.ndarray) -> Mesh:
        """The points of a face that a detector found.

        Parameters
        ----------
        frame : ndarray
            (H, W, 3) uint8 RGB.
        square : ndarray
            (4,) x1 y1 x2 y2: the face from brows to chin, BlazeFace's box (`tlbench.media.blazeface.Face`).
        right_eye, left_eye : ndarray
            (2,) x y, the person's own right and left.
        """
        middle = (square[:2] + square[2:]) / 2
        return self._look(frame, middle, float((square[2:] - square[:2]).max()), right_eye, left_eye)

    def follow(self, frame: np.ndarray, before: Mesh) -> Mesh:
        """The points of the same face in the next frame. No detector is needed while `Mesh.is_face` is true."""
        flat = before.points[:, :2]
        upper_left, lower_right = flat.min(axis=0), flat.max(axis=0)
        side = float((lower_right - upper_left).max())
        return self._look(frame, (upper_left + lower_right) / 2, side, flat[RIGHT_EYE[0]], flat[LEFT_EYE[0]])

    def _look(
        self, frame: np.ndarray, middle: np.ndarray, side: float, right_eye: np.ndarray, left_eye: np.ndarray
    ) -> Mesh:
        across, down = (float(way) for way in np.asarray(left_eye, dtype=np.float64) - right_eye)
        angle, step = math.atan2(down, across), side * CROP / INPUT_PX  # step: pixels of the frame a pixel of the crop
        turn = step * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        corner = np.asarray(middle, dtype=np.float64) - turn.sum(axis=1) * (INPUT_PX / 2)
        crop = cv2.warpAffine(
            np.ascontiguousarray(frame),
            np.concatenate([turn, corner[:, None]], axis=1),
            (INPUT_PX, INPUT_PX),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        self._network.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
        numbers, flag = self._network.forward(["conv2d_21", "conv2d_31"])
        seen = numbers.reshape(POINTS, 3).astype(np.float64)
        flat = seen[:, :1] * turn[:, 0] + seen[:, 1:2] * turn[:, 1] + corner  # not a matrix product: same in any NumPy
        points = np.concatenate([flat, seen[:, 2:] * step], axis=1)
        return Mesh(points, 1 / (1 + math.exp(-float(np.clip(flag.reshape(-1)[0], -100, 100)))))


def lips(points: np.ndarray) -> np.ndarray:
    """(40, 2) float64 x y in pixels of the frame: 20 points of the outer edge of the lips, then 20 of the inner.

    Each ring begins at the person's right corner of the mouth and follows the upper lip first.
    """
    ring: np.ndarray = points[list(OUTER_LIPS + INNER_LIPS), :2]
    return ring


def mouth_opening(points: np.ndarray) -> float:
    """The distance between the lips at the middle, over the distance between the centres of the eyes.

    Both are measured in x, y and z, so that turning the head does not change it.
    """
    right, left = (points[list(corners)].mean(axis=0) for corners in (RIGHT_EYE, LEFT_EYE))
    apart = float(np.linalg.norm(left - right))
    return float(np.linalg.norm(points[LOWER_LIP] - points[UPPER_LIP])) / apart if apart > 0 else 0.0


def lip_gap(points: np.ndarray) -> float:
    """The distance between the inner lips at the middle, over the distance between the corners of the mouth.

    Both are measured in x, y and z. 0 is a closed mouth; 0 too if the corners coincide.
    """
    width = float(np.linalg.norm(points[LEFT_CORNER] - points[RIGHT_CORNER]))
    return float(np.linalg.norm(points[LOWER_LIP] - points[UPPER_LIP])) / width if width > 0 else 0.0


def head_turn_degrees(points: np.ndarray) -> float:
    """The yaw of the head: 0 is frontal, positive is towards the right edge of the picture.

    The angle between the line from cheek to cheek and the picture plane.
    """
    across, down, away = points[LEFT_CHEEK] - points[RIGHT_CHEEK]
    return math.degrees(math.atan2(float(away), math.hypot(float(across), float(down))))

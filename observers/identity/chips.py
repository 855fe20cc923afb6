"""dlib's aligned face of one picture: detector, five points, a chip of 150x150 pixels.

The steps and their settings are those of dlib's own example (davisking/dlib ``python_examples/face_recognition.py``):
a chip with a quarter of it as margin, no jitter. The predictor is davisking/dlib-models', in the public domain (CC0).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from tlbench.media.dlib_detector import UPSAMPLED_BELOW_PX, DlibDetector
from tlbench.media.dlib_models import published_model

PREDICTOR = "shape_predictor_5_face_landmarks.dat"
PREDICTOR_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
CHIP_PX, CHIP_MARGIN = 150, 0.25


class FaceChips:
    """Cuts the best face out of pictures one by one.

    Raises TlbenchError if dlib or its predictor is not installed, or the predictor is not the published one.
    ``of_crop``: the pictures are crops of a face, in which it is large enough for the detector as it is.
    """

    def __init__(self, *, of_crop: bool) -> None:
        below = 0 if of_crop else UPSAMPLED_BELOW_PX
        self._detect = DlibDetector("faces are recognised", upsampled_below_px=below)
        self._dlib = import_module("dlib")
        self._predict = _predictor()

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(150, 150, 3) uint8 RGB; None if no face is found. ``picture`` is (H, W, 3) uint8 RGB."""
        picture = np.ascontiguousarray(picture)
        face = self._detect(picture)
        if face is None:
            return None
        points = self._predict(picture, face)
        return np.asarray(self._dlib.get_face_chip(picture, points, size=CHIP_PX, padding=CHIP_MARGIN))


@cache  # 9 MB
def _predictor() -> Any:
    path = published_model(PREDICTOR, PREDICTOR_SHA256, "faces are recognised by models which")
    return import_module("dlib").shape_predictor(str(path))

"""dlib's face embedding of one picture: detector, five points, aligned face of 150x150, ResNet of 29 layers.

The steps and their settings are those of dlib's own example (davisking/dlib ``python_examples/face_recognition.py``):
a chip of 150 pixels with a quarter of it as margin, no jitter. Network and predictor are davisking/dlib-models', both
in the public domain (CC0). The network was trained so that two faces of one person are less than 0.6 apart.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from tlbench.media.dlib_detector import UPSAMPLED_BELOW_PX, DlibDetector
from tlbench.media.dlib_models import published_model

NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
NETWORK_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
PREDICTOR = "shape_predictor_5_face_landmarks.dat"
PREDICTOR_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
CHIP_PX, CHIP_MARGIN = 150, 0.25
DIMENSIONS = 128


class FaceEmbedding:
    """Embeds the best face of pictures one by one.

    Raises TlbenchError if dlib or a model is not installed, or a model is not the published one. ``of_crop``: the
    pictures are crops of a face, in which it is large enough for the detector as it is.
    """

    def __init__(self, *, of_crop: bool) -> None:
        below = 0 if of_crop else UPSAMPLED_BELOW_PX
        self._detect = DlibDetector("faces are recognised", upsampled_below_px=below)
        self._dlib, self._predict, self._network = _models()

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(128,) float64, not normalised; None if no face is found. ``picture`` is (H, W, 3) uint8 RGB."""
        picture = np.ascontiguousarray(picture)
        face = self._detect(picture)
        if face is None:
            return None
        chip = self._dlib.get_face_chip(picture, self._predict(picture, face), size=CHIP_PX, padding=CHIP_MARGIN)
        return np.array(self._network.compute_face_descriptor(chip), dtype=np.float64)


@cache  # 30 MB
def _models() -> tuple[Any, Any, Any]:
    dlib = import_module("dlib")
    predictor = published_model(PREDICTOR, PREDICTOR_SHA256, "faces are recognised by models which")
    network = published_model(NETWORK, NETWORK_SHA256, "faces are recognised by models which")
    return dlib, dlib.shape_predictor(str(predictor)), dlib.face_recognition_model_v1(str(network))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine of the angle between two embeddings, -1 to 1."""
    both = float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))
    return min(1.0, max(-1.0, both))

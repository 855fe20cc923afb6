"""dlib's HOG face detector, which comes with the extra ``landmarks`` and needs no file of a model."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.media.dlib_models import INSTALL

UPSAMPLED_BELOW_PX = 480  # shorter side of the frame; dlib finds faces of 80 pixels or more, 40 in a doubled frame


class DlibDetector:
    """Finds the best face of one picture.

    Raises TlbenchError if dlib is not installed; ``purpose`` and ``other_way`` are for its message. Pictures whose
    shorter side is below ``upsampled_below_px`` are doubled, which takes four times as long; 0 for crops of a face,
    which is large in them (none of 96 faces of GRID and of the tests, half of them blurred, was missed without).
    """

    def __init__(self, purpose: str, other_way: str = "", upsampled_below_px: int = UPSAMPLED_BELOW_PX) -> None:
        try:
            dlib = import_module("dlib")
        except ImportError as error:
            ways = ", ".join(filter(None, (INSTALL, other_way)))
            raise TlbenchError(f"{purpose} by dlib, which is not installed; {ways}") from error
        self._detect = dlib.get_frontal_face_detector()
        self._upsampled_below_px = upsampled_below_px

    def __call__(self, picture: np.ndarray) -> Any:
        """dlib's rectangle of the face with the highest score; None if no face is found.

        ``picture`` is (H, W) or (H, W, 3) uint8.
        """
        faces = self._detect(picture, 1 if min(picture.shape[:2]) < self._upsampled_below_px else 0)
        return faces[0] if len(faces) else None  # best first

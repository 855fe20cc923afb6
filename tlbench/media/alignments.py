"""The ways to align mouths, by name: from which points, to which mean face, and how the patch is cut.

Each way makes placements, one for each frame: :mod:`tlbench.media.mouth_patch` (AV-HuBERT's preparation) or
:mod:`tlbench.media.robust_patch` (auto_avsr's).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlbench.media import mouth_patch, robust_patch
from tlbench.media.mean_face import mean_face
from tlbench.media.mouth_patch import PATCH_PX

AVHUBERT_OWN = "avhubert-own"
AVHUBERT_20WORDS = "avhubert-20words"
AUTOAVSR_RETINAFACE = "autoavsr-retinaface"
AUTOAVSR_MEDIAPIPE = "autoavsr-mediapipe"


@dataclass(frozen=True)
class Alignment:
    """One way.

    Attributes
    ----------
    points : "landmarks" or "face-points"
        68 landmarks, or the embedded detector's eyes, nose tip and mouth centre.
    placements : callable
        (T, n, 2) points to (T, 2, 3) or (T, 2, 4) placements. Raises ClipError if they can't be aligned.
    warp : callable
        (H, W, 3) uint8 frame and its placement to the (96, 96, 3) uint8 patch.
    columns : int
        Of a placement, 3 or 4.
    """

    points: Literal["landmarks", "face-points"]
    placements: Callable[[np.ndarray], np.ndarray]
    warp: Callable[[np.ndarray, np.ndarray], np.ndarray]
    columns: int


def _to_20words(landmarks: np.ndarray) -> np.ndarray:
    return mouth_patch.placements(landmarks, mean_face()[list(mouth_patch.STABLE)])


ALIGNMENTS = {
    AVHUBERT_OWN: Alignment("landmarks", mouth_patch.placements, mouth_patch.warp, 3),
    AVHUBERT_20WORDS: Alignment("landmarks", _to_20words, mouth_patch.warp, 3),
    AUTOAVSR_RETINAFACE: Alignment("landmarks", robust_patch.placements_by_landmarks, robust_patch.warp_robust, 4),
    AUTOAVSR_MEDIAPIPE: Alignment("face-points", robust_patch.placements_by_four_points, robust_patch.warp_robust, 4),
}


def whole_picture(alignment: str, side: int) -> np.ndarray:
    """A placement, (2, 3) or (2, 4), by which a square picture of ``side`` pixels is scaled to the patch."""
    scaled = np.zeros((2, ALIGNMENTS[alignment].columns))
    scaled[:, :2] = np.eye(2) * (PATCH_PX / side)
    return scaled

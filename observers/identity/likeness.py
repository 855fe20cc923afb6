"""How alike two face embeddings are."""

from __future__ import annotations

import numpy as np

DIMENSIONS = 128  # of dlib's embedding


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine of the angle between two embeddings (d,), -1 to 1, computed in float64.

    NaN if one of them is 0 or not finite, as a network of damaged weights gives.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        both = np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.clip(both, -1, 1))

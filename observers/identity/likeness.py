"""How alike two face embeddings are."""

from __future__ import annotations

import numpy as np

DIMENSIONS = 128  # of dlib's embedding


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine of the angle between two embeddings (d,), -1 to 1, computed in float64."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    both = float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))
    return min(1.0, max(-1.0, both))

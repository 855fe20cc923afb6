"""Arrays with one row a frame: boxes, landmarks, maps."""

from __future__ import annotations

import numpy as np


def repeat_last(rows: np.ndarray, start: int, end: int) -> np.ndarray:
    """Rows ``start`` to ``end`` (exclusive); frames beyond the last row get the last row.

    A video may have a few frames more than its boxes: the face is then taken to stay where it was.
    """
    return rows[np.minimum(np.arange(start, end), len(rows) - 1)]

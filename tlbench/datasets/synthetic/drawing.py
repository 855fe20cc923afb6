"""Drawing shapes with subpixel accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np

Color: TypeAlias = Sequence[float] | np.ndarray  # RGB, 0 to 255; one number for a mask

_SHIFT = 4  # fractional bits of OpenCV's coordinates


def fill(image: np.ndarray, points: np.ndarray, color: Color) -> None:
    """Fill a closed shape. ``points`` is (N, 2), x and y."""
    cv2.fillPoly(image, [_fixed(points)], tuple(map(float, color)), cv2.LINE_AA, _SHIFT)


def line(image: np.ndarray, points: np.ndarray, color: Color, thickness: float, closed: bool = False) -> None:
    """Draw a line through ``points``, (N, 2), at least one pixel thick."""
    cv2.polylines(
        image, [_fixed(points)], closed, tuple(map(float, color)), max(1, round(thickness)), cv2.LINE_AA, _SHIFT
    )


def ellipse(cx: float, cy: float, rx: float, ry: float, count: int = 40, power: float = 2.0) -> np.ndarray:
    """(count, 2) points of an ellipse; a ``power`` above 2 makes it squarer."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    c, s = np.cos(angles), np.sin(angles)
    x = cx + rx * np.sign(c) * np.abs(c) ** (2 / power)
    y = cy + ry * np.sign(s) * np.abs(s) ** (2 / power)
    return np.stack([x, y], 1)


def _fixed(points: np.ndarray) -> np.ndarray:
    fixed: np.ndarray = np.round(points * 2**_SHIFT).astype(np.int32)
    return fixed

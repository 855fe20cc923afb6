"""Square windows of a frame, as the embedded detectors see them, and how much boxes overlap."""

from __future__ import annotations

import cv2
import numpy as np


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(k,) float64: area that a (4,) box shares with each of (k, 4) over the area of their union."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = np.prod(box[2:] - box[:2]) + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    shares: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return shares


def cut(frame: np.ndarray, left: int, top: int, side: int, wanted_px: int) -> np.ndarray:
    """(wanted_px, wanted_px, 3) uint8: a square window of the frame, black outside of it."""
    inside = frame[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    if inside.shape[:2] != (side, side):
        window = np.zeros((side, side, 3), dtype=np.uint8)
        if inside.size:
            down, across = max(0, -top), max(0, -left)
            window[down : down + inside.shape[0], across : across + inside.shape[1]] = inside
        inside = window
    how = cv2.INTER_AREA if side >= 2 * wanted_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(inside), (wanted_px, wanted_px), interpolation=how))


def in_mirror(square: np.ndarray, width: int) -> np.ndarray:
    """(4,) float64: where a square is when a frame of ``width`` pixels is mirrored."""
    left, top, right, bottom = square
    return np.array([width - right, top, width - left, bottom])

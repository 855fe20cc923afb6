"""Crops faces out of their frames and pastes generated ones back, as TalkLip's scripts do.

After ``croppatch`` of Sxjdwang/TalkLip ``train.py``, and ``emb_roi2im`` (``utils/data_avhubert.py``) and
``inf_test.py``: the whole face box is replaced, the face is resized to the box (bilinear, without antialiasing), and
levels are truncated to whole numbers, not rounded.
"""

from __future__ import annotations

import cv2
import numpy as np

from tlbench.errors import ClipError

SIDE = 96  # pixels; width and height of a face


def crop_face(frame: np.ndarray, box: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Crop the face in a box and resize it to (side, side, 3) uint8, with the frame's order of colours.

    In ``croppatch`` both x2 and y2 are limited to the frame's width, which equals its height in LRS2; here x2 is
    limited to the width and y2 to the height. Raises ClipError if the box is outside the frame.
    """
    x1, y1, x2, y2 = (max(int(edge), 0) for edge in box)
    face = frame[y1:y2, x1:x2]
    if face.size == 0:
        raise ClipError("bad-boxes", f"box {x1},{y1},{x2},{y2} is outside its frame; correct the boxes")
    return np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_LINEAR))


def paste_face(frame: np.ndarray, box: np.ndarray, face: np.ndarray) -> None:
    """Paste a face into its box of a frame, in place.

    Parameters
    ----------
    frame : (H, W, 3) uint8
    box : (4,) int64 x1 y1 x2 y2
        x2 and y2 may be outside the frame: the face fills the part inside, which it was cropped from
        (:func:`crop_face`).
    face : (side, side, 3) float32
        0 to 255, with the frame's order of colours.

    Raises
    ------
    ClipError
        ``bad-boxes`` if the box is outside the frame.
    """
    x1, y1, x2, y2 = (max(int(edge), 0) for edge in box)
    region = frame[y1:y2, x1:x2]
    if region.size == 0:
        raise ClipError("bad-boxes", f"box {x1},{y1},{x2},{y2} is outside its frame; correct the boxes")
    height, width = region.shape[:2]
    resized = cv2.resize(face, (width, height), interpolation=cv2.INTER_LINEAR)
    region[...] = np.clip(resized, 0, 255).astype(np.uint8)

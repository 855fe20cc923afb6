"""Generated faces put back where they came from, as TalkLip's generation scripts do.

After ``emb_roi2im`` (Sxjdwang/TalkLip ``utils/data_avhubert.py``) and ``inf_test.py``: the whole face box is replaced,
the face is brought to its size bilinearly without antialiasing, and levels are cut to whole numbers, not rounded.
"""

from __future__ import annotations

import cv2
import numpy as np

from tlbench.errors import ClipError


def paste(frame: np.ndarray, box: np.ndarray, face: np.ndarray) -> None:
    """Put a face into its box of a frame, in place.

    Parameters
    ----------
    frame : (H, W, 3) uint8
    box : (4,) int64 x1 y1 x2 y2
        x2 and y2 may pass the frame's edges: the face fills the part that is inside, for it was cut from that
        (:func:`~tlbench.talklip.dataset.face_of`).
    face : (96, 96, 3) float32
        0 to 255, its colours in the order of the frame's.

    Raises
    ------
    ClipError
        ``bad-boxes`` if nothing of the box lies in the frame.
    """
    x1, y1, x2, y2 = (max(int(edge), 0) for edge in box)
    place = frame[y1:y2, x1:x2]
    if place.size == 0:
        raise ClipError("bad-boxes", f"box {x1},{y1},{x2},{y2} leaves nothing of its frame; mend the boxes")
    height, width = place.shape[:2]
    resized = cv2.resize(face, (width, height), interpolation=cv2.INTER_LINEAR)
    place[...] = np.clip(resized, 0, 255).astype(np.uint8)

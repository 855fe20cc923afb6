"""The variance of the Laplacian of a picture, a number for its sharpness."""

from __future__ import annotations

import cv2
import numpy as np


def laplacian_variance(picture: np.ndarray) -> float:
    """The variance of the Laplacian over all pixels.

    Pech-Pacheco et al. (ICPR 2000, LAP4 in later surveys) take the mask 0 1 0, 1 -4 1, 0 1 0, which is what
    ``cv2.Laplacian`` uses with its default aperture; the frame is mirrored at its edge without repeating the edge
    itself. 0 for a picture of one level; noise raises it as detail does.

    Parameters
    ----------
    picture : (H, W, 3) uint8 RGB
        Made grey with the weights of ITU-R BT.601, rounded to whole levels.

    Returns
    -------
    float
        In squared grey levels.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    # Whole numbers between -1020 and 1020: 16 bits hold them, and the sums are exact.
    edges = cv2.Laplacian(grey, cv2.CV_16S).astype(np.int64)
    count = edges.size
    return float((count * (edges * edges).sum() - edges.sum() ** 2) / count**2)

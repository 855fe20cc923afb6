"""Face crops as in LRS2's videos and SyncNet's training.

The geometry is that of the public SyncNet pipeline (joonson/syncnet_python, ``run_pipeline.py``, ``crop_video``), with
which VGG's lip-reading data sets were cropped: a square 1.4 times as wide as the face, from the face's upper edge to
below the chin. The mouth is then in the middle.
"""

from __future__ import annotations

import cv2
import numpy as np

from tlbench.media.faces import running_median

MARGIN = 0.40  # crop_scale: of half the face's size, on the left, on the right, and twice below
PAD_GREY = 110  # grey level outside the frame
SMOOTH_FRAMES = 13  # kernel_size of the running median over centre and size


def steady(boxes: np.ndarray) -> np.ndarray:
    """Smooth the face boxes of a whole clip, so that crops do not jitter.

    Each box becomes the square around its centre with its longer side, then centre and side are the median over 13
    frames, as in ``run_pipeline.py``. At the ends the first and the last box are repeated; the original pads with zeros
    there, which gives smaller values.

    Parameters
    ----------
    boxes : ndarray
        (T, 4) x1 y1 x2 y2, T at least 1.

    Returns
    -------
    ndarray
        (T, 4) float64 squares.
    """
    smooth = running_median(centres_and_halves(boxes), SMOOTH_FRAMES, "edge")
    centre_xy, half_px = smooth[:, :2], smooth[:, 2:]
    return np.concatenate([centre_xy - half_px, centre_xy + half_px], axis=1)


def centres_and_halves(boxes: np.ndarray) -> np.ndarray:
    """(T, 3) float64: x and y of each box's centre, and half its longer side."""
    edges = np.asarray(boxes, dtype=np.float64)
    half_px = (edges[:, 2:] - edges[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([(edges[:, :2] + edges[:, 2:]) / 2, half_px], axis=1)


def face_window(x: float, y: float, half_px: float, margin: float = MARGIN) -> tuple[int, int, int, int]:
    """The square crop of a face.

    Parameters
    ----------
    x, y, half_px : float
        Centre of the face and half its size, in pixels of the frame.
    margin : float
        Of ``half_px``.

    Returns
    -------
    tuple of int
        left, top, right, bottom; may reach outside the frame.
    """
    # The original pads the whole frame by this much before it truncates to whole pixels.
    pad = int(half_px * (1 + 2 * margin))
    left, right = (int(x + pad + side * half_px * (1 + margin)) - pad for side in (-1, 1))
    top, bottom = int(y + pad - half_px) - pad, int(y + pad + half_px * (1 + 2 * margin)) - pad
    return left, top, right, bottom


def cut_window(image: np.ndarray, window: tuple[int, int, int, int], outside: int) -> np.ndarray:
    """The part of an image inside left, top, right, bottom.

    Parameters
    ----------
    image : ndarray
        (H, W) or (H, W, 3) uint8.
    window : tuple of int
        May reach outside the image, or be outside it.
    outside : int
        The value of pixels outside the image.

    Returns
    -------
    ndarray
        (bottom - top, right - left) or with 3 channels, uint8.
    """
    left, top, right, bottom = window
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    cut = np.full((bottom - top, right - left, *image.shape[2:]), outside, dtype=np.uint8)
    inside = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    down, across = max(0, -top), max(0, -left)
    cut[down : down + inside.shape[0], across : across + inside.shape[1]] = inside
    return cut


def cut_face(
    image: np.ndarray, window: tuple[int, int, int, int], side_px: int, pad_grey: int = PAD_GREY
) -> np.ndarray:
    """A window resized to ``side_px``, bilinear without antialiasing, as in the original pipeline."""
    face = cut_window(image, window, pad_grey)
    return np.asarray(cv2.resize(face, (side_px, side_px), interpolation=cv2.INTER_LINEAR))


def face_square(x: float, y: float, half_px: float, margin: float) -> tuple[int, int, int, int]:
    """The square around a face with a margin on all four sides.

    Parameters
    ----------
    x, y, half_px : float
        Centre of the face and half its longer side, in pixels of the frame.
    margin : float
        Share of the longer side, on each side.

    Returns
    -------
    tuple of int
        left, top, right, bottom, as wide as high; may reach outside the frame.
    """
    half = half_px * (1 + 2 * margin)
    left, top, side = round(x - half), round(y - half), round(2 * half)
    return left, top, left + side, top + side


def cut_square(image: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """The part of an (H, W, 3) uint8 image inside left, top, right, bottom; beyond its edge the edge is repeated.

    A grey border, as :func:`cut_face` has, would be an edge that is not in the picture. The window has to overlap the
    image.
    """
    left, top, right, bottom = window
    height, width = image.shape[:2]
    inside = image[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    beyond = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    return np.asarray(cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE)) if any(beyond) else inside

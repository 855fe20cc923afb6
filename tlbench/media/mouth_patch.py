"""Mouth patches as in AV-HuBERT's training: every mouth at the same position, size and angle.

The method is that of facebookresearch/av_hubert ``avhubert/preparation/align_mouth.py``, after mpc001's
Lipreading_using_Temporal_Convolutional_Networks: five points that do not move with speech, smoothed over time, are
aligned to those of a mean face in a 256x256 picture, and 96x96 pixels around the mouth are cropped. Differences:

* The mean face, unless the caller gives the original's (:mod:`tlbench.media.mean_face`): `STABLE_XY` is close to it.
* The original writes the patches to a compressed video and reads it back. Here they are not compressed.
* If no frame shows a face, the original scales whole frames to 96x96. Here the clip is not scored.
"""

from __future__ import annotations

import numpy as np

from tlbench.errors import ClipError
from tlbench.media.face_crop import cut_window
from tlbench.media.frame_rows import repeat_last

PATCH_PX = 96  # crop-width, crop-height
MEAN_PX = 256  # STD_SIZE
WINDOW_FRAMES = 12  # window-margin
POINTS = 68
STABLE = (33, 36, 39, 42, 45)  # below the nose, and the corners of the eyes; stablePntsIDs
MOUTH = slice(48, 68)  # start-idx to stop-idx

# The stable points of the mean face, x y. Of the original mean face only the centres of both eyes, nose and mouth are
# published, in mpc001/auto_avsr (``preparation/detectors/mediapipe/video_process.py``, ``get_stable_reference``):
# 102.074 94.272, 156.361 93.578, 129.004 135.903, 129.313 157.823. The points around these centres are those of dlib's
# mean face (``dlib/image_transforms/interpolation.h``, ``mean_face_shape_x``), after the similarity transform that maps
# its four centres closest to these.
MEAN_FACE = "own"
STABLE_XY = np.array(
    [
        [129.015, 138.438],
        [91.032, 94.367],
        [113.694, 95.897],
        [144.756, 95.304],
        [167.404, 93.576],
    ]
)

_LEVELS = np.arange(256) / 255.0  # skimage's conversion of uint8


def placements(landmarks: np.ndarray, stable_xy: np.ndarray = STABLE_XY) -> np.ndarray:
    """The position of the mouth patch in each frame, as affine maps.

    Landmarks of frames without a face are interpolated, and repeated at the ends. The stable points are the mean over
    12 frames from this one on; the last 11 frames use the window of the frame before them. The patch is centred on the
    frame's own mouth, in whole pixels, and stays inside the 256x256 picture.

    Parameters
    ----------
    landmarks : ndarray
        (T, 68, 2) float, x y in pixels of the frame, in the order of iBUG 300-W (dlib's 68 points); NaN for a frame
        without a face.
    stable_xy : ndarray
        (5, 2) float64: points 33, 36, 39, 42, 45 of the mean face. For the original's:
        ``np.load("20words_mean_face.npy")[list(STABLE)]``.

    Returns
    -------
    ndarray
        (T, 2, 3) float64 affine maps: ``placement @ (x, y, 1)`` is the position in the patch of the frame's pixel
        (x, y), with (0, 0) at the centre of the first pixel.

    Raises
    ------
    ClipError
        ``no-face`` if no frame has landmarks, ``bad-landmarks`` if the stable points of a frame all coincide.
    """
    whole = filled(np.asarray(landmarks, dtype=np.float64))
    frames = len(whole)
    window = min(frames, WINDOW_FRAMES)
    stable = whole[:, list(STABLE)]  # (T, 5, 2)
    smooth = np.lib.stride_tricks.sliding_window_view(stable, window, axis=0).mean(axis=-1)  # (T - window + 1, 5, 2)
    maps = np.stack([similarity(points, stable_xy) for points in smooth])
    maps = repeat_last(maps, 0, frames)
    mouth = np.einsum("tij,tnj->tni", maps[:, :, :2], whole[:, MOUTH]).mean(axis=1) + maps[:, :, 2]  # (T, 2)
    half_px = PATCH_PX // 2
    # rint rounds half to even, like Python's round in the original.
    maps[:, :, 2] -= np.rint(np.clip(mouth, half_px, MEAN_PX - half_px)) - half_px
    return maps


def warp(image: np.ndarray, placement: np.ndarray) -> np.ndarray:
    """The mouth patch of one frame, bilinear, black outside the frame.

    Within one grey level of the original's ``skimage.transform.warp`` and truncation to uint8. (cv2.warpAffine would
    differ more, since it rounds positions to 1/32 pixel.)

    Parameters
    ----------
    image : ndarray
        (H, W, 3) uint8.
    placement : ndarray
        (2, 3) float64, one of :func:`placements`.

    Returns
    -------
    ndarray
        (96, 96, 3) uint8.
    """
    height, width = image.shape[:2]
    back = np.linalg.inv(placement[:, :2])
    rows, columns = np.mgrid[0:PATCH_PX, 0:PATCH_PX].astype(np.float64)
    places = np.stack([columns - placement[0, 2], rows - placement[1, 2]], axis=-1) @ back.T  # (96, 96, 2) x y
    # Everything one pixel or more outside is black, so positions are clipped there.
    places = np.clip(places, -1, [width, height])
    first = np.floor(places).astype(np.int64)
    left, top = first.reshape(-1, 2).min(axis=0)
    right, bottom = first.reshape(-1, 2).max(axis=0) + 2
    seen = _LEVELS[cut_window(image, (int(left), int(top), int(right), int(bottom)), outside=0)]
    x, y = first[..., 0] - left, first[..., 1] - top
    right_share, lower_share = np.moveaxis((places - first)[..., None], 2, 0)  # (96, 96, 1) each
    upper = seen[y, x] * (1 - right_share) + seen[y, x + 1] * right_share
    lower = seen[y + 1, x] * (1 - right_share) + seen[y + 1, x + 1] * right_share
    patch: np.ndarray = ((upper * (1 - lower_share) + lower * lower_share) * 255).astype(np.uint8)
    return patch


def filled(landmarks: np.ndarray) -> np.ndarray:
    """(T, n, 2) with the gaps interpolated. Raises ClipError ``no-face`` if no frame has landmarks."""
    flat = landmarks.reshape(len(landmarks), -1)
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    if not len(known):
        raise ClipError(
            "no-face", "no frame shows a face whose mouth could be aligned; give landmarks, or take another view"
        )
    every = np.arange(len(flat))
    return np.stack([np.interp(every, known, values[known]) for values in flat.T], axis=1).reshape(landmarks.shape)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3) rotation, scale and shift from ``source`` to ``target`` with the least squared error.

    Equal to ``skimage.transform.estimate_transform("similarity", ...)`` (Umeyama 1991). In two dimensions, with points
    as complex numbers, it is a division.
    """
    here, there = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    centred = here - here.mean()
    spread = np.sum(np.abs(centred) ** 2)
    if not spread > 0:
        raise ClipError("bad-landmarks", "the landmarks of nose and eyes lie in one point; detect them again")
    turn = np.sum(np.conj(centred) * (there - there.mean())) / spread
    shift = there.mean() - turn * here.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])

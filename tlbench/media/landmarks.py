"""Face landmarks: read from a file, or found in a video.

They are the 68 points of iBUG 300-W in dlib's order. tlbench uses the lower nose (33), the corners of the eyes
(36, 39, 42, 45) and the mouth (48 to 67). Frames without a face have NaN.

They are found as in AV-HuBERT (facebookresearch/av_hubert, ``avhubert/preparation/detect_landmark.py``): dlib's HOG
face detector, then dlib's published 68-point predictor. Both come with the extra ``landmarks``, the predictor inside a
package of models. It was trained on iBUG 300-W, which excludes commercial use. Differences from AV-HuBERT:

* Of several faces the one with the highest score is taken; AV-HuBERT keeps the last, which has the lowest.
* If no face is found, AV-HuBERT runs a second detector, a network that needs seconds per frame without a GPU. Here the
  frame has no landmarks, and they are interpolated later.
* Frames of `UPSAMPLED_BELOW_PX` or more are searched at their own size; AV-HuBERT doubles every frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tlbench.errors import ClipError, TlbenchError
from tlbench.media.box_files import LARGEST_PX, NOT_NPY
from tlbench.media.mouth_patch import POINTS
from tlbench.media.video_reader import FrameChunk

DETECTOR = "dlib68"  # enters protocol ids and cache keys
UPSAMPLED_BELOW_PX = 480  # shorter side of the frame; dlib finds faces of 80 pixels or more, 40 in a doubled frame
MODELS = "face_recognition_models"
PREDICTOR = "shape_predictor_68_face_landmarks.dat"
PREDICTOR_SHA256 = "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"  # of dlib.net's file, unpacked
INSTALL = "pip install 'tlbench[landmarks]'"


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
    """dlib's detector and predictor. Raises TlbenchError if they are not installed, or the predictor is another one."""

    def __init__(self) -> None:
        try:
            dlib = import_module("dlib")
        except ImportError as error:
            raise TlbenchError(
                f"landmarks are found by dlib, which is not installed; {INSTALL}, or give landmark files"
            ) from error
        self._detect = dlib.get_frontal_face_detector()
        self._predict = _predictor()

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The landmarks, (68, 2) float64, of one (H, W, 3) uint8 RGB frame; NaN if no face is found."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        found = self.face(grey)
        if found is None:
            return np.full((POINTS, 2), np.nan)
        face = self._predict(grey, found)
        return np.array([(point.x, point.y) for point in face.parts()], dtype=np.float64)

    def face(self, grey: np.ndarray) -> Any:
        """dlib's rectangle of the face with the highest score in an (H, W) uint8 frame; None if none is found."""
        faces = self._detect(grey, 1 if min(grey.shape) < UPSAMPLED_BELOW_PX else 0)
        return faces[0] if len(faces) else None  # best first


def lacking_landmarks() -> str:
    """What of the extra ``landmarks`` is not installed, and how to install it; "" if all of it is."""
    missing = [name for name in ("dlib", MODELS) if find_spec(name) is None]
    return f"{' and '.join(missing)} not installed; {INSTALL}" if missing else ""


@cache  # 100 MB, takes a second to read
def _predictor() -> Any:
    return import_module("dlib").shape_predictor(str(published_predictor()))


def published_predictor() -> Path:
    """The path of the predictor. Another predictor would change the view under the same name, so it is refused.

    Raises
    ------
    TlbenchError
        If it is not installed, or not the published one.
    """
    spec = find_spec(MODELS)  # not imported: the older package of this name can't be imported in a current Python
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    path = next((found for folder in folders if (found := Path(folder) / "models" / PREDICTOR).is_file()), None)
    if path is None:
        raise TlbenchError(f"landmarks need {PREDICTOR}, which is not installed; {INSTALL}, or give landmark files")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != PREDICTOR_SHA256:
        raise TlbenchError(f"{path} is not the published {PREDICTOR} (sha256 {sha256[:12]}...); reinstall: {INSTALL}")
    return path

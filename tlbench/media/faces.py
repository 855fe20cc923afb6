"""Face boxes: found in a video, given in a file, or fixed by the data set.

A box is x1 y1 x2 y2 in whole pixels of the frame, x2 and y2 exclusive, and frames the face from forehead to chin and
cheek to cheek. Boxes decide what several observers see, so what found them is part of a protocol's identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Literal, Protocol

import cv2
import numpy as np
from cv2.data import haarcascades

from tlbench.errors import ClipError, TlbenchError
from tlbench.files import ARRAY, atomic_path, open_outside
from tlbench.media.followed import FOUND, FollowedFace, fill_gaps
from tlbench.media.scaling import Size, scale_boxes
from tlbench.media.video_reader import FrameChunk

LARGEST_PX = 2**20  # no picture is wider, so a larger coordinate is a mistake
# What NumPy raises for a file that is not an array, holds objects, or has a header made to break its parser.
NOT_NPY = (ValueError, TypeError, EOFError, SyntaxError, OverflowError, MemoryError, RecursionError, TokenError)
FALLBACK_PX = 96  # TalkLip preparation/bbx_extract.py: side of the centred box of a frame without a face


class FaceDetector(Protocol):
    """Finds faces. It keeps no state between calls, so one detector can be used for any number of videos.

    Attributes
    ----------
    name : str
        Enters protocol ids: ``s3fd``, ``blazeface``, ``haar``.
    sure_score : float
        Faces of `detect_all` above this score (on the detector's own scale) are tracked.
    """

    name: str
    sure_score: float

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        """The best face of each frame: (4,) int64 x1 y1 x2 y2, or None.

        Parameters
        ----------
        frames : ndarray
            (n, H, W, 3) uint8 RGB, consecutive frames of one video.
        before : ndarray or None
            The box in the frame before the first of these. A detector may search there first.
        """
        ...

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        """All faces of each frame that score above ``min_score``: (k, 5) float64 x1 y1 x2 y2 score, best first."""
        ...


class HaarDetector:
    """OpenCV's frontal-face cascade, the embedded detector before BlazeFace. It needs no download.

    The first frame of a video is searched completely. In later frames the search begins around the box of the frame
    before, which is several times faster and jitters less; if nothing is found there, the whole frame is searched.
    Each box depends only on its frame and the box before it, not on how the video is cut into chunks.

    The cascade gives squares with a strip of background on both sides that end above the chin, unlike detectors
    trained on WIDER FACE, such as S3FD. `INSET` and `DROP` convert its squares: on 55 frames of eleven GRID videos
    (speakers s1, s2, s4, s10, s30) the box of MTCNN (facenet-pytorch 2.6.0), trained on the same data as S3FD, was at
    0.106, -0.004, 0.865, 1.056 of the square's side (medians of x1, y1, x2, y2; standard deviations about 0.02). Left
    and right inset are made equal, since a face may turn either way.
    """

    name = "haar"
    # The cascade's weight (its last stage's sum). Frontal faces of GRID scored 7 to 13, damaged drawn ones 4.4 to 9.
    sure_score = 5.0

    CASCADE = "haarcascade_frontalface_default.xml"  # shipped inside opencv-python 4.x
    WORK_PX = 160  # frames are shrunk to this shorter side, so that faces down to 24/160 of it are found
    SMALLEST_PX = 24  # the window the cascade was trained on
    STEP, NEAR_STEP = 1.1, 1.08  # ratio of successive face sizes tried in the whole frame, and near the box before
    NEIGHBOURS = 3  # hits that must agree on a face (OpenCV's default)
    NEAR_MARGIN = 0.25  # of the side of the square before: margin of the search around it
    NEAR_SIZES = (0.85, 1.18)  # smallest and largest size of the next face, as a ratio to the one before
    NEAR_GRID_PX = 8
    INSET, DROP = 0.12, 0.055  # of the square's side: taken off left and right, added below

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(os.path.join(haarcascades, self.CASCADE))
        if self._cascade.empty():
            raise TlbenchError(f"OpenCV {cv2.__version__} has no {self.CASCADE}; install opencv-python-headless 4.x")

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        """The best face of each frame, clipped to the frame; see `FaceDetector.detect`."""
        found: list[np.ndarray | None] = []
        for frame in frames:
            grey, shrunk = self._shrink(frame)
            face = None if before is None else self._near(grey, self._square(before) * shrunk)
            if face is None:
                faces = self._search(grey, self.STEP, self.SMALLEST_PX, min(grey.shape))
                face = faces[0] if len(faces) else None
            before = None if face is None else self._box(face[:4] / shrunk, frame.shape)
            found.append(before)
        return found

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        """All faces of each frame, searched completely; see `FaceDetector.detect_all`."""
        found: list[np.ndarray] = []
        for frame in frames:
            grey, shrunk = self._shrink(frame)
            faces = self._search(grey, self.STEP, self.SMALLEST_PX, min(grey.shape))
            faces = faces[faces[:, 4] > min_score]
            rows = [np.append(self._box(face[:4] / shrunk, frame.shape), face[4]) for face in faces]
            found.append(np.array(rows, dtype=np.float64).reshape(-1, 5))
        return found

    def _shrink(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """The frame in grey with a shorter side of at most `WORK_PX`, and the scale factor."""
        grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        shrunk = min(1.0, self.WORK_PX / min(grey.shape))
        if shrunk < 1:
            height, width = grey.shape
            size = (max(1, round(width * shrunk)), max(1, round(height * shrunk)))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        return grey, shrunk

    def _search(self, grey: np.ndarray, step: float, smallest_px: int, largest_px: int) -> np.ndarray:
        """(k, 5) float64 x1 y1 x2 y2 weight of the squares found, best first; of equals the larger, then the first."""
        if min(grey.shape) < self.SMALLEST_PX:
            return np.zeros((0, 5))
        squares, _, weights = self._cascade.detectMultiScale3(
            grey,
            scaleFactor=step,
            minNeighbors=self.NEIGHBOURS,
            minSize=(smallest_px, smallest_px),
            maxSize=(largest_px, largest_px),
            outputRejectLevels=True,
        )
        if len(squares) == 0:
            return np.zeros((0, 5))
        left, top, width, height = np.asarray(squares, dtype=np.float64).T
        rows = np.stack([left, top, left + width, top + height, np.ravel(weights)], axis=1)
        # OpenCV's threads return them in any order.
        return rows[np.lexsort((left, top, -width, -rows[:, 4]))]

    def _near(self, grey: np.ndarray, square: np.ndarray) -> np.ndarray | None:
        """The best square near the one before, if it scores above `sure_score`.

        Window and sizes are rounded outwards to a coarse grid, so that a box that jitters by a pixel leads to the same
        search: a face that does not move keeps its box.
        """
        side = square[2] - square[0]
        margin = side * self.NEAR_MARGIN
        left, top = np.maximum(_outwards(square[:2] - margin, -self.NEAR_GRID_PX), 0)
        right, bottom = _outwards(square[2:] + margin, self.NEAR_GRID_PX)
        smallest_px = int(_outwards(side * self.NEAR_SIZES[0], -self.NEAR_GRID_PX))
        largest_px = int(_outwards(side * self.NEAR_SIZES[1], self.NEAR_GRID_PX))
        window = grey[top:bottom, left:right]
        faces = self._search(window, self.NEAR_STEP, max(self.SMALLEST_PX, smallest_px), largest_px)
        if len(faces) == 0 or faces[0, 4] <= self.sure_score:
            return None
        found: np.ndarray = faces[0] + np.array([left, top, left, top, 0])
        return found

    def _box(self, square: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
        """The cascade's square as a face box, in whole pixels (truncated) and clipped to the frame."""
        side = square[2] - square[0]
        inset, drop = side * self.INSET, side * self.DROP
        box = square + np.array([inset, 0, -inset, drop])
        height, width = frame_shape[:2]
        whole: np.ndarray = np.clip(box, 0, [width, height, width, height]).astype(np.int64)
        return whole

    def _square(self, box: np.ndarray) -> np.ndarray:
        """The square that a box was made from, exact to a pixel, which is enough for a search with a margin."""
        left, top, right, bottom = (float(edge) for edge in box)
        side = max((right - left) / (1 - 2 * self.INSET), (bottom - top) / (1 + self.DROP))
        centre = (left + right) / 2
        return np.array([centre - side / 2, top, centre + side / 2, top + side])


def _outwards(pixels: np.ndarray | float, grid_px: int) -> np.ndarray:
    """Rounded up to a multiple of the grid, or down if ``grid_px`` is negative."""
    whole: np.ndarray = np.ceil(np.asarray(pixels) / grid_px).astype(np.int64) * grid_px
    return whole


@dataclass(frozen=True)
class Boxes:
    """The face box of each frame of one video.

    Attributes
    ----------
    xyxy : ndarray
        (T, 4) int64 x1 y1 x2 y2 of the best face, as published; used by ``paper`` numbers. x1 and y1 are at least 0;
        x2 and y2 may be beyond the frame's edge, as with S3FD.
    missing : int
        Frames in which no face was found, so that they have the fallback box.
    source : str
        ``blazeface``, ``haar``, ``s3fd``, ``given`` or ``fixed``.
    followed : FollowedFace or None
        One person's face, used by ``sound`` numbers; None if that is ``xyxy`` in every frame.
    """

    xyxy: np.ndarray
    missing: int
    source: str
    followed: FollowedFace | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def face(self) -> FollowedFace:
        """The face used by ``sound`` numbers."""
        if self.followed is not None:
            return self.followed
        return FollowedFace(self.xyxy, np.full(len(self.xyxy), FOUND, dtype=np.uint8))

    @property
    def plain(self) -> bool:
        """Whether the best face is the followed one in every frame, so that ``paper`` and ``sound`` use equal boxes."""
        face = self.face
        return not self.missing and not face.absent and bool(np.array_equal(self.xyxy, face.xyxy))

    @property
    def of_person(self) -> np.ndarray:
        """(T, 4) boxes of one person: those of the followed face if a frame shows several faces, else ``xyxy``."""
        return self.face.xyxy if self.face.several else self.xyxy

    def scaled(self, size: Size, wanted: Size) -> Boxes:
        """The same faces in frames of ``wanted`` (width, height) instead of ``size``."""
        face = self.followed
        followed = None if face is None else replace(face, xyxy=scale_boxes(face.xyxy, size, wanted))
        return replace(self, xyxy=scale_boxes(self.xyxy, size, wanted), followed=followed)


def check_smooth(smooth: int) -> None:
    """Raises TlbenchError if ``smooth``, the window in frames, is negative or even."""
    if smooth < 0 or (smooth and smooth % 2 == 0):
        raise TlbenchError(f"boxes can't be smoothed over {smooth} frames; give an odd number, or 0 for none")


def best_faces(chunks: Iterable[FrameChunk], detector: FaceDetector) -> tuple[np.ndarray, np.ndarray]:
    """The best face of each frame, (T, 4) float64 with NaN for none, and the fallback box of each, (T, 4) int64.

    Raises ClipError ``no-frames`` if the video has no frame.
    """
    rows: list[np.ndarray] = []
    centres: list[np.ndarray] = []
    last: np.ndarray | None = None
    for chunk in chunks:
        height, width = chunk.rgb.shape[1:3]
        for face in detector.detect(chunk.rgb, last):
            rows.append(np.full(4, np.nan) if face is None else face.astype(np.float64))
            centres.append(fallback_box(width, height))
            last = face
    if not rows:
        raise ClipError("no-frames", "no face boxes: the video has no frame; re-encode it")
    return np.stack(rows), np.stack(centres)


def as_boxes(best: np.ndarray, centre: np.ndarray, face: FollowedFace, source: str, smooth: int = 0) -> Boxes:
    """Boxes from the arrays of `best_faces` and the followed face, both smoothed."""
    found = ~np.isnan(best[:, 0])
    xyxy = np.where(found[:, None], best, centre).astype(np.int64)
    if smooth:  # stays whole numbers: the median of an odd window is one of its values
        xyxy = running_median(xyxy, smooth, "edge").astype(np.int64)
        face = replace(face, xyxy=running_median(face.xyxy, smooth, "edge").astype(np.int64))
    return Boxes(xyxy, int((~found).sum()), source, face)


def fallback_box(width: int, height: int) -> np.ndarray:
    """The box of a frame without a face: 96x96 in the centre, (4,) int64.

    Its corner is at ``int((width - 96) / 2)`` as in TalkLip's ``bbx_extract.py``. A side shorter than 96 is taken
    whole, where the original's corner would be negative and its crop empty.
    """
    x1, y1 = max(0, (width - FALLBACK_PX) // 2), max(0, (height - FALLBACK_PX) // 2)
    return np.array([x1, y1, min(width, x1 + FALLBACK_PX), min(height, y1 + FALLBACK_PX)], dtype=np.int64)


def running_median(values: np.ndarray, frames: int, ends: Literal["edge", "constant"]) -> np.ndarray:
    """The median of each value and its neighbours, along the first axis.

    Parameters
    ----------
    values : ndarray
        (T, n), one row a frame.
    frames : int
        Width of the window, odd.
    ends : str
        Values before the first and after the last frame: these frames repeated (``edge``) or zeros (``constant``).

    Returns
    -------
    ndarray
        (T, n) float64.
    """
    reach = frames // 2
    padded = np.pad(values, ((reach, reach), (0, 0)), mode=ends)
    windows = np.lib.stride_tricks.sliding_window_view(padded, frames, axis=0)  # (T, n, frames)
    medians: np.ndarray = np.median(windows, axis=-1)
    return medians


def fixed_boxes(box: tuple[int, int, int, int], frame_count: int) -> Boxes:
    """The same box for every frame, for data sets with the face always in the same place.

    Raises TlbenchError if the box has no area or a negative corner.
    """
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise TlbenchError(f"box {x1},{y1},{x2},{y2} is no box; give x1,y1,x2,y2 with 0 <= x1 < x2 and 0 <= y1 < y2")
    return Boxes(np.tile(np.array(box, dtype=np.int64), (frame_count, 1)), 0, "fixed")


def read_boxes(path: Path, frame_count: int | None = None, frame_size: tuple[int, int] | None = None) -> Boxes:
    """Read boxes in TalkLip's layout: a ``.npy`` of shape (N, 4), x1 y1 x2 y2 for each frame.

    Fractions are truncated and negative edges set to 0, as ``bbx_extract.py`` does before writing. A row of four NaN
    means a frame without a face. ``bbx_extract.py`` writes the centred box there instead, so in a file without NaN
    every frame counts as showing a face.

    Parameters
    ----------
    path : Path
    frame_count : int, optional
        How many frames need a box. Further rows are dropped: they belong to frames that are not scored.
    frame_size : (width, height), optional
        Of the video, in pixels. Rows without a face get the published centred box of this frame size, which ``paper``
        numbers use; without ``frame_size`` they get the box of the faces around them.

    Raises
    ------
    ClipError
        ``bad-boxes`` if the file is not such an array, ``boxes-too-short`` if it has fewer rows than
        ``frame_count`` (the original stopped with an IndexError).
    """
    rows = _opened(path)
    needed = len(rows) if frame_count is None else frame_count
    if len(rows) < needed:
        message = f"boxes {path.name} has {len(rows)} rows for {needed} frames; detect the faces of this video again"
        raise ClipError("boxes-too-short", message)
    numbers = np.asarray(rows[:needed], dtype=np.float64)
    faceless = np.isnan(numbers).all(axis=1)
    in_picture = np.all(np.abs(numbers) <= LARGEST_PX, axis=1) | faceless
    _refuse(path, numbers, in_picture, "is no place in a picture")  # some NaN and some numbers are refused too
    best = np.trunc(np.clip(numbers, 0, None))
    _refuse(path, numbers, np.all(best[:, :2] < best[:, 2:], axis=1) | faceless, "has no area")
    if not faceless.any():
        return Boxes(best.astype(np.int64), 0, "given")
    width, height = frame_size or (FALLBACK_PX, FALLBACK_PX)
    centre = np.tile(fallback_box(width, height), (needed, 1))
    face = fill_gaps(best, centre)
    return as_boxes(best, face.xyxy if frame_size is None else centre, face, "given")


def _opened(path: Path) -> np.ndarray:
    """The file's rows, (N, 4) of numbers. Raises ClipError ``bad-boxes``."""
    try:
        # Mapped, so that a header that declares more than the file holds is refused before memory is allocated.
        with open_outside(path, ARRAY):
            rows = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise ClipError("bad-boxes", f"boxes {path.name} are not there; detect them, or correct the path") from error
    except OSError as error:
        raise ClipError("bad-boxes", f"boxes {path.name} can't be read ({error.strerror or error})") from error
    except NOT_NPY as error:
        raise _bad(path, "is not a .npy file of numbers") from error
    if rows.ndim != 2 or rows.shape[1] != 4 or len(rows) == 0:
        raise _bad(path, f"has shape {rows.shape}")
    if rows.dtype.kind not in "iuf":
        raise _bad(path, f"holds {rows.dtype}")
    return rows


def _bad(path: Path, fault: str) -> ClipError:
    return ClipError(
        "bad-boxes",
        f"boxes {path.name} {fault}; wanted is (frames, 4): x1 y1 x2 y2 in pixels, or four NaN without a face",
    )


def _refuse(path: Path, numbers: np.ndarray, sound: np.ndarray, fault: str) -> None:
    if not sound.all():
        row = int(sound.argmin())
        raise _bad(path, f"row {row} ({', '.join(f'{edge:g}' for edge in numbers[row])}) {fault}")


def write_boxes(path: Path, boxes: Boxes) -> None:
    """Write boxes in TalkLip's layout, (T, 4) ``.npy``, whole or not at all.

    Writes the best face, as published, or the followed one if a frame shows several people. The numbers are int64 if
    it was found in every frame, else float64 with rows of NaN for the frames without it.
    """
    face = boxes.face
    rows = (face.xyxy if face.several else boxes.xyxy).astype(np.int64)
    found = face.states == FOUND
    if not found.all():
        rows = np.where(found[:, None], rows, np.nan)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)

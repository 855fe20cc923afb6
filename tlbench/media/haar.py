"""OpenCV's frontal-face cascade as a face detector."""

from __future__ import annotations

import os

import cv2
import numpy as np
from cv2.data import haarcascades

from tlbench.errors import TlbenchError


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

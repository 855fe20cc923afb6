"""Do the generated pictures move when the real ones do? Small grey thumbnails answer, without any model.

What moves outside the mouth (head, shoulders, light) is the same in both videos for generators that change a face only,
and the mouth itself follows the same speech. So the changes from frame to frame, cell by cell, fit best where the
pictures belong together. A generator that makes a motion of its own fits nowhere, and nothing is said of it. Nor is
anything said where the mouth alone is late: what moves around it must fit there better than at no lag too.

Limits were chosen on 39 clips of GRID's training part (speaker s1): against itself encoded at CRF 32 the likeness is
0.34 to 0.72 at lag 0 (median 0.42), and at lags more than a frame away at most 0.18; another clip reaches 0.17 at no
lag. Then, on 60 other draws of that part encoded at CRF 20 and 28: moved by 1, 3 and -5 frames, all 360 are told with
the right lag; of 120 unmoved, 59 with another clip's mouth, 59 with their own mouth alone 4 frames late, and 59 beside
another clip, none is called late. 0.4 ms a frame of 360x288.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tlbench.preflight.findings import Finding, finding

SIDE = 16  # cells along each edge of a thumbnail
MAX_LAG_FRAMES = 10
LEAST_CHANGES = 15  # that overlap at a lag; among fewer, a single nod decides
# Between what other clips reach and what the same clip keeps, see above.
SAME_MOTION = 0.25
BETTER_BY = 0.1  # than at lag 0, and than at any lag that is not a neighbour of the best
AROUND_BETTER_BY = 0.05  # the same, of the cells around the mouth, which move less
AROUND_MOUTH = np.ones((SIDE, SIDE), bool)
AROUND_MOUTH[SIDE // 2 :, SIDE // 4 : SIDE * 3 // 4] = False  # the lower middle, of a face as of head and shoulders
STILL = 0.05  # grey levels, root mean square of the changes: below it there is only the noise of an encoder


@dataclass(frozen=True)
class PictureLag:
    """Where one video's motion lies on another's.

    Attributes
    ----------
    lag_frames : int
        By how much the first is later than the second.
    likeness : float
        Correlation of the changes of all cells there, 1 for the same pictures.
    """

    lag_frames: int
    likeness: float


class MotionCurve:
    """What changes from frame to frame of one video, cell by cell. Fed by runs of frames, in order."""

    def __init__(self) -> None:
        self._thumbnails: list[np.ndarray] = []

    def update(self, rgb: np.ndarray) -> None:
        """The next (n, height, width, 3) uint8 RGB frames."""
        for frame in rgb:
            small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            self._thumbnails.append(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))

    @property
    def changes(self) -> np.ndarray:
        """(T - 1, 256) float32: each cell's change of grey level from one frame to the next."""
        if len(self._thumbnails) < 2:
            return np.zeros((0, SIDE * SIDE), np.float32)
        cells: np.ndarray = np.stack(self._thumbnails).reshape(len(self._thumbnails), -1).astype(np.float32)
        return np.diff(cells, axis=0)


def picture_lag(first: MotionCurve, second: MotionCurve) -> PictureLag | None:
    """By how much the pictures of the first video come later; None if that can't be told.

    It can't be told of videos that are short or still, that move unlike each other at every lag, or alike at several.
    """
    x, y = first.changes, second.changes
    if min(len(x), len(y)) < LEAST_CHANGES or min(_strength(x), _strength(y)) < STILL:
        return None
    likeness = _likeness(x, y)
    best = max(likeness, key=lambda lag: (likeness[lag], -abs(lag)))
    others = [value for lag, value in likeness.items() if abs(lag - best) > 1]
    if likeness[best] < SAME_MOTION or likeness[best] - max(others, default=0.0) < BETTER_BY:
        return None
    if best:
        around = _likeness(x[:, AROUND_MOUTH.ravel()], y[:, AROUND_MOUTH.ravel()])
        if likeness[best] - likeness[0] < BETTER_BY or around[best] - around[0] < AROUND_BETTER_BY:
            return None
    return PictureLag(best, likeness[best])


def check_picture_lag(clip_id: str, generated: MotionCurve, real: MotionCurve) -> Iterator[Finding]:
    """``pictures-late`` if the generated pictures come later or earlier than those of the real video."""
    found = picture_lag(generated, real)
    if found is None or not found.lag_frames:
        return
    frames, direction = abs(found.lag_frames), "later" if found.lag_frames > 0 else "earlier"
    message = f"the pictures come {frames} frame{'s' * (frames > 1)} {direction} than the real video's"
    yield finding("pictures-late", clip_id, f"{message} (likeness of their motion {found.likeness:.2f})")


def _likeness(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Correlation of the changes of two videos at every lag at which enough overlap."""
    likeness: dict[int, float] = {}
    for lag in range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1):
        begin_x, begin_y = max(lag, 0), max(-lag, 0)
        count = min(len(x) - begin_x, len(y) - begin_y)
        if count >= LEAST_CHANGES:
            likeness[lag] = _correlation(x[begin_x : begin_x + count], y[begin_y : begin_y + count])
    return likeness


def _strength(changes: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(changes)))) if changes.size else 0.0


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    norm = float(np.sqrt(np.square(x).sum() * np.square(y).sum()))
    return float((x * y).sum()) / norm if norm else 0.0

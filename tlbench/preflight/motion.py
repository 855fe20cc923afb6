"""The lag between the motion of the generated and of the real video, from small grey thumbnails, without a model.

For generators that change only the face, the motion outside the mouth (head, shoulders, light) is the same in both
videos, and the mouth follows the same speech. So the changes from frame to frame, cell by cell, correlate best at the
lag at which the pictures belong together. A generator with a motion of its own correlates at no lag, and gives no
finding. Neither does a mouth that alone is late: the cells around the mouth must fit better at the lag than at 0.

The limits were chosen on 39 clips of GRID's training part (speaker s1). The same clip encoded at CRF 32 correlates with
0.34 to 0.72 at lag 0 (median 0.42), and with at most 0.18 at lags more than a frame away; another clip reaches at most
0.17 at any lag. They were tested on 60 other clips of that part encoded at CRF 20 and 28: moved by 1, 3 and -5 frames,
all 360 are found with the right lag; of 120 unmoved ones, 59 with another clip's mouth, 59 with their own mouth 4
frames late, and 59 compared with another clip, none is found late. Cost: 0.4 ms per frame of 360x288.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tlbench.preflight.findings import Finding, finding

SIDE = 16  # cells along each edge of a thumbnail
MAX_LAG_FRAMES = 10
LEAST_CHANGES = 15  # frame-to-frame changes that must overlap at a lag; with fewer, a single nod decides
# Between the correlations of other clips and those of the same clip, see above.
SAME_MOTION = 0.25
BETTER_BY = 0.1  # margin over lag 0, and over every lag that is not next to the best
AROUND_BETTER_BY = 0.05  # margin over lag 0 of the cells around the mouth, which move less
AROUND_MOUTH = np.ones((SIDE, SIDE), bool)
AROUND_MOUTH[SIDE // 2 :, SIDE // 4 : SIDE * 3 // 4] = False  # the mouth is in the lower middle, close up or not
STILL = 0.05  # grey levels, root mean square of the changes: below it there is only encoder noise


@dataclass(frozen=True)
class PictureLag:
    """The lag at which the motion of two videos fits best.

    Attributes
    ----------
    lag_frames : int
        How much later the first video is than the second.
    likeness : float
        Correlation of the changes of all cells at that lag, 1 for the same pictures.
    """

    lag_frames: int
    likeness: float


class MotionCurve:
    """The changes from frame to frame of one video, cell by cell; takes the frames in order."""

    def __init__(self) -> None:
        self._thumbnails: list[np.ndarray] = []

    def update(self, rgb: np.ndarray) -> None:
        """Take the next frames, (n, height, width, 3) uint8 RGB."""
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
    """How much later the pictures of the first video are; None if that can't be measured.

    It can't be measured if a video is short or still, or if no lag, or more than one lag, fits well.
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
    """``pictures-late`` if the generated pictures are later or earlier than those of the real video."""
    found = picture_lag(generated, real)
    if found is None or not found.lag_frames:
        return
    frames, direction = abs(found.lag_frames), "later" if found.lag_frames > 0 else "earlier"
    message = f"the pictures come {frames} frame{'s' * (frames > 1)} {direction} than the real video's"
    yield finding("pictures-late", clip_id, f"{message} (likeness of their motion {found.likeness:.2f})")


def _likeness(x: np.ndarray, y: np.ndarray) -> dict[int, float]:
    """Correlation of the changes of two videos at every lag with enough overlap."""
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

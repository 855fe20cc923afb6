"""One face over a whole video: where it was found, where a short gap is filled, and where there is none.

``paper`` numbers look at the best box of each frame and at a centred box where there is none, as published. ``sound``
numbers look at one person's face, and at no frame that does not show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

GAP_FRAMES = 10  # 0.4 s: a face that is lost for longer may have turned away or left
NO_FACE, FOUND, FILLED = 0, 1, 2  # what is known of a frame
FACELESS_SHARE = 0.5  # of a video's frames: with more of them without a face it does not count as a video of a face


@dataclass(frozen=True)
class FollowedFace:
    """The face of one person in each frame of a video.

    Attributes
    ----------
    xyxy : ndarray
        (T, 4) int64 x1 y1 x2 y2. Between found faces interpolated linearly, however far these lie apart; before the
        first and after the last one held, so that what has to look at every frame knows where. In a video without any
        face the centred box.
    states : ndarray
        (T,) uint8: `FOUND`, `FILLED` (in a gap of at most `GAP_FRAMES` between two found faces: counts as a face) or
        `NO_FACE` (in a longer gap, before the first or after the last found face: nobody knows whether it is there).
    several : int
        In how many frames the faces of several people were found.
    searched : int
        In how many frames other faces were looked for; 0 where nobody looked.
    """

    xyxy: np.ndarray
    states: np.ndarray
    several: int = 0
    searched: int = 0

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def there(self) -> np.ndarray:
        """(T,) bool: the frames that show the face."""
        return np.asarray(self.states != NO_FACE)

    @property
    def absent(self) -> int:
        """Frames that do not show the face."""
        return int((self.states == NO_FACE).sum())

    @property
    def filled(self) -> int:
        """Frames in which it was not found, but a moment before and after."""
        return int((self.states == FILLED).sum())

    @property
    def faceless(self) -> bool:
        """Whether more than half of the frames do not show the face: `sound` numbers of faces leave the clip out."""
        return self.absent > FACELESS_SHARE * len(self)


def fill_gaps(rows: np.ndarray, nowhere: np.ndarray, several: int = 0, searched: int = 0) -> FollowedFace:
    """Boxes of the frames in which a face was found to a box for every frame.

    Parameters
    ----------
    rows : ndarray
        (T, 4) float64 x1 y1 x2 y2 in whole pixels; NaN where the face was not found.
    nowhere : ndarray
        (T, 4), what stands in a video without any face.
    several, searched : int
        As on `FollowedFace`.
    """
    found = ~np.isnan(rows[:, 0])
    if not found.any():
        states = np.full(len(rows), NO_FACE, dtype=np.uint8)
        return FollowedFace(nowhere.astype(np.int64), states, several, searched)
    every, known = np.arange(len(rows)), np.flatnonzero(found)
    filled = np.stack([np.interp(every, known, edges[found]) for edges in rows.T], axis=1)
    # Rounded down: so a box between two boxes keeps at least the width and height of the smaller.
    xyxy = np.where(found[:, None], rows, np.floor(filled)).astype(np.int64)
    return FollowedFace(xyxy, gap_states(found), several, searched)


def gap_states(found: np.ndarray) -> np.ndarray:
    """(T,) uint8 states of frames, from whether the face was found in each, (T,) bool."""
    states = np.where(found, FOUND, NO_FACE).astype(np.uint8)
    known = np.flatnonzero(found)
    for before, after in pairwise(known):
        if 1 < after - before <= GAP_FRAMES + 1:
            states[before + 1 : after] = FILLED
    return states

"""The face of one person over a whole video, with the frames in which it was found, filled in, or missing.

``paper`` numbers use the best box of each frame, and a centred box if there is none, as published. ``sound`` numbers
use the face of one person, and only frames that show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

GAP_FRAMES = 10  # 0.4 s: a face that is missing for longer may have turned away or left
NO_FACE, FOUND, FILLED = 0, 1, 2  # states of a frame
FACELESS_SHARE = 0.5  # of a video's frames: with more frames without a face, the video does not count as showing a face


@dataclass(frozen=True)
class FollowedFace:
    """The face of one person in each frame of a video.

    Attributes
    ----------
    xyxy : ndarray
        (T, 4) int64 x1 y1 x2 y2, interpolated linearly between found faces, and repeated before the first and after the
        last one, so that every frame has a box. In a video without any face the centred box.
    states : ndarray
        (T,) uint8: `FOUND`, `FILLED` (in a gap of at most `GAP_FRAMES` between two found faces; counts as a face) or
        `NO_FACE` (in a longer gap, before the first or after the last found face).
    several : int
        Number of frames in which the faces of several people were found.
    searched : int
        Number of frames in which other faces were searched for; 0 if there was no search.
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
        """Frames in a short gap, in which the face was not found."""
        return int((self.states == FILLED).sum())

    @property
    def faceless(self) -> bool:
        """Whether more than half of the frames do not show the face; ``sound`` numbers of faces leave the clip out."""
        return self.absent > FACELESS_SHARE * len(self)


def fill_gaps(rows: np.ndarray, nowhere: np.ndarray, several: int = 0, searched: int = 0) -> FollowedFace:
    """Fill the gaps between the frames in which a face was found.

    Parameters
    ----------
    rows : ndarray
        (T, 4) float64 x1 y1 x2 y2 in whole pixels; NaN for frames in which the face was not found.
    nowhere : ndarray
        (T, 4) boxes for a video without any face.
    several, searched : int
        As on `FollowedFace`.
    """
    found = ~np.isnan(rows[:, 0])
    if not found.any():
        states = np.full(len(rows), NO_FACE, dtype=np.uint8)
        return FollowedFace(nowhere.astype(np.int64), states, several, searched)
    every, known = np.arange(len(rows)), np.flatnonzero(found)
    filled = np.stack([np.interp(every, known, edges[found]) for edges in rows.T], axis=1)
    # Rounded down, so that an interpolated box is at least as wide and high as the smaller of its neighbours.
    xyxy = np.where(found[:, None], rows, np.floor(filled)).astype(np.int64)
    return FollowedFace(xyxy, gap_states(found), several, searched)


def gap_states(found: np.ndarray) -> np.ndarray:
    """(T,) uint8 states of frames, from ``found``, (T,) bool: whether the face was found in each."""
    states = np.where(found, FOUND, NO_FACE).astype(np.uint8)
    known = np.flatnonzero(found)
    for before, after in pairwise(known):
        if 1 < after - before <= GAP_FRAMES + 1:
            states[before + 1 : after] = FILLED
    return states

"""What an observer finds in the frames of a real video, looked for once for all systems that are compared with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tlbench.observing.evidence import Evidence

# Of pictures (n, H, W, 3) uint8 and the face boxes (n, 4) in them: in which something is found (n,) bool, and what, one
# array for each of those.
Look: TypeAlias = "Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]"

_NOT_LOOKED, _NOTHING, _FOUND = -1, 0, 1


class RealFrames:
    """What is found in each frame of a real video, looked for when it is first asked for.

    Parameters
    ----------
    look : callable
    name : str
        What it finds, such as ``embedding``: the name of its array in the evidence.
    empty : (0, ...) ndarray
        What ``look`` gives where nothing is found.
    before : Evidence or None
        What :meth:`evidence` gave for the same video before.
    """

    def __init__(self, look: Look, name: str, empty: np.ndarray, before: Evidence | None) -> None:
        self._look = look
        self._name = name
        self._empty = empty
        self._before = before
        self._known: dict[int, np.ndarray | None] = {}
        self._new = False
        if before is not None:
            looked, found = before.array("looked"), iter(before.array(name))
            self._known = {
                int(frame): next(found) if looked[frame] == _FOUND else None
                for frame in np.flatnonzero(looked != _NOT_LOOKED)
            }

    def of_frames(self, frames: np.ndarray, pictures: np.ndarray, boxes: np.ndarray) -> Sequence[np.ndarray | None]:
        """What is found in each frame, None where it is nothing.

        Parameters
        ----------
        frames : (n,) int
            Their numbers in the video.
        pictures : (n, H, W, 3) uint8 RGB
        boxes : (n, 4) float64
            The face boxes x1 y1 x2 y2, in pixels of the pictures.
        """
        new = [place for place, frame in enumerate(frames) if int(frame) not in self._known]
        if new:
            self._new = True
            there, found = self._look(pictures[new], boxes[new])
            self._known |= {int(frames[place]): None for place in new}
            self._known |= dict(zip(frames[new][there].tolist(), found, strict=True))
        return [self._known[int(frame)] for frame in frames]

    def evidence(self, observer: str) -> Evidence | None:
        """All that is known of the video; the evidence from before if nothing is new.

        ``looked`` (frames,) int8 is -1 for a frame that was not looked at, 0 for one in which nothing was found and 1
        for one in which something was; the array ``name`` has the latter, in order.
        """
        if not self._new:
            return self._before
        looked = np.full(max(self._known) + 1, _NOT_LOOKED, np.int8)
        known = sorted(self._known.items())
        for frame, found in known:
            looked[frame] = _NOTHING if found is None else _FOUND
        there = [found for _, found in known if found is not None]
        return Evidence(observer, {"looked": looked, self._name: np.array(there or self._empty, self._empty.dtype)})

"""Face boxes: detected in a video, or fixed by the data set. :mod:`tlbench.media.box_files` reads them from files.

A box is x1 y1 x2 y2 in whole pixels of the frame, x2 and y2 exclusive, around the face from forehead to chin and cheek
to cheek. Boxes decide the crops of several observers, so the detector is part of a protocol's id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from tlbench.errors import ClipError, TlbenchError
from tlbench.media.followed import FOUND, FollowedFace, fill_gaps
from tlbench.media.scaling import Size, scale_boxes
from tlbench.media.video_reader import FrameChunk

FALLBACK_PX = 96  # TalkLip preparation/bbx_extract.py: side of the centred box of a frame without a face


class FaceDetector(Protocol):
    """Finds faces. It keeps no state between calls, so one detector can be used for any number of videos.

    Attributes
    ----------
    name : str
        Part of protocol ids: ``s3fd``, ``blazeface``, ``haar``.
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


def find_boxes(chunks: Iterable[FrameChunk], detector: FaceDetector, smooth: int = 0) -> Boxes:
    """Find the best face of every frame, chunk by chunk.

    This does not check for several people; :func:`tlbench.media.people.find_people` does.

    Parameters
    ----------
    chunks : iterable of FrameChunk
        The video in order. For S3FD in chunks of 32 frames, as in the original.
    detector : FaceDetector
    smooth : int
        Width in frames, odd, of a running median over each coordinate; 0 for none, as published. At the ends the first
        and the last box are repeated.

    Raises
    ------
    ClipError
        ``no-frames`` if the video has no frame.
    TlbenchError
        If ``smooth`` is even or negative.
    """
    check_smooth(smooth)
    best, centre = best_faces(chunks, detector)
    return as_boxes(best, centre, fill_gaps(best, centre), detector.name, smooth)


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

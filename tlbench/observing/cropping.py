"""What observers of crops share: the boxes that a crop needs, its pictures, and which frames show the followed face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import MARGIN
from tlbench.media.faces import Boxes
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import View, open_view
from tlbench.observing.observer import Needs


def crop_needs(needs: Needs, crop: View) -> Needs:
    """The needs of an observer, with the boxes that a crop is cut by."""
    return replace(needs, boxes=crop.crops or crop.frames_face, framing=crop.frames_face)


class CropStream:
    """One crop of one video of a clip."""

    def __init__(self, crop: View) -> None:
        self.by_box = crop.crops or crop.frames_face
        self._stream = open_view(crop)

    def pictures(self, frames: FrameChunk, rows: np.ndarray | None) -> np.ndarray:
        """The crops of the next frames.

        Parameters
        ----------
        frames : FrameChunk
            The n frames that follow those of the last call.
        rows : (k, 4) or None
            Their boxes, fewer once the boxes end; not asked for by a crop without boxes.

        Returns
        -------
        (m, height, width, 3) uint8
            Of the first m frames: all n of them, or as many as have a box.

        Raises
        ------
        ClipError
            As :meth:`tlbench.media.views.ViewStream.apply` does.
        """
        if not self.by_box:
            return self._stream.apply(frames)
        count = min(len(frames), 0 if rows is None else len(rows))
        if rows is None or not count:
            return np.empty((0, 0, 0, 3), np.uint8)
        return self._stream.apply(first_frames(frames, count), rows[:count])


def boxes_in(pictures: np.ndarray, frames: FrameChunk, rows: np.ndarray | None, crop: View) -> np.ndarray:
    """(k, 4) float64: where the face boxes of frames are in their pictures, x1 y1 x2 y2 in pixels of these.

    Parameters
    ----------
    pictures : (n, H, W, 3) uint8
        Of the frames, by a crop that is ``face-256`` or shows the whole frame.
    rows : (k, 4) or None
        The boxes, in pixels of the frames; None if they are not known, which stands for the whole picture.
    """
    height, width = pictures.shape[1:3]
    if rows is None:
        return np.tile(np.array([0.0, 0.0, width, height]), (len(pictures), 1))
    if crop.frames_face:
        inner = MARGIN / (1 + 2 * MARGIN)  # where the face's square begins
        edges = np.array([inner, inner, 1 - inner, 1 - inner]) * np.array([width, height, width, height])
        return np.tile(edges, (len(rows), 1))
    frame_height, frame_width = frames.rgb.shape[1:3]
    scale = np.array([width, height]) / np.array([frame_width, frame_height])
    return np.asarray(rows * np.tile(scale, 2))


def first_frames(frames: FrameChunk, count: int) -> FrameChunk:
    """The first ``count`` frames of a chunk."""
    return frames if len(frames) == count else FrameChunk(frames.start, frames.native[:count])


def check_face(clip: Clip, crop: CropStream, boxes: Boxes | None) -> None:
    """Raises ClipError if a crop by face boxes is of a clip that shows no face in most of its frames.

    Its pictures would be of something else, and a set of them has a number all the same.
    """
    if crop.by_box and boxes is not None and boxes.face.faceless:
        raise ClipError(
            "no-face",
            f"clip {clip.id}: most frames show no face to crop; leave the clip out, or take the whole frame (--view)",
        )


def faces_shown(frames: FrameChunk, *videos: Boxes | None) -> np.ndarray:
    """Which of these frames show the followed face in all of some videos.

    Parameters
    ----------
    videos : Boxes or None
        The boxes of each whole video; None for one whose boxes are not known, which is not asked.

    Returns
    -------
    (n,) bool
        All False if one of the videos shows no face in most of its frames.
    """
    shown = np.ones(len(frames), dtype=bool)
    for boxes in videos:
        if boxes is None:
            continue
        there = boxes.face.there[frames.start : frames.start + len(frames)]
        shown[: len(there)] &= there
        shown[len(there) :] = False
        shown &= not boxes.face.faceless
    return shown

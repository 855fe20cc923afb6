"""Eyes, nose tip and mouth centre of the followed face, from the embedded detector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tlbench.errors import ClipError
from tlbench.media.blazeface import BlazeFaceDetector, framed, steadied
from tlbench.media.video_reader import FrameChunk

DETECTOR = "blazeface-points"  # enters protocol ids and cache keys
FOUR = 4  # of the detector's six points: right eye, left eye, nose tip, mouth centre


def find_face_points(chunks: Iterable[FrameChunk]) -> np.ndarray:
    """The four points of the best face of every frame.

    Parameters
    ----------
    chunks : iterable of FrameChunk
        The video in order.

    Returns
    -------
    ndarray
        (T, 4, 2) float64 x y in pixels of the frame; NaN for frames without a face.

    Raises
    ------
    ClipError
        ``no-frames`` if the video has no frame.
    """
    detector = BlazeFaceDetector()
    before: np.ndarray | None = None
    found = []
    for frame in (frame for chunk in chunks for frame in chunk.rgb):
        face = detector.find(frame, before)
        if face is None:
            before = None
            found.append(np.full((FOUR, 2), np.nan))
            continue
        box = framed(face.square, frame.shape)
        before = box if before is None else steadied(before, box)
        found.append(face.points[:FOUR])
    if not found:
        raise ClipError("no-frames", "no face: the video has no frame; re-encode it")
    return np.stack(found)

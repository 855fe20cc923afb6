"""The best face of every frame, without asking whose it is."""

from __future__ import annotations

from collections.abc import Iterable

from tlbench.media.faces import Boxes, FaceDetector, as_boxes, best_faces, check_smooth
from tlbench.media.followed import fill_gaps
from tlbench.media.video_reader import FrameChunk


def best_boxes(runs: Iterable[FrameChunk], detector: FaceDetector, smooth: int = 0) -> Boxes:
    """As `tlbench.media.people.find_people` keeps them of a video with one face."""
    check_smooth(smooth)
    best, centre = best_faces(runs, detector)
    return as_boxes(best, centre, fill_gaps(best, centre), detector.name, smooth)

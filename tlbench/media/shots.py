"""The shots of a video, cut by PySceneDetect as joonson/syncnet_python's ``run_pipeline.py`` has it cut.

That file gives the whole video to a ``SceneManager`` with a ``ContentDetector`` and changes none of their settings.
Here the detector gets the frames that are decoded for the observers, so that no video is read a second time. The
settings are written out, because they differ between versions of PySceneDetect: 0.5.1, which the file's requirements
named at first, cut at 30 and picked every n-th pixel; 0.6 and later cut at 27 and shrink by ``cv2.resize``.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from tlbench.media.rates import FRAMES_PER_SECOND

# PySceneDetect 0.7.2: scenedetect/detectors/content_detector.py and scene_manager.py.
THRESHOLD = 27.0  # mean change of hue, saturation and value, each 0 to 255 (hue to 180)
LEAST_FRAMES = 15  # cuts that follow each other faster are merged
WIDTH = 256  # pixels: wider or higher frames are made so wide or high first
SHOTS_RULE = f"shots=content{THRESHOLD:g}"  # as written in protocol ids


class ShotCutter:
    """Finds the cuts of one video while its frames pass."""

    def __init__(self) -> None:
        from scenedetect.common import FrameTimecode
        from scenedetect.detector import FlashFilter
        from scenedetect.detectors import ContentDetector

        self._detector = ContentDetector(
            threshold=THRESHOLD, min_scene_len=LEAST_FRAMES, filter_mode=FlashFilter.Mode.MERGE
        )
        self._time = FrameTimecode
        self._frames = 0
        self._cuts: set[int] = set()

    def take(self, rgb: np.ndarray) -> None:
        """Take the next frames: (n, H, W, 3) uint8 RGB."""
        for frame in rgb:
            now = self._time(self._frames, float(FRAMES_PER_SECOND))
            cuts = self._detector.process_frame(now, cv2.cvtColor(_small(frame), cv2.COLOR_RGB2BGR))
            self._cuts |= {cut.frame_num for cut in cuts}
            self._frames += 1

    def shots(self) -> list[tuple[int, int]]:
        """First frame of each shot and the one after its last; one shot without cuts, none without frames."""
        last = self._detector.post_process(self._time(self._frames, float(FRAMES_PER_SECOND)))
        edges = sorted({0, self._frames} | self._cuts | {cut.frame_num for cut in last})
        return list(pairwise(edges))


def _small(frame: np.ndarray) -> np.ndarray:
    """The frame with a longer side of `WIDTH`, if it is larger, as ``SceneManager`` gives it to its detectors."""
    height, width = frame.shape[:2]
    factor = max(height, width) / WIDTH
    if factor <= 1:
        return frame
    size = max(1, round(width / factor)), max(1, round(height / factor))
    return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)

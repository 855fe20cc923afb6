"""Where the mouth lies in each frame, for observers that want it aligned: from landmarks, given or found.

As with boxes, the reference video decides for both videos unless the user asks for each to decide for itself.
"""

from __future__ import annotations

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.landmarks import DETECTOR, find_landmarks, read_landmarks
from tlbench.media.mouth_patch import placements
from tlbench.media.video_reader import VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.evidence import Evidence
from tlbench.observing.face_boxes import GuideSource


class MouthFinder:
    """Finds the placements of clips. What is detected is kept by the video's content.

    Parameters
    ----------
    cache : Cache
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def identity(self, clip: Clip, video_sha256: str | None, whose: GuideSource = "reference") -> str:
        """What decides the placements in one of the clip's videos, for cache keys.

        Raises ClipError if a given file can't be read.
        """
        if clip.landmarks is not None and whose == "reference":
            return "given:" + content_sha256(clip.landmarks, clip.id, "landmark file")
        return f"{DETECTOR}@{video_sha256}"

    def placements(
        self, clip: Clip, video: VideoReader | None, video_sha256: str | None, whose: GuideSource = "reference"
    ) -> np.ndarray:
        """(T, 2, 3) float64 affine maps of one of the videos, as :func:`tlbench.media.mouth_patch.placements`.

        Raises
        ------
        ClipError
            If given landmarks do not fit, no frame shows a face, or the video can't be decoded.
        TlbenchError
            If landmarks have to be found and the detector is not installed.
        """
        if clip.landmarks is not None and whose == "reference":
            return placements(read_landmarks(clip.landmarks))
        if video is None:
            raise ClipError("missing", f"clip {clip.id}: there is no {whose} video to find the mouth in")
        key = {
            "landmarks": self.identity(clip, video_sha256, whose),
            "decoding": video.decoding,
        }
        stored = self.cache.read(key)
        if stored is not None:
            return placements(Evidence.from_json(stored).array("landmarks"))
        found = find_landmarks(video.frames())
        self.cache.write(key, Evidence("landmarks", {"landmarks": found}).to_json())
        return placements(found)

    def of_clip(self, clip: Clip, whose: GuideSource = "reference") -> np.ndarray:
        """:meth:`placements` of a clip whose video nobody has opened yet."""
        video = clip.generated if whose == "generated" else clip.reference
        sha256 = content_sha256(video, clip.id, f"{whose} video")
        assert video is not None  # content_sha256 refuses a clip without one
        return self.placements(clip, VideoReader(video, 0), sha256, whose)


def mouth_mark(source: GuideSource) -> str:
    """Where found landmarks come from, for protocol ids."""
    return DETECTOR + ("@each" if source == "generated" else "")

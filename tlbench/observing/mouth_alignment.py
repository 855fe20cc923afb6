"""The position of the mouth in each frame, from landmarks of a file or detected ones.

As with boxes, the real video's are used for both videos, unless the user wants each video to have its own.
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
    """Finds the placements of clips. Detected landmarks are cached by the video's content.

    Parameters
    ----------
    cache : Cache
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def identity(self, clip: Clip, video_sha256: str | None, role: GuideSource = "reference") -> str:
        """Everything that decides the placements of one of the clip's videos, for cache keys.

        Raises ClipError if the landmark file can't be read.
        """
        if clip.landmarks is not None and role == "reference":
            return "given:" + content_sha256(clip.landmarks, clip.id, "landmark file")
        return f"{DETECTOR}@{video_sha256}"

    def placements(
        self, clip: Clip, video: VideoReader | None, video_sha256: str | None, role: GuideSource = "reference"
    ) -> np.ndarray:
        """(T, 2, 3) float64 affine maps of one of the videos, see :func:`tlbench.media.mouth_patch.placements`.

        Raises
        ------
        ClipError
            If the landmark file is invalid, no frame shows a face, or the video can't be decoded.
        TlbenchError
            If landmarks have to be detected and the detector is not installed.
        """
        if clip.landmarks is not None and role == "reference":
            return placements(read_landmarks(clip.landmarks))
        if video is None:
            raise ClipError("missing", f"clip {clip.id}: there is no {role} video to find the mouth in")
        key = {
            "landmarks": self.identity(clip, video_sha256, role),
            "decoding": video.decoding,
        }
        stored = self.cache.read(key)
        if stored is not None:
            return placements(Evidence.from_json(stored).array("landmarks"))
        found = find_landmarks(video.frames())
        self.cache.write(key, Evidence("landmarks", {"landmarks": found}).to_json())
        return placements(found)

    def of_clip(self, clip: Clip, role: GuideSource = "reference") -> np.ndarray:
        """:meth:`placements` of a clip with a video that is not opened yet."""
        video = clip.generated if role == "generated" else clip.reference
        sha256 = content_sha256(video, clip.id, f"{role} video")
        assert video is not None  # content_sha256 refuses a clip without one
        return self.placements(clip, VideoReader(video, 0), sha256, role)


def mouth_mark(source: GuideSource) -> str:
    """The source of detected landmarks, for protocol ids."""
    return DETECTOR + ("@each" if source == "generated" else "")

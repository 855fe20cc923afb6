"""The position of the mouth in each frame, from landmarks of a file or detected ones, or from the detector's points.

As with boxes, the real video's are used for both videos, unless the user wants each video to have its own.
"""

from __future__ import annotations

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media import face_points
from tlbench.media.alignments import ALIGNMENTS
from tlbench.media.landmarks import DETECTOR, find_landmarks, read_landmarks
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

    def identity(self, clip: Clip, video_sha256: str | None, role: GuideSource = "reference", *, alignment: str) -> str:
        """Everything that decides the points of one of the clip's videos, for cache keys.

        Raises ClipError if the landmark file can't be read.
        """
        if clip.landmarks is not None and role == "reference" and takes_landmarks(alignment):
            return "given:" + content_sha256(clip.landmarks, clip.id, "landmark file")
        return f"{_detector(alignment)}@{video_sha256}"

    def placements(
        self,
        clip: Clip,
        video: VideoReader | None,
        video_sha256: str | None,
        alignment: str,
        role: GuideSource = "reference",
    ) -> np.ndarray:
        """The placements of one of the videos, in a way of :mod:`tlbench.media.alignments`.

        Raises
        ------
        ClipError
            If the landmark file is invalid, no frame shows a face, or the video can't be decoded.
        TlbenchError
            If landmarks have to be detected and the detector is not installed.
        """
        placements = ALIGNMENTS[alignment].placements
        if clip.landmarks is not None and role == "reference" and takes_landmarks(alignment):
            return placements(read_landmarks(clip.landmarks))
        if video is None:
            raise ClipError("missing", f"clip {clip.id}: there is no {role} video to find the mouth in")
        key = {
            "landmarks": self.identity(clip, video_sha256, role, alignment=alignment),
            "decoding": video.decoding,
        }
        stored = self.cache.read(key)
        if stored is not None:
            return placements(Evidence.from_json(stored).array("landmarks"))
        find = find_landmarks if takes_landmarks(alignment) else face_points.find_face_points
        found = find(video.frames())
        self.cache.write(key, Evidence("landmarks", {"landmarks": found}).to_json())
        return placements(found)

    def of_clip(self, clip: Clip, alignment: str, role: GuideSource = "reference") -> np.ndarray:
        """:meth:`placements` of a clip with a video that is not opened yet."""
        video = clip.generated if role == "generated" else clip.reference
        sha256 = content_sha256(video, clip.id, f"{role} video")
        assert video is not None  # content_sha256 refuses a clip without one
        return self.placements(clip, VideoReader(video, 0), sha256, alignment, role)


def takes_landmarks(alignment: str) -> bool:
    """Whether a way of :mod:`tlbench.media.alignments` takes 68 landmarks, which a file can give."""
    return ALIGNMENTS[alignment].points == "landmarks"


def mouth_mark(alignment: str, source: GuideSource) -> str:
    """The source of detected points, for protocol ids."""
    return _detector(alignment) + ("@each" if source == "generated" else "")


def _detector(alignment: str) -> str:
    return DETECTOR if takes_landmarks(alignment) else face_points.DETECTOR

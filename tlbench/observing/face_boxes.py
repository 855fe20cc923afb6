"""The face boxes of a run: from a file of the clip, fixed by the data set, or detected in the real video.

Boxes of the real video are used for both videos, so that a badly generated face can't move its own crop. With
``source="generated"`` each video has its own boxes, and the protocol says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tlbench.checkpoints.catalogue import detector_card
from tlbench.checkpoints.weights import Weights, find_weights
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError, listed, quoted
from tlbench.media.box_files import read_boxes
from tlbench.media.faces import Boxes, FaceDetector, fixed_boxes
from tlbench.media.followed import FollowedFace
from tlbench.media.people import check_choice, find_people
from tlbench.media.video_reader import VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.evidence import Evidence

GuideSource: TypeAlias = Literal["reference", "generated"]
DETECTORS = ("auto", "s3fd", "blazeface", "haar")  # valid names
EMBEDDED = "blazeface"  # the detector of ``auto`` without S3FD's checkpoint


@dataclass(frozen=True)
class BoxRule:
    """How boxes are found for a clip without a box file.

    Attributes
    ----------
    detector : str
        ``blazeface`` (embedded), ``haar`` (embedded, OpenCV's), ``s3fd`` (published, needs weights) or ``fixed``.
    weights : Path or None
        S3FD's checkpoint.
    weights_sha256 : str or None
        Of that file, in hex.
    smooth : int
        Width in frames of a running median over the boxes; 0 for none, as published.
    fixed : tuple of int or None
        x1 y1 x2 y2 of the data set's own box.
    source : "reference" or "generated"
        ``generated``: faces are detected in the generated video as well, and each video has its own boxes. A box file,
        or the data set's fixed box, is always for the real video.
    face : str
        The face to follow if there are several: see :func:`tlbench.media.people.find_people`.
    """

    detector: str = EMBEDDED
    weights: Path | None = None
    weights_sha256: str | None = None
    smooth: int = 0
    fixed: tuple[int, int, int, int] | None = None
    source: GuideSource = "reference"
    face: str = "largest"

    @property
    def fixed_text(self) -> str:
        """``fixed:x1,y1,x2,y2`` for protocol ids and cache keys; "" if no box is fixed."""
        return "" if self.fixed is None else "fixed:" + ",".join(map(str, self.fixed))

    @property
    def identity(self) -> str:
        """Short text for protocol ids and cache keys: everything besides the video that decides the boxes."""
        fixed = self.fixed_text
        if self.source == "reference":
            return fixed or self.search
        return f"{fixed}+{self.search}@each" if fixed else f"{self.search}@each"

    @property
    def search(self) -> str:
        """Short text for everything that decides the boxes detected in a video."""
        weights = f":{self.weights_sha256[:12]}" if self.weights_sha256 else ""
        smooth = f"~{self.smooth}" if self.smooth else ""
        face = "" if self.face == "largest" else f"+face={self.face}"
        return f"{self.detector}{weights}{smooth}{face}"


def choose_rule(
    fixed: tuple[int, int, int, int] | None,
    detector: str,
    smooth: int,
    given: Mapping[str, Path],
    source: GuideSource = "reference",
    face: str = "largest",
) -> tuple[BoxRule, Weights | None]:
    """The rule of a run, and the checkpoint it uses.

    Parameters
    ----------
    fixed : tuple of int or None
        The data set's fixed box, which has priority over the detector in its videos.
    detector : str
        One of `DETECTORS`; ``auto`` is s3fd if its checkpoint is given or is in the checkpoint folder, else blazeface.
    smooth : int
        0, or an odd number of frames.
    given : mapping of name to Path
        Checkpoints given by the user.
    source : "reference" or "generated"
    face : str
        ``largest``, ``central``, or a number from the left: see :func:`tlbench.media.people.find_people`.

    Raises
    ------
    TlbenchError
        Unknown detector or face, even ``smooth``, or no checkpoint of S3FD.
    """
    if smooth < 0 or (smooth and smooth % 2 == 0):
        raise TlbenchError(f"smooth {smooth}: must be 0 or an odd number of frames")
    if detector not in DETECTORS:
        raise TlbenchError(f"no detector {quoted(detector)}{listed(detector, DETECTORS)}")
    check_choice(face)
    if fixed is not None and source == "reference":
        return BoxRule("fixed", fixed=fixed), None
    found = find_weights([detector_card()], given) if detector in ("auto", "s3fd") else None
    if found is not None:
        return BoxRule("s3fd", found.path, found.sha256, smooth, fixed, source, face), found
    if detector == "s3fd":
        card = detector_card()
        raise TlbenchError(
            f"detector 's3fd' needs its checkpoint: download {card.url} and pass --weights s3fd={card.file}, "
            "or --detector blazeface"
        )
    embedded = "haar" if detector == "haar" else EMBEDDED
    return BoxRule(embedded, smooth=smooth, fixed=fixed, source=source, face=face), None


def embedded_detector() -> FaceDetector:
    """The detector that needs no download, for checks of faces."""
    from tlbench.media.blazeface import BlazeFaceDetector

    return BlazeFaceDetector()


def load_detector(rule: BoxRule) -> FaceDetector:
    """The detector of a rule. Raises TlbenchError if its weights do not fit, ValueError if the rule has no detector."""
    if rule.detector == "blazeface":
        return embedded_detector()
    if rule.detector == "haar":
        from tlbench.media.haar import HaarDetector

        return HaarDetector()
    if rule.detector == "s3fd" and rule.weights is not None:
        from tlbench.checkpoints.state_dict import read_checkpoint
        from tlbench.media.s3fd import S3FDDetector

        return S3FDDetector(read_checkpoint(rule.weights))
    raise ValueError(f"{rule} has no detector to load")


class BoxFinder:
    """Finds the boxes of clips by one rule. The detector is loaded when first needed.

    A clip has two videos, and ``role`` says which one is meant: "reference" (real) or "generated".

    Parameters
    ----------
    rule : BoxRule
    cache : Cache
        Detected boxes are cached by the content of the video.
    """

    def __init__(self, rule: BoxRule, cache: Cache) -> None:
        self.rule = rule
        self.cache = cache
        self._detector: FaceDetector | None = None

    def identity(self, clip: Clip, video_sha256: str | None, role: GuideSource = "reference") -> str:
        """Everything that decides the boxes of one of the clip's videos, for cache keys; the hash is of that video.

        Raises ClipError if the box file can't be read.
        """
        if clip.boxes is not None and role == "reference":
            return "given:" + content_sha256(clip.boxes, clip.id, "box file")
        if self.rule.fixed is not None and role == "reference":
            return f"{self.rule.fixed_text}@{video_sha256}"
        return f"{self.rule.search}@{video_sha256}"

    def boxes(
        self, clip: Clip, video: VideoReader | None, video_sha256: str | None, role: GuideSource = "reference"
    ) -> Boxes:
        """The boxes of one of the clip's videos, one per frame.

        The first of these that there is: for the real video the clip's box file, then the data set's fixed box; else
        what was detected in the video before, from the cache; else what is detected now.

        Parameters
        ----------
        clip : Clip
        video : VideoReader or None
            The video that ``role`` names. None is allowed for the real video of a clip with a box file.
        video_sha256 : str or None
            Of that video's file, for the cache.
        role : "reference" or "generated"

        Raises
        ------
        ClipError
            If the box file is invalid, or the video is missing or can't be decoded.
        TlbenchError
            If the detector's weights do not fit.
        """
        if clip.boxes is not None and role == "reference":
            return _from_file(clip.boxes, video)
        if video is None:
            raise ClipError("missing", f"clip {clip.id}: no {role} video is there to find its face boxes in")
        if self.rule.fixed is not None and (role == "reference" or self.rule.detector == "fixed"):
            return fixed_boxes(self.rule.fixed, sum(len(chunk) for chunk in video.frames()))
        key = {"boxes": self.identity(clip, video_sha256, role), "decoding": video.decoding}
        stored = self.cache.read(key)
        boxes = None if stored is None else _from_cache(Evidence.from_json(stored), self.rule.detector)
        if boxes is not None:
            return boxes
        if self._detector is None:
            self._detector = load_detector(self.rule)
        found = find_people(video.frames, self._detector, self.rule.smooth, self.rule.face)
        self.cache.write(key, _for_cache(found).to_json())
        return found

    def searches(self, clip: Clip) -> bool:
        """Whether boxes of the clip's real video have to be detected: it has no box file, and none is fixed."""
        return clip.boxes is None and self.rule.fixed is None

    def of_clip(self, clip: Clip, role: GuideSource = "reference") -> Boxes:
        """What :meth:`boxes` gives, of a video that is not opened yet. Raises ClipError also if it can't be read."""
        video = clip.generated if role == "generated" else clip.reference
        sha256 = content_sha256(video, clip.id, f"{role} video")
        assert video is not None  # content_sha256 refuses a clip without one
        return self.boxes(clip, VideoReader(video, 0), sha256, role)


def _from_file(path: Path, video: VideoReader | None) -> Boxes:
    """The boxes of a file. Rows without a face get a centred box, for whose place the frame size is needed."""
    boxes = read_boxes(path)
    if not boxes.missing or video is None:
        return boxes
    chunk = next(video.frames(1), None)
    return boxes if chunk is None else read_boxes(path, frame_size=(chunk.rgb.shape[2], chunk.rgb.shape[1]))


def _for_cache(found: Boxes) -> Evidence:
    """Boxes as an entry of the cache."""
    face = found.face
    return Evidence(
        "boxes",
        {
            "xyxy": found.xyxy,
            "missing": found.missing,
            "followed": face.xyxy,
            "states": face.states,
            "several": face.several,
            "searched": face.searched,
        },
    )


def _from_cache(entry: Evidence, detector: str) -> Boxes | None:
    """The boxes of a cache entry, which ``detector`` found; None if it is from before faces were followed."""
    if "states" not in entry.values:
        return None
    face = FollowedFace(
        entry.array("followed"), entry.array("states"), int(entry.number("several")), int(entry.number("searched"))
    )
    return Boxes(entry.array("xyxy"), int(entry.number("missing")), detector, face)

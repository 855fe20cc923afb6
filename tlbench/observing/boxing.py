"""Which face boxes a run uses: given with the clip, fixed by the data set, or detected in the reference video.

Boxes come from the reference and serve both videos, so that a badly generated face can't move its own crop; only if
a user asks for it is each video cut by boxes of its own, and then the protocol says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.faces import Boxes, FaceDetector, HaarDetector, fixed_boxes, read_boxes
from tlbench.media.followed import FollowedFace
from tlbench.media.people import check_choice, find_people
from tlbench.media.video import Footage
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.card import Card, read_card
from tlbench.observing.evidence import Evidence
from tlbench.observing.weights import Weights, find_weights

GuideSource: TypeAlias = Literal["reference", "generated"]
DETECTORS = ("auto", "s3fd", "blazeface", "haar")  # what a user may name
EMBEDDED = "blazeface"  # what auto falls back to


@dataclass(frozen=True)
class BoxRule:
    """How boxes are found where a clip has none of its own.

    Attributes
    ----------
    detector : str
        ``blazeface`` (embedded), ``haar`` (embedded, OpenCV's), ``s3fd`` (published, needs weights) or ``fixed``.
    weights : Path or None
        S3FD's checkpoint.
    weights_sha256 : str or None
    smooth : int
        Width in frames of a running median over the boxes; 0 for none, as published.
    fixed : tuple of int or None
        x1 y1 x2 y2 of the data set's own box.
    source : "reference" or "generated"
        ``generated``: faces are looked for in the generated video as well, and each video is cut by its own. What is
        given, or fixed by the data set, is the reference's in any case.
    face : str
        Whose face is followed where there are several: see :func:`tlbench.media.people.find_people`.
    """

    detector: str = EMBEDDED
    weights: Path | None = None
    weights_sha256: str | None = None
    smooth: int = 0
    fixed: tuple[int, int, int, int] | None = None
    source: GuideSource = "reference"
    face: str = "largest"

    @property
    def identity(self) -> str:
        """Short text that decides the boxes besides the video: stands in protocol ids and cache keys."""
        fixed = "" if self.fixed is None else "fixed:" + ",".join(map(str, self.fixed))
        if self.source == "reference":
            return fixed or self.search
        return f"{fixed}+{self.search}@each" if fixed else f"{self.search}@each"

    @property
    def search(self) -> str:
        """Short text that decides the boxes found in a video."""
        weights = f":{self.weights_sha256[:12]}" if self.weights_sha256 else ""
        smooth = f"~{self.smooth}" if self.smooth else ""
        face = "" if self.face == "largest" else f"+face={self.face}"
        return f"{self.detector}{weights}{smooth}{face}"


def detector_card() -> Card:
    """The data sheet of S3FD's checkpoint."""
    return read_card(Path(str(files("tlbench.media"))) / "card_s3fd.toml")


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
        The data set's own box; in its videos it goes before any detector.
    detector : str
        One of `DETECTORS`; ``auto`` is s3fd if its checkpoint is given or lies in the checkpoint folder,
        else blazeface.
    smooth : int
        0, or an odd number of frames.
    given : mapping of name to Path
        Checkpoints the user named.
    source : "reference" or "generated"
    face : str
        ``largest``, ``central``, or a number from the left: see :func:`tlbench.media.people.find_people`.

    Raises
    ------
    TlbenchError
        Unknown detector or face, even ``smooth``, or S3FD's checkpoint is not there.
    """
    if smooth < 0 or (smooth and smooth % 2 == 0):
        raise TlbenchError(f"smooth {smooth}: must be 0 or an odd number of frames")
    if detector not in DETECTORS:
        raise TlbenchError(f"no detector {detector!r}; there are {', '.join(DETECTORS)}")
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
    """The detector that needs no download, which looks at frames that no rule has boxes for."""
    return BlazeFaceDetector()


def load_detector(rule: BoxRule) -> FaceDetector:
    """The detector of a rule. Raises TlbenchError if its weights do not fit."""
    if rule.detector == "blazeface":
        return BlazeFaceDetector()
    if rule.detector == "haar":
        return HaarDetector()
    if rule.detector == "s3fd" and rule.weights is not None:
        from tlbench.media.s3fd import S3FDDetector
        from tlbench.observing.checkpoints import read_checkpoint

        return S3FDDetector(read_checkpoint(rule.weights))
    raise ValueError(f"{rule} has no detector to load")


class BoxFinder:
    """Finds the boxes of clips by one rule. The detector is loaded when first needed; what it finds is kept.

    Parameters
    ----------
    rule : BoxRule
    cache : Cache
        Detected boxes are kept here by the reference's content.
    """

    def __init__(self, rule: BoxRule, cache: Cache) -> None:
        self.rule = rule
        self.cache = cache
        self._detector: FaceDetector | None = None

    def identity(self, clip: Clip, video_sha256: str | None, whose: GuideSource = "reference") -> str:
        """What decides the boxes of one of the clip's videos, for cache keys.

        Raises ClipError if a given file can't be read.
        """
        if clip.boxes is not None and whose == "reference":
            return "given:" + content_sha256(clip.boxes, clip.id, "box file")
        if self.rule.fixed is not None and whose == "reference":
            return "fixed:" + ",".join(map(str, self.rule.fixed)) + f"@{video_sha256}"
        return f"{self.rule.search}@{video_sha256}"

    def boxes(
        self, clip: Clip, video: Footage | None, video_sha256: str | None, whose: GuideSource = "reference"
    ) -> Boxes:
        """The boxes of one of the clip's videos, one a frame; ``video`` is the one meant by ``whose``.

        Boxes given with the clip are its reference's, and alone can do without the video.

        Raises
        ------
        ClipError
            If given boxes do not fit, or the video can't be decoded.
        """
        if clip.boxes is not None and whose == "reference":
            return _given(clip.boxes, video)
        if video is None:
            raise ClipError("missing", f"clip {clip.id}: no {whose} video is there to find its face boxes in")
        if self.rule.fixed is not None and (whose == "reference" or self.rule.detector == "fixed"):
            return fixed_boxes(self.rule.fixed, sum(len(run) for run in video.frames()))
        key = {
            "boxes": self.identity(clip, video_sha256, whose),
            "decoding": video.decoding,
        }
        stored = self.cache.read(key)
        kept = None if stored is None else _kept(Evidence.from_json(stored), self.rule.detector)
        if kept is not None:
            return kept
        if self._detector is None:
            self._detector = load_detector(self.rule)
        found = find_people(video.frames, self._detector, self.rule.smooth, self.rule.face)
        self.cache.write(key, _to_keep(found).to_json())
        return found

    def searches(self, clip: Clip) -> bool:
        """Whether boxes of the clip's real video have to be detected: none are given with it or fixed."""
        return clip.boxes is None and self.rule.fixed is None

    def decided_by(self, clips: Iterable[Clip]) -> str:
        """Short text that says what decides the boxes of the clips' real videos: ``blazeface``, ``given`` ..."""
        fixed = self.rule.fixed is not None
        found = "fixed:" + ",".join(map(str, self.rule.fixed or ())) if fixed else self.rule.search
        return "+".join(sorted({"given" if clip.boxes is not None else found for clip in clips}))

    def given_sha256(self, clips: Iterable[Clip]) -> dict[str, str]:
        """By clip id the SHA-256 of the file of boxes given with it, where there is one that can be read."""
        found = {}
        for clip in clips:
            if clip.boxes is not None:
                with suppress(ClipError):  # who needs them says so
                    found[clip.id] = content_sha256(clip.boxes, clip.id, "box file")
        return found

    def of_clip(self, clip: Clip, whose: GuideSource = "reference") -> Boxes:
        """:meth:`boxes` of a clip whose video nobody has opened yet."""
        video = clip.generated if whose == "generated" else clip.reference
        sha256 = content_sha256(video, clip.id, f"{whose} video")
        assert video is not None  # content_sha256 refuses a clip without one
        return self.boxes(clip, Footage(video, 0), sha256, whose)


def _given(path: Path, video: Footage | None) -> Boxes:
    """The boxes of a file; the size of the video's frames decides the centred box of rows without a face."""
    boxes = read_boxes(path)
    if not boxes.missing or video is None:
        return boxes
    run = next(video.frames(1), None)
    return boxes if run is None else read_boxes(path, frame_size=(run.rgb.shape[2], run.rgb.shape[1]))


def _to_keep(found: Boxes) -> Evidence:
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


def _kept(kept: Evidence, source: str) -> Boxes | None:
    """What an earlier run has found; None if nobody followed a face then."""
    if "states" not in kept.values:
        return None
    face = FollowedFace(
        kept.array("followed"), kept.array("states"), int(kept.number("several")), int(kept.number("searched"))
    )
    return Boxes(kept.array("xyxy"), int(kept.number("missing")), source, face)

"""The checks of one clip during a run, made on what the run reads and decodes for its observers.

A run checks all headers and decoded pictures, the sound if an observer needs it, and faces if an observer needs boxes.
The findings are cached by content, like evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.faces import Boxes
from tlbench.media.probe import VideoInfo
from tlbench.media.scaling import Size
from tlbench.media.timeline import CHANGED, decoding_key
from tlbench.media.video_reader import DECODING, FrameChunk, VideoReader
from tlbench.observing.face_checks import FacePlace
from tlbench.observing.observer import Needs
from tlbench.preflight.faces import VideoRole, check_faces
from tlbench.preflight.findings import CATALOGUE, Finding
from tlbench.preflight.frames import frames_at_25
from tlbench.preflight.headers import (
    Expected,
    check_boxes,
    check_identity,
    check_reference,
    check_video,
    frames_to_expect,
)
from tlbench.preflight.motion import MotionCurve, check_picture_lag
from tlbench.preflight.pictures import check_pictures, check_reference_pictures
from tlbench.preflight.sound import Sound
from tlbench.preflight.sound_checks import SOUND_LOST, check_sound

VERSION = 6  # raise it when the same files give other findings
Part = Literal["headers", "pictures", "reference", "faces", "real-faces", "framing", "whole-frame", "sound"]


def wanted_parts(needs: Iterable[Needs], *, laid: bool = True, whole_frame: bool = False) -> tuple[Part, ...]:
    """The parts of the checks for observers with these needs, in order.

    ``laid``: whether boxes of the real video are used for the generated one, so that both must have the same framing.
    ``whole_frame``: whether an observer scales whole frames, which then have to show just a face.
    """
    needs = list(needs)
    parts: list[Part] = ["headers", "pictures"]
    if any(need.reference for need in needs):
        parts.append("reference")
    if any(need.boxes for need in needs):
        parts += ["faces", "framing"] if laid else ["faces"]
    if not laid and any(need.boxes and need.reference for need in needs):  # each video has its own boxes
        parts.append("real-faces")
    if whole_frame:
        parts.append("whole-frame")
    if any(need.audio for need in needs):
        parts.append("sound")
    return tuple(parts)


@dataclass
class ClipChecks:
    """The checks of one clip, and what they have found so far.

    Attributes
    ----------
    clip : Clip
    expected : Expected
        Of every clip of the data set.
    wanted : tuple of Part
        The parts to check in this run.
    done : set of Part
    findings : list of Finding
    frames_expected : int or None
        Number of frames the clip should have; None if not known.
    frames : int or None
        Number of frames of the generated video at 25 frames/s, by its header.
    pictures_sha256 : str or None
        Of the generated video's coded pictures, the same in any container.
    changed : set of str
        Those of ``generated``, ``reference`` and ``audio`` that older versions read differently, by
        :func:`tlbench.media.timeline.decoding_key`.
    same_bytes : bool
        Whether both files are equal.
    size, reference_size : (width, height) or None
        Frame sizes of the generated and of the real video, by their headers; None if they can't be read.
    face_place : FacePlace or None
        Position of the face in the generated video; None if not checked.
    """

    clip: Clip
    expected: Expected
    wanted: tuple[Part, ...]
    done: set[Part] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    frames_expected: int | None = None
    frames: int | None = None
    pictures_sha256: str | None = None
    changed: set[str] = field(default_factory=set)
    _motion: MotionCurve = field(default_factory=MotionCurve)
    _real_motion: MotionCurve = field(default_factory=MotionCurve)
    size: Size | None = None
    reference_size: Size | None = None
    same_bytes: bool = False
    face_place: FacePlace | None = None

    @property
    def guide_size(self) -> Size | None:
        """The frame size of boxes and landmarks of the real video; None if not known."""
        return self.reference_size or self.expected.frame_size

    @property
    def whole(self) -> bool:
        """Whether all wanted parts that apply to the clip have been checked."""
        return self.done >= set(self.wanted) - (
            {"reference", "faces", "real-faces", "framing"} if self.clip.reference is None else set()
        )

    @property
    def places_face(self) -> bool:
        """Whether the position of the face in the generated video still has to be found."""
        return "whole-frame" in self.wanted and "whole-frame" not in self.done

    @property
    def surplus(self) -> bool:
        """Whether the generated video is longer than its clip, so that its last frames are left out."""
        return self.frames is not None and self.frames_expected is not None and self.frames > self.frames_expected

    def key(self, sha256: Mapping[str, str | None]) -> dict[str, Any]:
        """The cache key: everything that decides the findings, with the hashes of the clip's files."""
        return {
            "checks": VERSION,
            "decoding": DECODING,
            "parts": list(self.wanted),
            "expected": [self.expected.frame_size, self.expected.frame_count, self.expected.as_lrw],
            "allow_short": self.expected.allow_short,
            "boxes_of_each": self.expected.boxes_of_each,
            "word": self.clip.word is not None,
            **sha256,
        }

    def check_headers(self, generated: VideoReader, reference: VideoReader | None, *, same_bytes: bool) -> None:
        """Check the headers of both videos, and the clip's box file. ``same_bytes``: whether both videos are equal.

        Raises
        ------
        ClipError
            If the generated video's headers can't be read.
        """
        video = generated.info
        real, found = check_reference(self.clip, self.expected, lambda path: _info(reference, path))
        self.findings += found
        if self.clip.boxes is not None:
            self.findings += check_boxes(self.clip.id, self.clip.boxes, real)
        self.findings += check_video(self.clip, video, real, self.expected)
        self.findings += check_identity(self.clip.id, video, real, same_bytes=same_bytes)
        self.same_bytes = same_bytes
        self.size = (video.width, video.height)
        self.reference_size = None if real is None else (real.width, real.height)
        self.frames = frames_at_25(video)
        self.pictures_sha256 = video.video_packets_sha256
        self.frames_expected = frames_to_expect(self.clip, video, real, self.expected)
        self.done.add("headers")

    def note_origins(self, generated: VideoReader, reference: VideoReader | None) -> None:
        """Note which of the clip's files older versions read differently."""
        videos = {"generated": generated, "reference": reference}
        self.changed = {name for name, video in videos.items() if video is not None and video.decoding != DECODING}
        if decoding_key(self.clip.audio):
            self.changed.add("audio")

    def read_anew(self, needs: Needs, *, laid: bool) -> str:
        """The mark in the cache key of evidence from a file that older versions read differently, else "".

        ``laid``: whether boxes and landmarks are the real video's.
        """
        used = {"generated"}
        if needs.reference or (laid and (needs.boxes or needs.placements)):
            used.add("reference")
        if needs.audio:
            used.add("audio")
        return CHANGED if used & self.changed else ""

    def check_generated(self, generated: VideoReader) -> None:
        """Check the generated video after it was decoded to the end."""
        if "pictures" in self.done:
            return
        self.findings += check_pictures(
            self.clip.id, generated.info, generated.decoded_count, generated.damaged_packets
        )
        self.done.add("pictures")

    def check_real(self, reference: VideoReader) -> None:
        """Check the real video, and the lag between both videos, after both were decoded to the end."""
        if "reference" in self.done:
            return
        self.findings += check_reference_pictures(
            self.clip.id, reference.info, reference.decoded_count, reference.damaged_packets
        )
        self.findings += check_picture_lag(self.clip.id, self._motion, self._real_motion)
        self.done.add("reference")

    def update_motion(self, seen: FrameChunk | None, real: FrameChunk | None) -> None:
        """Take the next frames of both videos for the lag of their motion."""
        for curve, chunk in ((self._motion, seen), (self._real_motion, real)):
            if chunk is not None:
                curve.update(chunk.rgb)

    def check_sound(self, sound: Sound | None, generated: VideoReader, reference: VideoReader | None) -> None:
        """Check the clip's sound. If it is None, the observers that need sound report the error."""
        if sound is not None:
            real = None
            with suppress(ClipError):  # reported by the check of the headers
                real = None if reference is None else reference.info
            found = check_sound(self.clip, generated.info, real, sound)
            self.findings += [one for one in found if one.level != "error" or one.code == SOUND_LOST]
        self.done.add("sound")

    def add_faces(self, boxes: Boxes, role: VideoRole) -> None:
        """Check the faces that were found in one of the videos; a box file was checked with the headers.

        If the real video is scored as a generated one, its missing faces are reported once, as the data set's.
        """
        part: Part = "real-faces" if "real-faces" in self.wanted and role == "reference" else "faces"
        reported = part in self.done or (self.same_bytes and bool({"faces", "real-faces"} & self.done))
        if boxes.source != "given" and not reported:
            self.findings += check_faces(self.clip.id, boxes, "reference" if self.same_bytes else role)
        self.done.add(part)

    def add_framing(self, found: Iterable[Finding]) -> None:
        """Add the findings about the framing: whether the boxes fit the generated faces."""
        self.findings += found
        self.done.add("framing")

    def add_face_place(self, place: FacePlace) -> None:
        """Set the position of the face in the generated video, which concerns some observers only."""
        self.face_place = place
        self.done.add("whole-frame")

    def to_json(self) -> dict[str, Any]:
        """The cache entry, without the clip's id."""
        return {
            "findings": [replace(found, clip=None).to_json() for found in self.findings],
            "frames": self.frames,
            "frames_expected": self.frames_expected,
            "pictures_sha256": self.pictures_sha256,
            "size": self.size,
            "reference_size": self.reference_size,
            "changed": sorted(self.changed),
            "face_place": None if self.face_place is None else asdict(self.face_place),
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Take the cache entry of an earlier run."""
        self.findings = [replace(Finding.from_json(data), clip=self.clip.id) for data in kept["findings"]]
        self.frames, self.frames_expected = kept["frames"], kept["frames_expected"]
        self.pictures_sha256 = kept["pictures_sha256"]
        self.size, self.reference_size = (
            None if kept[name] is None else (kept[name][0], kept[name][1]) for name in ("size", "reference_size")
        )
        self.changed = set(kept["changed"])
        place = kept.get("face_place")  # older entries have none
        self.face_place = None if place is None else FacePlace(**place)
        self.done = set(self.wanted)


def _info(reference: VideoReader | None, path: Any) -> VideoInfo:
    if reference is None:
        raise ValueError(f"{path} is not open")
    return reference.info


def concerned(found: Finding, needs: Mapping[str, Needs], reads_reference: Sequence[str]) -> Finding:
    """The finding with the observers that it concerns, if it is an error or about the data set.

    Parameters
    ----------
    needs : mapping of observer name to Needs
    reads_reference : sequence of str
        The observers that need the real video, for its frames or its faces.
    """
    kind = CATALOGUE[found.code]
    if found.observers or (found.level != "error" and not kind.of_dataset):
        return found
    whom = {
        "all": list(needs),
        "sound": [name for name, need in needs.items() if need.audio],
        "reference": [name for name in needs if name in reads_reference],
        "boxes": [name for name, need in needs.items() if need.boxes],
        "framing": [name for name, need in needs.items() if need.boxes or need.placements or need.reference],
        "words": [name for name, need in needs.items() if need.word],
        "none": [],
    }
    # No observer uses the other video's position, or reads a word: what is scored is right.
    if kind.concerns in ("framing", "words") and not whom[kind.concerns]:
        return replace(found, level="warning")
    return replace(found, observers=tuple(whom[kind.concerns]))

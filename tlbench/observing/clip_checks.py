"""The checks of one clip during a run, made on what the run reads and decodes anyway.

A run reads every header. What else is checked follows from what its observers need: the pictures always, the sound if
some observer hears it, faces if some observer is told where they are. What was found is kept by content, like evidence.
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
from tlbench.media.video import DECODING, Footage, Frames
from tlbench.observing.face_checks import FacePlace
from tlbench.observing.observer import Needs
from tlbench.preflight.clip import (
    Expected,
    check_boxes,
    check_identity,
    check_pictures,
    check_reference,
    check_reference_pictures,
    check_sound,
    check_video,
    frames_to_expect,
)
from tlbench.preflight.faces import Whose, check_faces
from tlbench.preflight.findings import CATALOGUE, Finding
from tlbench.preflight.frames import frames_at_25
from tlbench.preflight.motion import MotionCurve, check_picture_lag
from tlbench.preflight.sound import Sound

VERSION = 5  # raised when the same files would give other findings
Part = Literal["headers", "pictures", "reference", "faces", "real-faces", "framing", "whole-frame", "sound"]


def wanted_parts(needs: Iterable[Needs], *, laid: bool = True, whole_frame: bool = False) -> tuple[Part, ...]:
    """The parts of the checks that observers of these needs have the files read for, in order.

    ``laid``: whether boxes of the real video are laid over the generated one, so that it must frame the face alike.
    ``whole_frame``: whether an observer scales whole frames, so that they have to be a face.
    """
    needs = list(needs)
    parts: list[Part] = ["headers", "pictures"]
    if any(need.reference for need in needs):
        parts.append("reference")
    if any(need.boxes for need in needs):
        parts += ["faces", "framing"] if laid else ["faces"]
    if not laid and any(need.boxes and need.reference for need in needs):  # each video is cut by boxes of its own
        parts.append("real-faces")
    if whole_frame:
        parts.append("whole-frame")
    if any(need.audio for need in needs):
        parts.append("sound")
    return tuple(parts)


@dataclass
class ClipChecks:
    """What the checks have found of one clip so far.

    Attributes
    ----------
    clip : Clip
    expected : Expected
        Of every clip of the data set.
    wanted : tuple of Part
        What is to be checked in this run.
    done : set of Part
    findings : list of Finding
    frames_expected : int or None
        How many frames the clip should have; None if nothing says so.
    frames : int or None
        How many the generated video has at 25 a second, by its header.
    pictures_sha256 : str or None
        Of the generated video's coded pictures, whatever they are wrapped in.
    changed : set of str
        Those of ``generated``, ``reference`` and ``audio`` that once were read otherwise, by
        :func:`tlbench.media.timeline.decoding_key`.
    same_bytes : bool
        Whether both files are equal.
    size, reference_size : (width, height) or None
        Of the frames of the generated and of the real video, by their headers; None if they can't be read.
    face_place : FacePlace or None
        Where the face is in the generated video; None if that was not looked at.
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
        """The frame size that boxes and landmarks of the real video are of; None if nothing says so."""
        return self.reference_size or self.expected.frame_size

    @property
    def whole(self) -> bool:
        """Whether everything that is wanted, and that the clip has, has been checked."""
        return self.done >= set(self.wanted) - (
            {"reference", "faces", "real-faces", "framing"} if self.clip.reference is None else set()
        )

    @property
    def places_face(self) -> bool:
        """Whether it is still to be seen where the face of the generated video is."""
        return "whole-frame" in self.wanted and "whole-frame" not in self.done

    @property
    def surplus(self) -> bool:
        """Whether the generated video is longer than its clip, so that its end is not shown to anybody."""
        return self.frames is not None and self.frames_expected is not None and self.frames > self.frames_expected

    def key(self, sha256: Mapping[str, str | None]) -> dict[str, Any]:
        """Everything that decides the findings: the content of the clip's files, and what is expected of them."""
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

    def read_headers(self, generated: Footage, reference: Footage | None, *, same_bytes: bool) -> None:
        """Check the headers of both videos, and the clip's own boxes. ``same_bytes``: whether both files are equal.

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

    def note_origins(self, generated: Footage, reference: Footage | None) -> None:
        """Which of the clip's files were once read otherwise."""
        videos = {"generated": generated, "reference": reference}
        self.changed = {name for name, video in videos.items() if video is not None and video.decoding != DECODING}
        if decoding_key(self.clip.audio):
            self.changed.add("audio")

    def read_anew(self, needs: Needs, *, laid: bool) -> str:
        """What evidence has in its key if it comes from a file that once was read otherwise, so that it is made anew.

        ``laid``: whether boxes and landmarks are the real video's.
        """
        used = {"generated"}
        if needs.reference or (laid and (needs.boxes or needs.placements)):
            used.add("reference")
        if needs.audio:
            used.add("audio")
        return CHANGED if used & self.changed else ""

    def see_pictures(self, generated: Footage) -> None:
        """Check what decoding the whole generated video has shown."""
        if "pictures" in self.done:
            return
        self.findings += check_pictures(
            self.clip.id, generated.info, generated.decoded_count, generated.damaged_packets
        )
        self.done.add("pictures")

    def see_reference(self, reference: Footage) -> None:
        """Check what decoding the whole real video has shown, and when it moves; the generated one has been seen."""
        if "reference" in self.done:
            return
        self.findings += check_reference_pictures(
            self.clip.id, reference.info, reference.decoded_count, reference.damaged_packets
        )
        self.findings += check_picture_lag(self.clip.id, self._motion, self._real_motion)
        self.done.add("reference")

    def see_motion(self, seen: Frames | None, real: Frames | None) -> None:
        """The next runs of both videos, side by side."""
        for curve, run in ((self._motion, seen), (self._real_motion, real)):
            if run is not None:
                curve.see(run.rgb)

    def hear(self, sound: Sound | None, generated: Footage, reference: Footage | None) -> None:
        """Check what was heard of the clip. None if there is none: then the observers that need it fail and say so."""
        if sound is not None:
            real = None
            with suppress(ClipError):  # the check of the headers has said so
                real = None if reference is None else reference.info
            said = check_sound(self.clip, generated.info, real, sound)
            self.findings += [found for found in said if found.level != "error"]  # who minds silence says so itself
        self.done.add("sound")

    def see_faces(self, boxes: Boxes, whose: Whose) -> None:
        """Check the faces that were found in one of the videos; given boxes were checked with the headers.

        What a real video that is scored as a generated one lacks is the data set's, and told once.
        """
        part: Part = "real-faces" if "real-faces" in self.wanted and whose == "reference" else "faces"
        told = part in self.done or (self.same_bytes and bool({"faces", "real-faces"} & self.done))
        if boxes.source != "given" and not told:
            self.findings += check_faces(self.clip.id, boxes, "reference" if self.same_bytes else whose)
        self.done.add(part)

    def see_framing(self, found: Iterable[Finding]) -> None:
        """Take what looking at the generated faces has shown: whether the boxes lie on them."""
        self.findings += found
        self.done.add("framing")

    def see_place(self, place: FacePlace) -> None:
        """Take where the face of the generated video is. What that means depends on who looks at it."""
        self.face_place = place
        self.done.add("whole-frame")

    def to_json(self) -> dict[str, Any]:
        """What is kept, whatever the clip is called."""
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
        """What an earlier run has found."""
        self.findings = [replace(Finding.from_json(data), clip=self.clip.id) for data in kept["findings"]]
        self.frames, self.frames_expected = kept["frames"], kept["frames_expected"]
        self.pictures_sha256 = kept["pictures_sha256"]
        self.size, self.reference_size = (
            None if kept[name] is None else (kept[name][0], kept[name][1]) for name in ("size", "reference_size")
        )
        self.changed = set(kept["changed"])
        place = kept.get("face_place")  # older entries are of runs that did not look
        self.face_place = None if place is None else FacePlace(**place)
        self.done = set(self.wanted)


def _info(reference: Footage | None, path: Any) -> VideoInfo:
    if reference is None:
        raise ValueError(f"{path} is not open")
    return reference.info


def concerned(found: Finding, needs: Mapping[str, Needs], reads_reference: Sequence[str]) -> Finding:
    """The finding with the observers of a run whose numbers it touches: after an error, or if it is the data set's.

    Parameters
    ----------
    needs : mapping of observer name to Needs
    reads_reference : sequence of str
        The observers that have the real video looked at, for its pictures or its faces.
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
    # Nobody of the run looks where the other video's face is, or reads a word: what is scored stands.
    if kind.concerns in ("framing", "words") and not whom[kind.concerns]:
        return replace(found, level="warning")
    return replace(found, observers=tuple(whom[kind.concerns]))

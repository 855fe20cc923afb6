"""The contract of a generator: anything that makes a video of each real clip.

There are two kinds. A :class:`FaceGenerator` makes faces: it gets the face of each frame, cropped, and the speech, and
its faces are pasted into the frames. Any other :class:`Generator` gets whole frames and returns whole frames. The
writer (:mod:`tlbench.generation.generate_dataset`) reads what a generator needs of a clip, writes the video and its
log, and continues a stopped run, in the same way for all of them.

A generator is found by its name (:mod:`tlbench.generation.registry`). A video must not depend on the other clips of the
run, so that a run may be stopped, continued and divided.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.generation.encoding import CRF
from tlbench.generation.face_patch import SIDE, crop_face, paste_face
from tlbench.observing.evidence import NOT_FINITE

Identity: TypeAlias = Literal["first", "same"]
Precision: TypeAlias = Literal["fp32", "bf16"]
Trim: TypeAlias = Literal["both-ends", "end"]
SoundForm: TypeAlias = Literal["none", "samples", "mel", "mel-windows", "filterbank"]
Returned: TypeAlias = Literal["faces", "frames"]
StandInOf: TypeAlias = Literal["", "same speaker", "another speaker"]

RUN_FRAMES = 8  # frames that a face generator is given at once, unless it says otherwise


class Stopped(Exception):  # noqa: N818 not an error
    """Generation was stopped by the user."""


@dataclass(frozen=True)
class GeneratorNeeds:
    """What a generator needs of a clip. The writer reads only this.

    Attributes
    ----------
    sound : str
        ``none``; ``samples``, (N,) int16 at 16 kHz, for a generator that computes its own features; ``mel``, Wav2Lip's
        spectrogram of the whole clip, (80, S) float32; ``mel-windows``, its 0.2 s around each frame,
        (T, 1, 80, 16) float32; ``filterbank``, AV-HuBERT's stacked filterbanks of the whole clip, (T, 104) float32.
    ahead_frames : int
        With ``mel-windows``: how many frames before its frame a window begins. 0 as in Wav2Lip's ``inference.py``, 2 to
        have the frame in the middle.
    boxes : bool
        Face boxes of the real video.
    identity : bool
        For faces: another face of the person, besides that of the frame to generate.
    lower_half : bool
        For faces: the lower half of the face of the frame to generate. If False it is black, so that a generator can't
        see the lips that it is to make.
    donor, mouths : bool
        For controls: the speech of another clip; mouths of other clips at moments with similar sound.
    stand_in : "same speaker", "another speaker" or ""
        For faults: the face of another clip of that speaker with another text, warped in time to the clip's sound.
    """

    sound: SoundForm = "samples"
    ahead_frames: int = 0
    boxes: bool = True
    identity: bool = True
    lower_half: bool = False
    donor: bool = False
    mouths: bool = False
    stand_in: StandInOf = ""

    def __post_init__(self) -> None:
        if self.ahead_frames and self.sound != "mel-windows":
            raise ValueError(f"ahead_frames {self.ahead_frames} is for mel-windows, not for {self.sound}")


@dataclass(frozen=True)
class GenerateOptions:
    """How a generator is loaded and run.

    Attributes
    ----------
    identity : "first" or "same"
        The face that a face generator is given besides that of the frame: the clip's first one, or that of the same
        frame, which shows it the real lips.
    trim : "both-ends" or "end"
        Where the features of a global audio encoder are cut if they are longer than the video; see
        :meth:`tlbench.talklip.inference.TalkLipInference.encode_audio`. Ignored by other generators.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
    precision : "fp32" or "bf16"
    crf : int
        Quality of the H.264 encoder; lower is better.
    seed : int
        Decides which clip's speech each clip is given by a generator that needs a donor.
    """

    identity: Identity = "first"
    trim: Trim = "both-ends"
    device: str = "auto"
    precision: Precision = "fp32"
    crf: int = CRF
    seed: int = 0


DEFAULT_OPTIONS = GenerateOptions()


@dataclass(frozen=True)
class StandIn:
    """The frames of another clip, in the order in which they replace the frames of a clip.

    Attributes
    ----------
    frames : (T, height, width, 3) uint8 RGB
        May have another size than the clip's.
    boxes : (T, 4) int64 x1 y1 x2 y2
    """

    frames: np.ndarray
    boxes: np.ndarray

    def shown_at(self, place: np.ndarray) -> StandIn:
        """Its frames in the order of ``place``, (T,) frame indices; an index beyond its end gives its last frame."""
        shown = np.clip(place, 0, len(self.frames) - 1)
        return StandIn(self.frames[shown], self.boxes[np.clip(place, 0, len(self.boxes) - 1)])


@dataclass(frozen=True)
class SourceClip:
    """What a generator is given of a clip.

    Attributes
    ----------
    clip : Clip
    frames : iterator of (number, (height, width, 3) uint8 RGB)
        The frames to generate, in order, each with its number in the real video. A frame may be the same array again,
        so it must be copied before it is changed.
    count : int
        How many.
    boxes : sequence of (4,) int64 x1 y1 x2 y2, or None
        The face box of each frame of the real video by number; None for a frame without one. None unless needed.
    samples : (N,) int16 at 16 kHz, or None without sound
        The speech, which the video is written with.
    sound : ndarray or None
        What :attr:`GeneratorNeeds.sound` asks for.
    identity : "first" or "same"
        See :class:`GenerateOptions`.
    donor : (M,) int16, or None unless needed
        The speech of another clip.
    mouths : T pictures (h, w, 3) uint8 RGB of any size, or None unless needed
    stand_in : StandIn, or None unless needed
        Another clip's face, as many frames.
    stop : Event
        Is set when the run is to stop; checked between runs of frames.
    """

    clip: Clip
    frames: Iterator[tuple[int, np.ndarray]]
    count: int
    boxes: Sequence[np.ndarray | None] | None
    samples: np.ndarray | None
    sound: np.ndarray | None = None
    identity: Identity = "first"
    donor: np.ndarray | None = None
    mouths: tuple[np.ndarray, ...] | None = None
    stand_in: StandIn | None = None
    stop: Event = field(default_factory=Event)


@dataclass(frozen=True)
class MadeClip:
    """What a generator makes of a clip.

    Attributes
    ----------
    frames : iterator of (height, width, 3) uint8 RGB
        As many as were given. They are computed while they are written.
    samples : (N,) int16 at 16 kHz, or None without sound
    """

    frames: Iterator[np.ndarray]
    samples: np.ndarray | None


class Generator(ABC):
    """Makes a video of each clip. Built once for a run by :meth:`load`.

    Class attributes
    ----------------
    version : int
        Raise it when the same input gives other frames.
    returns : "faces" or "frames"
    autoregressive : bool
        Whether a frame depends on those generated before it. If False, a frame does not depend on the runs that a clip
        is cut into; the contract tests check this.
    has_weights : bool
        Whether it needs a checkpoint.

    Attributes
    ----------
    name : str
        In the registry, and in the packages of its weights.
    needs : GeneratorNeeds
        May depend on the checkpoint.
    crf : int or None
        Of its videos, in place of that of the options.
    clips_at_once : int
        The number of clips that it generates at the same time unless the user says otherwise.
    checkpoint : Path or None
        The file or package that it was loaded from.
    """

    version: ClassVar[int] = 1
    returns: ClassVar[Returned] = "frames"
    autoregressive: ClassVar[bool] = False
    has_weights: ClassVar[bool] = False
    clips_at_once: int = 1
    checkpoint: Path | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """A class attribute, where the name does not depend on parameters."""

    @property
    def needs(self) -> GeneratorNeeds:
        """A class attribute, where the needs do not depend on the checkpoint."""
        return GeneratorNeeds()

    @property
    def crf(self) -> int | None:
        """None unless the quality of the encoding is what the generator is about."""
        return None

    @classmethod
    @abstractmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> Generator:
        """Build the generator. ``weights`` is the file or package of its checkpoint, None unless :attr:`has_weights`.

        Raises
        ------
        TlbenchError
            If the checkpoint can't be read or is another generator's, or there is no such device.
        """

    @abstractmethod
    def generate(self, source: SourceClip) -> MadeClip:
        """The video of a clip. Raises ClipError, at once or from its frames, if it can't be made."""

    def log_entry(self) -> dict[str, Any]:
        """What decides the frames, besides the clip's files, as JSON for ``generation.json``.

        A run is continued only with the same entry.
        """
        return {"generator": {"name": self.name, "version": self.version}}

    def libraries(self) -> Mapping[str, str]:
        """Versions of the libraries it uses by name, for people; a run may be continued with others."""
        return {}


class FaceClip(ABC):
    """One clip in a face generator, with what it keeps of it: encoded sound, or the faces it has generated."""

    @abstractmethod
    def generate(self, numbers: np.ndarray, poses: np.ndarray, identity: np.ndarray | None) -> np.ndarray:
        """Generate the faces of some frames. Called for one run of frames after another, in order.

        Parameters
        ----------
        numbers : (n,) int64
            Places of the frames in the clip, counted from 0; frames without a face are left out.
        poses : (n, side, side, 3) uint8 RGB
            Their faces, with the lower half black unless :attr:`GeneratorNeeds.lower_half`.
        identity : (n, side, side, 3) or (1, side, side, 3) uint8 RGB, or None unless :attr:`GeneratorNeeds.identity`
            Other faces of the person, or one for all frames.

        Returns
        -------
        (n, side, side, 3) float32 RGB, 0 to 255
        """


class FaceGenerator(Generator):
    """Makes faces; the writer crops the faces it is given and pastes those that it returns, as TalkLip does.

    Attributes
    ----------
    side : int
        Width and height of its faces in pixels.
    run_frames : int
        Frames that :meth:`FaceClip.generate` is given at once.
    """

    returns = "faces"
    side: int = SIDE
    run_frames: int = RUN_FRAMES

    @abstractmethod
    def start_clip(self, sound: np.ndarray | None, frames: int) -> FaceClip:
        """Start a clip of so many frames. ``sound`` is what :attr:`GeneratorNeeds.sound` asks for.

        Raises
        ------
        ClipError
            If the clip can't be generated.
        """

    def generate(self, source: SourceClip) -> MadeClip:
        """The frames with generated faces in their boxes, and the speech.

        Raises, from the frames,

        ClipError
            If a frame has no entry in ``boxes``, its box is outside the frame, or a generated face is not finite.
        Stopped
            If the run is to stop.
        """
        return MadeClip(self._frames(source, self.start_clip(source.sound, source.count)), source.samples)

    def _frames(self, source: SourceClip, clip: FaceClip) -> Iterator[np.ndarray]:
        first: np.ndarray | None = None
        for begin in range(0, source.count, self.run_frames):
            if source.stop.is_set():
                raise Stopped
            run = list(itertools.islice(source.frames, self.run_frames))
            shown = [(place, frame, _box(source, number)) for place, (number, frame) in enumerate(run)]
            with_face = [(place, frame, box) for place, frame, box in shown if box is not None]
            results = [frame.copy() for _, frame, _ in shown]
            if with_face:
                faces = np.stack([crop_face(frame, box, self.side) for _, frame, box in with_face])
                first = faces[:1].copy() if first is None else first
                identity = (first if source.identity == "first" else faces) if self.needs.identity else None
                numbers = np.array([begin + place for place, _, _ in with_face], np.int64)
                made = clip.generate(numbers, faces if self.needs.lower_half else _upper_half(faces), identity)
                if not np.isfinite(made).all():
                    raise ClipError(
                        NOT_FINITE,
                        "the generator gives faces whose pixels are not finite numbers; its checkpoint is damaged, "
                        "take another (--generator)",
                    )
                for (place, _, box), face in zip(with_face, made, strict=True):
                    paste_face(results[place], box, face)
            yield from results


def _upper_half(faces: np.ndarray) -> np.ndarray:
    """(n, side, side, 3): the faces with their lower half black."""
    poses: np.ndarray = faces.copy()
    poses[:, poses.shape[1] // 2 :] = 0
    return poses


def _box(source: SourceClip, number: int) -> np.ndarray | None:
    boxes = source.boxes
    assert boxes is not None  # every face generator needs them
    if number >= len(boxes):
        raise ClipError(
            "boxes-too-short", f"{len(boxes)} face boxes, but the video has a frame {number}; find boxes again"
        )
    return boxes[number]

"""Controls: real clips with one known fault, or with none, as ceilings and floors of a table.

All controls except ``ground-truth`` are written by the same encoder, so that two rows differ by the named fault only;
``reencoded`` shows the loss by the encoder itself.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from tlbench.errors import ClipError, TlbenchError, did_you_mean, quoted
from tlbench.generation.encoding import CRF
from tlbench.generation.generator import (
    GenerateOptions,
    Generator,
    GeneratorNeeds,
    MadeClip,
    SourceClip,
    StandIn,
    StandInOf,
)
from tlbench.generation.nearest_mouth import mouth_halves
from tlbench.media.blending import softness
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE

SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND  # 640


@dataclass(frozen=True)
class ControlScene:
    """A real clip as input and output of a control.

    Attributes
    ----------
    frames : (T, height, width, 3) uint8 RGB
    samples : (N,) int16 at 16 kHz, or None without audio
    boxes : (T, 4) int64 x1 y1 x2 y2, or None unless the control needs them
    donor : (M,) int16, or None unless the control needs it
        The speech of another clip.
    stand_in : StandIn, or None unless the control needs it
        Another clip's face.
    mouths : T pictures (h, w, 3) uint8 RGB of any size, or None unless the control needs them
        Mouths of other clips at the moments with the most similar sound.
    """

    frames: np.ndarray
    samples: np.ndarray | None = None
    boxes: np.ndarray | None = None
    donor: np.ndarray | None = None
    stand_in: StandIn | None = None
    mouths: tuple[np.ndarray, ...] | None = None


def middle(count: int, share: float) -> slice:
    """The middle ``share`` of ``count`` frames or samples; all of them for 1."""
    inside = round(share * count)
    start = (count - inside) // 2
    return slice(start, start + inside)


# A detector may miss a face that was painted over, blurred or compressed, or find it elsewhere.
SPOILT_FACE = frozenset({"no-face", "faces-missing", "framing"})


class Control(Generator):
    """One fault, as a generator of whole frames.

    ``name`` states its parameter where it is not the default, and :func:`control` reads it back.
    """

    base: ClassVar[str]
    description: ClassVar[str]
    needs_boxes: ClassVar[bool] = False
    needs_donor: ClassVar[bool] = False
    needs_mouths: ClassVar[bool] = False
    needs_stand_in: ClassVar[StandInOf] = ""
    written: ClassVar[bool] = True  # False: the real file itself is the control
    excused: ClassVar[frozenset[str]] = SPOILT_FACE  # codes of findings caused by the fault, which are not reported

    @property
    def name(self) -> str:
        return self.base

    @property
    def crf(self) -> int:
        """The constant rate factor of the written video."""
        return CRF

    @property
    def needs(self) -> GeneratorNeeds:
        """No features of the sound, which is passed through."""
        return GeneratorNeeds(
            "none",
            boxes=self.needs_boxes,
            identity=False,
            donor=self.needs_donor,
            mouths=self.needs_mouths,
            stand_in=self.needs_stand_in,
        )

    @classmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> Control:
        """The fault with its default parameter; the options change nothing."""
        return cls()

    def generate(self, source: SourceClip) -> MadeClip:
        """The clip with the fault; all of it is in memory meanwhile."""
        frames = np.stack([frame for _, frame in source.frames])
        boxes = None if source.boxes is None else _boxes(source, len(frames))
        scene = ControlScene(frames, source.samples, boxes, source.donor, source.stand_in, source.mouths)
        made = self.apply(scene)
        return MadeClip(iter(made.frames), made.samples)

    @abstractmethod
    def apply(self, scene: ControlScene) -> ControlScene:
        """The scene with the fault, as a new scene."""


@dataclass(frozen=True)
class GroundTruth(Control):
    base = "ground-truth"
    description = "the reference file itself, byte for byte"
    written = False
    excused = frozenset({"same-file", "identical", "identical-pictures", "ground-truth-as-system"})

    def apply(self, scene: ControlScene) -> ControlScene:
        return scene


@dataclass(frozen=True)
class Reencoded(Control):
    base = "reencoded"
    description = f"the reference, written again as H.264 (CRF {CRF}) with AAC sound"

    def apply(self, scene: ControlScene) -> ControlScene:
        return scene


@dataclass(frozen=True)
class FrozenMouth(Control):
    """``share`` of the clip, in its middle, shows the mouth of the first frame of that part."""

    base = "frozen-mouth"
    description = "the lower half of the face box keeps the first frame's pixels, the rest moves"
    needs_boxes = True
    share: float = 1.0

    @property
    def name(self) -> str:
        return _with_share(self.base, self.share)

    def apply(self, scene: ControlScene) -> ControlScene:
        frames = scene.frames.copy()
        halves = _mouth_halves(scene)
        frozen = middle(len(frames), self.share)
        if frozen.start == frozen.stop:
            return scene
        first = scene.frames[frozen.start][halves[frozen.start]]
        if first.size == 0:
            raise ClipError(
                "empty-crop", "the first frame's face box has no lower half inside the frame; mend the boxes"
            )
        for frame, half in zip(frames[frozen], halves[frozen], strict=True):
            height, width = frame[half].shape[:2]
            if height and width:
                frame[half] = cv2.resize(first, (width, height), interpolation=cv2.INTER_LINEAR)
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class GreyedMouth(Control):
    base = "greyed-mouth"
    description = "the lower half of the face box is plain grey (128)"
    needs_boxes = True

    def apply(self, scene: ControlScene) -> ControlScene:
        frames = scene.frames.copy()
        for frame, half in zip(frames, _mouth_halves(scene), strict=True):
            frame[half] = 128
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class NearestMouth(Control):
    base = "nearest-mouth"
    description = (
        "the lower half of the face box of the most alike sounding frame of other clips, frame by frame; soft edges"
    )
    needs_boxes = True
    needs_mouths = True

    def apply(self, scene: ControlScene) -> ControlScene:
        assert scene.mouths is not None  # needs_mouths
        frames = scene.frames.copy()
        for frame, half, mouth in zip(frames, _mouth_halves(scene), scene.mouths, strict=True):
            if mouth.size == 0:
                raise ClipError("empty-crop", "a mouth that was chosen lies outside its frame; mend the boxes")
            rows, columns = half
            height, width = frame[half].shape[:2]
            if height and width:
                own = frame[half].astype(np.float32)
                other = cv2.resize(mouth, (width, height), interpolation=cv2.INTER_LINEAR)
                soft = softness((columns.start, rows.start, columns.stop, rows.stop), rows, columns)
                frame[half] = np.rint(own + soft * (other - own))
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class Static(Control):
    base = "static"
    description = "the first frame, repeated"

    def apply(self, scene: ControlScene) -> ControlScene:
        return replace(scene, frames=np.repeat(scene.frames[:1], len(scene.frames), axis=0))


@dataclass(frozen=True)
class SwappedAudio(Control):
    """``share`` of the clip, in its middle, has the sound of another clip at the same time."""

    base = "swapped-audio"
    description = "the speech of another clip, cut or padded with silence to this clip's length"
    needs_donor = True
    excused = SPOILT_FACE | {"other-audio", "audio-length", "audio-lag", "leading-silence"}
    share: float = 1.0

    @property
    def name(self) -> str:
        return _with_share(self.base, self.share)

    def apply(self, scene: ControlScene) -> ControlScene:
        assert scene.donor is not None  # needs_donor
        own = scene.samples
        samples = np.zeros(len(scene.frames) * SAMPLES_PER_FRAME if own is None else len(own), np.int16)
        kept = scene.donor[: len(samples)]
        samples[: len(kept)] = kept
        if own is not None:
            swapped = middle(len(own), self.share)
            samples[: swapped.start], samples[swapped.stop :] = own[: swapped.start], own[swapped.stop :]
        return replace(scene, samples=samples)


@dataclass(frozen=True)
class Blurred(Control):
    """``sigma_px`` is the Gaussian's standard deviation in pixels."""

    base = "blurred"
    description = "every frame blurred by a Gaussian"
    sigma_px: float = 2.0

    @property
    def name(self) -> str:
        return self.base if self.sigma_px == Blurred.sigma_px else f"{self.base}-{self.sigma_px:g}"

    def apply(self, scene: ControlScene) -> ControlScene:
        blurred = [cv2.GaussianBlur(frame, (0, 0), self.sigma_px) for frame in scene.frames]
        return replace(scene, frames=np.stack(blurred))


@dataclass(frozen=True)
class Shifted(Control):
    """The pictures are delayed by ``frames``: the first frame is repeated and the last ones are dropped.

    Negative: the pictures are earlier and the last frame is repeated. Length and sound do not change.
    """

    base = "shifted"
    description = "the picture delayed against the sound by some frames of 1/25 s"
    excused = SPOILT_FACE | {"pictures-late"}
    frames: int = 5

    @property
    def name(self) -> str:
        return self.base if self.frames == Shifted.frames else f"{self.base}{self.frames:+d}"

    def apply(self, scene: ControlScene) -> ControlScene:
        count = len(scene.frames)
        if abs(self.frames) >= count:
            raise ClipError(
                "too-short", f"{count} frames can't be shifted by {self.frames}; nothing of the clip is left"
            )
        source = np.clip(np.arange(count) - self.frames, 0, count - 1)
        return replace(scene, frames=scene.frames[source])


CONTROLS: tuple[Control, ...] = (
    GroundTruth(),
    Reencoded(),
    Blurred(),
    Shifted(),
    FrozenMouth(),
    GreyedMouth(),
    NearestMouth(),
    Static(),
    SwappedAudio(),
)


def control(name: str) -> Control:
    """The control of a name: ``static``, ``blurred`` (2 px), ``blurred-3.5``, ``shifted`` (+5 frames), ``shifted-3``.

    ``frozen-mouth`` and ``swapped-audio`` for a part of the clip are faults, not controls: see
    :mod:`tlbench.generation.faults`.

    Raises TlbenchError for an unknown name or a parameter without effect.
    """
    for known in CONTROLS:
        if known.name == name:
            return known
    if (shift := re.fullmatch(r"shifted([+-][0-9]{1,4})", name)) and int(shift[1]) != 0:
        return Shifted(int(shift[1]))
    if (blur := re.fullmatch(r"blurred-([0-9]{1,3}(?:\.[0-9]{1,3})?)", name)) and float(blur[1]) > 0:
        return Blurred(float(blur[1]))
    there = [known.name for known in CONTROLS]
    forms = "and shifted+N, shifted-N, blurred-SIGMA"
    raise TlbenchError(f"no control {quoted(name)}{did_you_mean(name, there)}; there are {', '.join(there)}, {forms}")


def _boxes(source: SourceClip, frames: int) -> np.ndarray:
    """(T, 4); a frame without a box can't be given a fault."""
    there = [box for box in source.boxes or () if box is not None]
    if len(there) != frames:
        raise ClipError(
            "bad-boxes", f"clip {source.clip.id}: {len(there)} boxes for {frames} frames; find the boxes again"
        )
    return np.stack(there)


def _mouth_halves(scene: ControlScene) -> list[tuple[slice, slice]]:
    assert scene.boxes is not None  # needs_boxes
    return mouth_halves(scene.boxes, *scene.frames.shape[1:3])


def _with_share(base: str, share: float) -> str:
    return base if share == 1 else f"{base}-{share:g}"

"""Faults of growing size for real clips: what a metric that claims to see a fault has to react to.

A fault is a family of :class:`~tlbench.generation.controls.Control`, one for each size. At the size that is no fault,
it is the clip re-encoded, as all sizes are, so that the encoder's own loss is the zero point of every curve.

Nobody can make a real face speak less or say other words. The faults of the mouth are therefore approximations in the
picture, each said in its description; what they leave alone, they leave alone to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import cv2
import numpy as np

from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.controls import (
    CRF,
    SAMPLES_PER_FRAME,
    SPOILT_FACE,
    Blurred,
    Control,
    ControlScene,
    FrozenMouth,
    Reencoded,
    Shifted,
    StandIn,
    SwappedAudio,
    middle,
)
from tlbench.media.blending import Region, carry, softness, window
from tlbench.media.face_crop import steady

VERSION = 1  # raised when a fault of the same name and size becomes other pixels or samples
SEED = 0  # of noise
SIDE_SHARE = 0.15  # of a face box's width, on each side, that is no part of the mouth's surroundings


@dataclass(frozen=True)
class LateSound(Control):
    """``frames`` may be a fraction: sound is shifted by samples, pictures stay as they are."""

    base = "late-sound"
    description = "the sound delayed against the picture, after silence"
    excused = SPOILT_FACE | {"audio-lag", "audio-start", "leading-silence", "other-audio"}
    frames: float = 5.0

    @property
    def name(self) -> str:
        return f"{self.base}{self.frames:+g}"

    def apply(self, scene: ControlScene) -> ControlScene:
        own = _sound(scene)
        late = np.zeros_like(own)
        samples = min(round(self.frames * SAMPLES_PER_FRAME), len(own))
        late[samples:] = own[: len(own) - samples]
        return replace(scene, samples=late)


@dataclass(frozen=True)
class Coarse(Control):
    base = "coarse"
    description = "every frame made smaller by averaging, then enlarged again"
    factor: float = 2.0

    @property
    def name(self) -> str:
        return f"{self.base}-{self.factor:g}"

    def apply(self, scene: ControlScene) -> ControlScene:
        height, width = scene.frames.shape[1:3]
        small = max(1, round(width / self.factor)), max(1, round(height / self.factor))
        coarse = [
            cv2.resize(
                cv2.resize(frame, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_LINEAR
            )
            for frame in scene.frames
        ]
        return replace(scene, frames=np.stack(coarse))


@dataclass(frozen=True)
class Compressed(Control):
    base = "compressed"
    description = "encoded with fewer bits (x264's constant rate factor)"
    rate_factor: int = 38

    @property
    def name(self) -> str:
        return f"{self.base}-{self.rate_factor}"

    @property
    def crf(self) -> int:
        return self.rate_factor

    def apply(self, scene: ControlScene) -> ControlScene:
        return scene


@dataclass(frozen=True)
class Noisy(Control):
    """The same noise in every clip of one size; other noise in each frame."""

    base = "noisy"
    description = "Gaussian noise on every frame, each channel by itself"
    sigma_levels: float = 8.0

    @property
    def name(self) -> str:
        return f"{self.base}-{self.sigma_levels:g}"

    def apply(self, scene: ControlScene) -> ControlScene:
        rng = np.random.default_rng(SEED)
        frames = np.empty_like(scene.frames)
        for made, frame in zip(frames, scene.frames, strict=True):
            noise = rng.standard_normal(frame.shape, dtype=np.float32)
            made[:] = _levels(frame + np.float32(self.sigma_levels) * noise)
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class NoisySound(Control):
    """``ratio`` is the noise's effective value (RMS) over that of the clip's whole sound."""

    base = "noisy-sound"
    description = "white noise added to the sound"
    excused = SPOILT_FACE | {"other-audio"}
    ratio: float = 0.3

    @property
    def name(self) -> str:
        return f"{self.base}-{self.ratio:g}"

    def apply(self, scene: ControlScene) -> ControlScene:
        own = _sound(scene).astype(np.float64)
        noise = np.random.default_rng(SEED).standard_normal(len(own))
        noisy = own + self.ratio * np.sqrt(np.square(own).mean()) * noise
        return replace(scene, samples=np.clip(np.rint(noisy), -32768, 32767).astype(np.int16))


@dataclass(frozen=True)
class ScaledMotion(Control):
    """The mouth's difference from its own mean over the clip, times ``amplitude``: 0 is the mean, still; 1 the clip.

    In pixels, not in articulation: half-way to the mean, an open mouth is half transparent rather than half open, and
    beyond 1 contrast grows more than lips move. The mean is taken where the (steadied) face box is, so that a moving
    head does not smear it.
    """

    base = "scaled-motion"
    description = "lower face: each frame's difference from the clip's mean, scaled; soft edges"
    needs_boxes = True
    amplitude: float = 0.5

    @property
    def name(self) -> str:
        return f"{self.base}-{self.amplitude:g}"

    def apply(self, scene: ControlScene) -> ControlScene:
        regions = _mouths(scene)
        wide, high = (max(1, round(np.median([r[i + 2] - r[i] for r in regions]))) for i in (0, 1))
        patch: Region = (0.0, 0.0, float(wide), float(high))
        total = np.zeros((high, wide, 3))
        for frame, region in zip(scene.frames, regions, strict=True):
            total += carry(frame, region, patch, slice(0, high), slice(0, wide))
        mean = (total / len(regions)).astype(np.float32)
        frames = scene.frames.copy()
        for frame, region in zip(frames, regions, strict=True):
            rows, columns = _window(region, scene)
            own = frame[rows, columns].astype(np.float32)
            away = own - carry(mean, patch, region, rows, columns)
            frame[rows, columns] = _levels(
                own + np.float32(self.amplitude - 1) * softness(region, rows, columns) * away
            )
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class _Doubled(Control):
    """``share`` of the clip, in its middle, shows part of a double's face in place of its own, laid over it.

    The part is brought to the mean colour of what it covers, frame by frame, so that lighting does not betray it.
    """

    needs_boxes = True
    share: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.base}-{self.share:g}"

    def part(self, frames: np.ndarray, boxes: np.ndarray) -> list[Region]:
        raise NotImplementedError

    def apply(self, scene: ControlScene) -> ControlScene:
        assert scene.boxes is not None  # needs_boxes
        assert scene.double is not None  # needs_double
        own, others = self.part(scene.frames, scene.boxes), self.part(scene.double.frames, scene.double.boxes)
        frames = scene.frames.copy()
        swapped = middle(len(frames), self.share)
        for number in range(swapped.start, swapped.stop):
            rows, columns = _window(own[number], scene)
            frame = frames[number]
            before = frame[rows, columns].astype(np.float32)
            after = carry(scene.double.frames[number], others[number], own[number], rows, columns)
            soft = softness(own[number], rows, columns)
            after += (soft * (before - after)).sum(axis=(0, 1)) / max(float(soft.sum()), 1e-9)
            frame[rows, columns] = _levels(before + soft * (after - before))
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class OtherWords(_Doubled):
    base = "other-words"
    description = (
        "lower face from another utterance of the same speaker, warped in time so that loud and quiet fall together: "
        "in sync, wrong words"
    )
    needs_double = "same speaker"

    def part(self, frames: np.ndarray, boxes: np.ndarray) -> list[Region]:
        return _lower_faces(boxes)


@dataclass(frozen=True)
class OtherSpeaker(_Doubled):
    base = "other-speaker"
    description = "the whole face box from another speaker, who says something else, warped in time in the same way"
    needs_double = "another speaker"

    def part(self, frames: np.ndarray, boxes: np.ndarray) -> list[Region]:
        return _squares(boxes)


def _levels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _sound(scene: ControlScene) -> np.ndarray:
    if scene.samples is None:
        raise ClipError("no-audio", "the reference has no sound to put a fault into; leave the faults of sound out")
    return scene.samples


def _squares(boxes: np.ndarray) -> list[Region]:
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in steady(boxes).tolist()]


def _lower_faces(boxes: np.ndarray) -> list[Region]:
    """The lower half of each box without its sides, where behind the jaw another background would show."""
    return [
        (x1 + SIDE_SHARE * (x2 - x1), (y1 + y2) / 2, x2 - SIDE_SHARE * (x2 - x1), y2)
        for x1, y1, x2, y2 in steady(boxes).tolist()
    ]


def _mouths(scene: ControlScene) -> list[Region]:
    assert scene.boxes is not None  # needs_boxes
    return _lower_faces(scene.boxes)


def _window(region: Region, scene: ControlScene) -> tuple[slice, slice]:
    rows, columns = window(region, *scene.frames.shape[1:3])
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise ClipError("empty-crop", "a face box has no part of the mouth inside the frame; mend the boxes")
    return rows, columns


@dataclass(frozen=True)
class Fault:
    """A fault and the sizes it is tried at.

    Attributes
    ----------
    name : str
        At the command line.
    label : str
        What figures call it.
    unit : str
        Of the size.
    none : float
        The size that is no fault.
    sizes : tuple of float
        In growing order, ``none`` among them.
    of_size : size -> Control
        Not called for ``none``.
    description : str
    below, above : str
        What sizes on either side of ``none`` are called, if there are any.
    """

    name: str
    label: str
    unit: str
    none: float
    sizes: tuple[float, ...]
    of_size: Callable[[float], Control]
    description: str
    below: str = ""
    above: str = ""

    def __post_init__(self) -> None:
        if list(self.sizes) != sorted(set(self.sizes)) or self.none not in self.sizes or len(self.sizes) < 2:
            raise TlbenchError(
                f"fault {self.name!r}: sizes {self.sizes} must grow and hold {self.none:g}, which is no fault"
            )

    def control(self, size: float) -> Control:
        """What is done to a clip at this size."""
        return Reencoded() if size == self.none else self.of_size(size)

    @property
    def grown(self) -> tuple[float, ...]:
        """The sizes without the one that is no fault."""
        return tuple(size for size in self.sizes if size != self.none)

    @property
    def sides(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Name and sizes of each side of no fault that there is, from the smallest fault to the largest."""
        below = tuple(sorted((size for size in self.sizes if size < self.none), reverse=True))
        above = tuple(size for size in self.sizes if size > self.none)
        return tuple((name, sizes) for name, sizes in ((self.below, below), (self.above, above)) if sizes)


_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "shift",
        "picture shift",
        "frames",
        0,
        (-10, -5, -3, -2, -1, 0, 1, 2, 3, 5, 10),
        lambda size: Shifted(int(size)),
        "the picture later (+) or earlier (-) than the sound; the first or the last frame is repeated",
        below="early",
        above="late",
    ),
    Fault(
        "late-sound",
        "sound late",
        "frames",
        0,
        (0, 0.25, 0.5, 1, 2, 5, 10),
        LateSound,
        "the sound later than the picture, by fractions of a frame too; the picture is untouched",
    ),
    Fault("blur", "blur", "px", 0, (0, 0.5, 1, 2, 4, 8), Blurred, "a Gaussian over the whole frame; its sigma"),
    Fault(
        "coarse",
        "coarser picture",
        "times",
        1,
        (1, 1.5, 2, 3, 4, 8),
        Coarse,
        "the whole frame made smaller by this factor and enlarged again",
    ),
    Fault(
        "compression",
        "compression",
        "CRF",
        CRF,
        (CRF, 28, 33, 38, 43, 48),
        lambda size: Compressed(int(size)),
        f"H.264 at a higher constant rate factor than the {CRF} of all others",
    ),
    Fault(
        "noise",
        "noise",
        "levels",
        0,
        (0, 4, 8, 16, 32, 64),
        Noisy,
        "Gaussian noise on every pixel; its sigma in grey levels of 255",
    ),
    Fault(
        "motion",
        "mouth motion",
        "times",
        1,
        (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5),
        ScaledMotion,
        "the mouth's difference from its mean over the clip, scaled, in pixels and not in articulation",
        below="damped",
        above="exaggerated",
    ),
    Fault(
        "frozen-mouth",
        "mouth frozen",
        "of the clip",
        0,
        _SHARES,
        FrozenMouth,
        "the lower half of the face box stands still for this share of the clip, in its middle",
    ),
    Fault(
        "other-words",
        "other words",
        "of the clip",
        0,
        _SHARES,
        OtherWords,
        "the mouth of another utterance of the same speaker, warped in time so that loud and quiet fall together, for "
        "this share of the clip: in sync, wrong words",
    ),
    Fault(
        "other-speaker",
        "other speaker",
        "of the clip",
        0,
        _SHARES,
        OtherSpeaker,
        "the face of another speaker, who says something else, warped in time in the same way",
    ),
    Fault(
        "other-sound",
        "other sound",
        "of the clip",
        0,
        _SHARES,
        SwappedAudio,
        "the sound of another clip for this share of the clip, in its middle; the picture is untouched",
    ),
    Fault(
        "sound-noise",
        "sound noise",
        "of RMS",
        0,
        (0, 0.03, 0.1, 0.3, 1, 3),
        NoisySound,
        "white noise in the sound; its RMS over that of the sound; the picture is untouched",
    ),
)


def find_faults(words: Iterable[str] | None) -> tuple[Fault, ...]:
    """The faults of some names, in the order of :data:`FAULTS`; all of them for None or ``all``.

    Raises TlbenchError for a name that is none.
    """
    names = [fault.name for fault in FAULTS]
    wanted = names if words is None else list(words)
    if wanted == ["all"]:
        wanted = names
    for word in wanted:
        if word not in names:
            near: Sequence[str] = get_close_matches(word, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TlbenchError(f"no fault {word!r}{hint} (there are {', '.join(names)})")
    if not wanted:
        raise TlbenchError(f"no fault was asked for; there are {', '.join(names)} (--faults)")
    return tuple(fault for fault in FAULTS if fault.name in wanted)


def double_of(scene: StandIn, place: np.ndarray) -> StandIn:
    """A double's frames in the order of ``place`` (T,), which of its frames is shown when; beyond its end, the last."""
    shown = np.clip(place, 0, len(scene.frames) - 1)
    return StandIn(scene.frames[shown], scene.boxes[np.clip(place, 0, len(scene.boxes) - 1)])

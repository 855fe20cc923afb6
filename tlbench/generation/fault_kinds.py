"""The faults that only exist for calibration, as controls: each puts one fault of a given size into a clip.

A real face can't be made to speak less or to say other words. The faults of the mouth are therefore approximations in
the picture, as their descriptions say; pixels and samples outside the fault are unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from tlbench.errors import ClipError
from tlbench.generation.controls import SAMPLES_PER_FRAME, SPOILT_FACE, Control, ControlScene, middle
from tlbench.media.blending import Region, carry, softness, window
from tlbench.media.face_crop import steady

SEED = 0  # of noise
MOUTH_SIDE, MOUTH_HEIGHT = 0.2, 0.45  # of a face box: beside the mouth, and from its upper edge to the chin
SIDE_SHARE = 0.15  # of a face box's width: left out on each side of the lower face


@dataclass(frozen=True)
class LateSound(Control):
    """The sound is delayed by ``frames``, which may be a fraction; the pictures do not change."""

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
    """The noise differs from frame to frame, and is the same in every clip of one frame size."""

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
    """``ratio`` is the RMS of the noise over the RMS of the clip's whole sound."""

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
    """The mouth's difference from its mean over the clip, times ``amplitude``: 0 is the still mean, 1 the clip.

    This scales pixels, not articulation: half-way to the mean, an open mouth is half transparent instead of half open,
    and above 1 mostly the contrast grows. The mean is taken in the smoothed face box, so that a moving head does not
    blur it.
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
class _StandInFace(Control):
    """``share`` of the clip, in its middle, shows part of another clip's face over its own.

    The part gets the mean colour of what it covers, frame by frame, so that lighting does not give it away.
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
        assert scene.stand_in is not None  # needs_stand_in
        own, others = self.part(scene.frames, scene.boxes), self.part(scene.stand_in.frames, scene.stand_in.boxes)
        frames = scene.frames.copy()
        swapped = middle(len(frames), self.share)
        for number in range(swapped.start, swapped.stop):
            rows, columns = _window(own[number], scene)
            frame = frames[number]
            before = frame[rows, columns].astype(np.float32)
            after = carry(scene.stand_in.frames[number], others[number], own[number], rows, columns)
            soft = softness(own[number], rows, columns)
            after += (soft * (before - after)).sum(axis=(0, 1)) / max(float(soft.sum()), 1e-9)
            frame[rows, columns] = _levels(before + soft * (after - before))
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class OtherWords(_StandInFace):
    base = "other-words"
    description = (
        "lower face from another utterance of the same speaker, warped in time so that loud and quiet fall together: "
        "in sync, wrong words"
    )
    needs_stand_in = "same speaker"

    def part(self, frames: np.ndarray, boxes: np.ndarray) -> list[Region]:
        return _lower_faces(boxes)


@dataclass(frozen=True)
class OtherSpeaker(_StandInFace):
    base = "other-speaker"
    description = "the whole face box from another speaker, who says something else, warped in time in the same way"
    needs_stand_in = "another speaker"

    def part(self, frames: np.ndarray, boxes: np.ndarray) -> list[Region]:
        return _squares(boxes)


@dataclass(frozen=True)
class IdentitySwap(OtherSpeaker):
    """As `OtherSpeaker`, with the clip's own mouth on top: another person says the words of the clip, in sync."""

    base = "identity-swap"
    description = "the face box from another speaker, around the clip's own mouth: another person, the same words"

    def apply(self, scene: ControlScene) -> ControlScene:
        assert scene.boxes is not None  # needs_boxes
        frames = super().apply(scene).frames
        swapped = middle(len(frames), self.share)
        own = _lips(scene.boxes)
        for number in range(swapped.start, swapped.stop):
            rows, columns = _window(own[number], scene)
            soft = softness(own[number], rows, columns)
            before, after = (of[number, rows, columns].astype(np.float32) for of in (scene.frames, frames))
            frames[number, rows, columns] = _levels(after + soft * (before - after))
        return replace(scene, frames=frames)


def _levels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _sound(scene: ControlScene) -> np.ndarray:
    if scene.samples is None:
        raise ClipError("no-audio", "the reference has no sound to put a fault into; leave the faults of sound out")
    return scene.samples


def _squares(boxes: np.ndarray) -> list[Region]:
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in steady(boxes).tolist()]


def _lower_faces(boxes: np.ndarray) -> list[Region]:
    """The lower half of each box without its sides, which show the background beside the jaw."""
    return [
        (x1 + SIDE_SHARE * (x2 - x1), (y1 + y2) / 2, x2 - SIDE_SHARE * (x2 - x1), y2)
        for x1, y1, x2, y2 in steady(boxes).tolist()
    ]


def _lips(boxes: np.ndarray) -> list[Region]:
    """The mouth with the skin around it: the lower 45 % of each box, without a fifth of its width on each side."""
    return [
        (x1 + MOUTH_SIDE * (x2 - x1), y2 - MOUTH_HEIGHT * (y2 - y1), x2 - MOUTH_SIDE * (x2 - x1), y2)
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

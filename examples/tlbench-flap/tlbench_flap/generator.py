"""A mouth that opens as far as the speech is loud: in sync with it, and says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlbench.generation.generator import FaceClip, FaceGenerator, GenerateOptions, GeneratorNeeds
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE

SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
LOUD = 6000.0  # RMS of int16 samples at which the mouth is wide open
MOUTH = (0.75, 0.5)  # row and column of its middle in the face box, as parts of its size
WIDTH, HEIGHT = 0.16, 0.12  # half its width, and half its height when wide open


class Flap(FaceGenerator):
    """The first face of the clip with a dark ellipse over its mouth."""

    name = "flap"
    needs = GeneratorNeeds("samples")

    @classmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> Flap:
        """It has no weights, and the options change nothing."""
        return cls()

    def start_clip(self, sound: np.ndarray | None, frames: int) -> FaceClip:
        """Measure the loudness of each frame."""
        assert sound is not None  # its needs
        padded = np.zeros(frames * SAMPLES_PER_FRAME)
        padded[: len(sound)] = sound[: len(padded)]
        loudness = np.sqrt(np.square(padded.reshape(frames, SAMPLES_PER_FRAME)).mean(axis=1))
        return FlapClip(np.clip(loudness / LOUD, 0, 1))


class FlapClip(FaceClip):
    """A clip; ``openness`` is that of the mouth in each frame, (T,) from 0 to 1."""

    def __init__(self, openness: np.ndarray) -> None:
        self.openness = openness

    def generate(self, numbers: np.ndarray, poses: np.ndarray, identity: np.ndarray | None) -> np.ndarray:
        """The upper half of each face, and below it that of the first face with the mouth on top."""
        assert identity is not None  # its needs
        side = poses.shape[1]
        faces = poses.astype(np.float32)
        faces[:, side // 2 :] = identity[:, side // 2 :]
        rows, columns = np.mgrid[0:side, 0:side] / side
        for face, openness in zip(faces, self.openness[numbers], strict=True):
            height = max(HEIGHT * openness, 1e-6)
            inside = ((rows - MOUTH[0]) / height) ** 2 + ((columns - MOUTH[1]) / WIDTH) ** 2 < 1
            face[inside] = (60, 20, 20)
        return faces

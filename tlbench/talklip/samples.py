"""Samples of a generator in training: a strip of faces and a short video of validation clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tlbench.errors import TlbenchError
from tlbench.files import atomic_path
from tlbench.media.video_writer import write_video

COLUMNS = 8  # frames of a clip in a strip
GAP_PX = 4
BACKGROUND = 255
VIDEO_FRAMES = 75  # three seconds


@dataclass(frozen=True)
class Sample:
    """Inputs, output and target of the generator for one clip; all faces (T, 96, 96, 3) uint8 BGR.

    Attributes
    ----------
    identity, pose : ndarray
        The inputs: another face of the clip, and this frame's face with its lower half black.
    generated, target : ndarray
    samples : (N,) int16
        The clip's sound at 16 kHz.
    """

    identity: np.ndarray
    pose: np.ndarray
    generated: np.ndarray
    target: np.ndarray
    samples: np.ndarray


def draw_strip(samples: list[Sample], path: Path) -> None:
    """Write a PNG with four rows for each clip: identity, pose, generated, target, in up to eight evenly spaced frames.

    Raises TlbenchError if it can't be written.
    """
    blocks = []
    for sample in samples:
        chosen = np.linspace(0, len(sample.generated) - 1, min(COLUMNS, len(sample.generated))).round().astype(int)
        shown = (sample.identity, sample.pose, sample.generated, sample.target)
        rows = [np.hstack(faces[chosen]) for faces in shown]
        blocks.append(np.vstack(rows))
    width = max(block.shape[1] for block in blocks)
    height = sum(len(block) for block in blocks) + GAP_PX * (len(blocks) - 1)
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    top = 0
    for block in blocks:
        sheet[top : top + len(block), : block.shape[1]] = block
        top += len(block) + GAP_PX
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            Image.fromarray(sheet[..., ::-1]).save(temporary, format="PNG")
    except OSError as error:
        raise TlbenchError(f"{path}: can't be written ({error.strerror or error}); free some space") from error


def write_sample_video(sample: Sample, path: Path) -> None:
    """Write an mp4 of at most three seconds: the target on the left, the generated faces on the right, with the sound.

    Raises TlbenchError if it can't be written.
    """
    both = np.concatenate([sample.target, sample.generated], axis=2)[:VIDEO_FRAMES, ..., ::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, both, samples=sample.samples[: len(both) * 640])

"""What a generator in training makes of validation clips, to look at: a strip of pictures and a short video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tlbench.errors import TlbenchError
from tlbench.files import atomic_path
from tlbench.media.video_writer import write_video

COLUMNS = 8  # pictures a strip shows of a clip
GAP_PX = 4
PAPER = 255
VIDEO_FRAMES = 75  # three seconds are enough to see whether a mouth speaks


@dataclass(frozen=True)
class Sample:
    """One clip as the generator sees and makes it; all (T, 96, 96, 3) uint8 BGR, frame by frame.

    Attributes
    ----------
    identity, pose : ndarray
        The two pictures it is given: another frame of the person, and this frame without its lower half.
    made, truth : ndarray
    samples : (N,) int16
        The clip's sound at 16 kHz.
    """

    identity: np.ndarray
    pose: np.ndarray
    made: np.ndarray
    truth: np.ndarray
    samples: np.ndarray


def draw_strip(samples: list[Sample], path: Path) -> None:
    """A PNG: for each clip four rows (identity, pose, made, truth), a column each of up to eight frames spread evenly.

    Raises TlbenchError if it can't be written.
    """
    blocks = []
    for sample in samples:
        chosen = np.linspace(0, len(sample.made) - 1, min(COLUMNS, len(sample.made))).round().astype(int)
        rows = [np.hstack(pictures[chosen]) for pictures in (sample.identity, sample.pose, sample.made, sample.truth)]
        blocks.append(np.vstack(rows))
    width = max(block.shape[1] for block in blocks)
    height = sum(len(block) for block in blocks) + GAP_PX * (len(blocks) - 1)
    sheet = np.full((height, width, 3), PAPER, np.uint8)
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
    """An mp4 of three seconds at most: truth on the left, what was made on the right, with the sound.

    Raises TlbenchError if it can't be written.
    """
    both = np.concatenate([sample.truth, sample.made], axis=2)[:VIDEO_FRAMES, ..., ::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, both, samples=sample.samples[: len(both) * 640])

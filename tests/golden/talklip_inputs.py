"""What TalkLip's goldens were made of, by formula: two clips of 20 and 14 frames, 15 selected frames in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FRAMES = (20, 14)
SELECTED = (np.array([2, 3, 4, 5, 6, 9, 10, 11, 12, 13]), np.array([3, 4, 5, 6, 7]))


@dataclass(frozen=True)
class Inputs:
    """One batch.

    Attributes
    ----------
    audio : (2, 104, 20) float32
        The second clip is shorter; zeros follow it.
    padding_mask : (2, 20) bool
    index : (15,) int64
        Of the selected frames in the flattened batch.
    faces, real : (15, 6 or 3, 96, 96) float32
    videos : list of (T, 160, 160, 3) uint8
    boxes : list of (T, 4) int64
        Some are partly outside the frame.
    tokens : (2, 12) int64
        Padded with 1.
    """

    audio: Tensor
    padding_mask: Tensor
    index: Tensor
    faces: Tensor
    real: Tensor
    videos: list[np.ndarray]
    boxes: list[np.ndarray]
    tokens: Tensor


def inputs(seed: int = 11) -> Inputs:
    rng = np.random.RandomState(seed)
    selected = sum(map(len, SELECTED))
    features = [rng.standard_normal((frames, 104)).astype(np.float32) for frames in FRAMES]
    real = rng.random_sample((selected, 3, 96, 96)).astype(np.float32)
    identity = rng.random_sample((selected, 3, 96, 96)).astype(np.float32)
    videos = [rng.randint(0, 256, size=(frames, 160, 160, 3)).astype(np.uint8) for frames in FRAMES]
    boxes = []
    for frames in FRAMES:
        left = rng.randint(20, 40, size=frames)
        top = rng.randint(25, 45, size=frames)
        right = left + rng.randint(80, 130, size=frames)
        bottom = top + rng.randint(80, 130, size=frames)
        boxes.append(np.stack([left, top, right, bottom], 1).astype(np.int64))
    longest = max(FRAMES)
    audio = torch.zeros(2, 104, longest)
    tokens = torch.ones(2, 12, dtype=torch.int64)
    for row, (frames, seed_of_text, length) in enumerate(zip(FRAMES, (5, 6), (12, 7), strict=True)):
        audio[row, :, :frames] = torch.from_numpy(features[row]).T
        words = np.random.RandomState(seed_of_text).randint(4, 1000, size=length - 1)
        tokens[row, :length] = torch.from_numpy(np.append(words, 2))
    pose = real.copy()
    pose[:, :, 48:] = 0
    return Inputs(
        audio=audio,
        padding_mask=torch.arange(longest) >= torch.tensor(FRAMES)[:, None],
        index=torch.from_numpy(np.concatenate([frames + longest * row for row, frames in enumerate(SELECTED)])),
        faces=torch.from_numpy(np.concatenate([pose, identity], axis=1)),
        real=torch.from_numpy(real),
        videos=videos,
        boxes=boxes,
        tokens=tokens,
    )

"""From embeddings to LSE-D, LSE-C and the offset, with the published arithmetic.

``evaluate`` and ``calc_pdist`` of SyncNetInstance_calc_scores.py (Rudrabha/Wav2Lip, Sxjdwang/TalkLip at 7ed53ee).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tlbench.errors import ClipError

MAX_SHIFT_FRAMES = 15
SAMPLES_A_FRAME = 640  # 16 kHz at 25 frames a second
MFCC_STEPS_A_FRAME = 4
FRAMES_LOST = 5  # the original stops here, though one window more would fit


def window_count(frames: int, samples: int) -> int:
    """How many windows of 5 frames are compared.

    Raises
    ------
    ClipError
        ``too-short`` if there is none: the original fails on such a clip too.
    """
    heard = samples // SAMPLES_A_FRAME
    if min(frames, heard) <= FRAMES_LOST:
        raise ClipError(
            "too-short",
            f"{frames} frames of video and {heard} of audio; SyncNet needs at least {FRAMES_LOST + 1} of each, "
            "leave this clip out for LSE",
        )
    return min(frames, heard) - FRAMES_LOST


def shifted_distances(lips: Tensor, speech: Tensor) -> Tensor:
    """Distance of each lip window to the speech around it.

    Beyond both ends the speech is taken as zero vectors, and the distances to those count like any other.

    Parameters
    ----------
    lips, speech : (n, 1024) float32

    Returns
    -------
    (31, n) float32
        Row k compares lip window i with speech window i + k - 15.
    """
    padded = F.pad(speech, (0, 0, MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES))
    shifts = range(2 * MAX_SHIFT_FRAMES + 1)
    return torch.stack([F.pairwise_distance(lips, padded[k : k + len(lips)], eps=1e-6) for k in shifts])


@dataclass(frozen=True)
class Sync:
    """How well lips and speech of one clip fit.

    Attributes
    ----------
    lse_d : float
        The least of the 31 mean distances; less is better.
    lse_c : float
        Their median minus the least; more is better.
    offset_frames : int
        15 minus the row of the least: 0 if in sync, between -15 and 15. LSE-D and LSE-C are those *at* this offset,
        so a constant lag costs them nothing.
    zero_offset_distance : float
        Mean distance of what is played at the same time.
    mean_distance : (31,) float32
    window_distance : (n,) float32
        At the best offset.
    window_distance_at_zero : (n,) float32
    window_confidence : (n,) float32
        The median of the mean distances minus ``window_distance``. The public code prints this after a median filter
        of 9 windows; here it is unfiltered.
    """

    lse_d: float
    lse_c: float
    offset_frames: int
    zero_offset_distance: float
    mean_distance: Tensor
    window_distance: Tensor
    window_distance_at_zero: Tensor
    window_confidence: Tensor


def read_sync(distances: Tensor) -> Sync:
    """The scores of a clip from its (31, n) distances."""
    mean = distances.mean(dim=1)
    least, row = torch.min(mean, 0)
    median = torch.median(mean)
    best = int(row)
    return Sync(
        lse_d=least.item(),
        lse_c=(median - least).item(),
        offset_frames=MAX_SHIFT_FRAMES - best,
        zero_offset_distance=mean[MAX_SHIFT_FRAMES].item(),
        mean_distance=mean,
        window_distance=distances[best],
        window_distance_at_zero=distances[MAX_SHIFT_FRAMES],
        window_confidence=median - distances[best],
    )

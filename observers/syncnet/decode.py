"""From embeddings to LSE-D, LSE-C and the offset: as published, and over the same speech at each shift.

``evaluate`` and ``calc_pdist`` of SyncNetInstance_calc_scores.py (Rudrabha/Wav2Lip, Sxjdwang/TalkLip at 7ed53ee) put
zero vectors before and after the speech, so that every lip window has a partner at every shift. At a large shift up to
15 windows of a clip are then compared with nothing, and how far the lips lie from nothing decides which shift is best
wherever the lips say little: a mouth that is painted over was in sync. The ``sound`` arithmetic compares the same
windows of speech at every shift, each with the lips that many frames away, and makes nothing up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tlbench.errors import ClipError

MAX_SHIFT_FRAMES = 15
# The same windows at every shift leave fewer of them. A short clip is searched less far, down to LEAST_SHIFT_FRAMES:
# 0.12 s, three times the 40 ms that count as in sync, so that what is out of sync can still be seen to be.
LEAST_SHIFT_FRAMES = 3
# Compared at every shift. docs/metrics.md has how often the offset of validation clips is found with so many.
LEAST_WINDOWS = 10
FEWEST_WINDOWS = LEAST_WINDOWS + 2 * LEAST_SHIFT_FRAMES  # of a clip: 21 frames
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


def widest_shift(windows: int) -> int:
    """How many frames either way a clip of so many windows is searched: as many as leave `LEAST_WINDOWS`, 15 at most.

    Raises
    ------
    ClipError
        ``too-short`` if that is less than `LEAST_SHIFT_FRAMES`.
    """
    if windows < FEWEST_WINDOWS:
        raise ClipError("too-short", f"{windows} windows, and there must be {FEWEST_WINDOWS} to compare at every shift")
    return min(MAX_SHIFT_FRAMES, (windows - LEAST_WINDOWS) // 2)


def common_distances(lips: Tensor, speech: Tensor, shift: int) -> Tensor:
    """Distance of the same windows of speech to the lips around them.

    Parameters
    ----------
    lips, speech : (n, 1024) float32
    shift : int
        How far either way; ``n - 2 * shift`` windows of speech have lips at every shift.

    Returns
    -------
    (2 * shift + 1, n - 2 * shift) float32
        Row k compares speech window j + shift with lip window j + 2 * shift - k: in `shifted_distances` too, further
        down is later speech.
    """
    count = len(speech) - 2 * shift
    heard = speech[shift : shift + count]
    return torch.stack(
        [F.pairwise_distance(lips[start : start + count], heard, eps=1e-6) for start in range(2 * shift, -1, -1)]
    )


@dataclass(frozen=True)
class Sync:
    """How well lips and speech of one clip fit.

    Attributes
    ----------
    lse_d : float
        The least of the mean distances, one a shift; less is better.
    lse_c : float
        Their median minus the least; more is better.
    offset_frames : int
        The middle row minus the row of the least: 0 if in sync, between -15 and 15. LSE-D and LSE-C are those *at*
        this offset, so a constant lag costs them nothing.
    zero_offset_distance : float
        Mean distance of what is played at the same time.
    mean_distance : (2 * shift + 1,) float32
        31 with the published arithmetic.
    window_distance : (n,) float32
        At the best offset, a window of lips (published) or of speech (`common_distances`).
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
    """The scores of a clip from its (2 * shift + 1, n) distances."""
    mean = distances.mean(dim=1)
    middle = len(distances) // 2
    least, row = torch.min(mean, 0)
    median = torch.median(mean)
    best = int(row)
    return Sync(
        lse_d=least.item(),
        lse_c=(median - least).item(),
        offset_frames=middle - best,
        zero_offset_distance=mean[middle].item(),
        mean_distance=mean,
        window_distance=distances[best],
        window_distance_at_zero=distances[middle],
        window_confidence=median - distances[best],
    )

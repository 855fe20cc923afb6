"""Embeddings to LSE-D, LSE-C and the offset: as published, and over the same speech at every shift.

``evaluate`` and ``calc_pdist`` of SyncNetInstance_calc_scores.py (Rudrabha/Wav2Lip, Sxjdwang/TalkLip at 7ed53ee) put
zero vectors before and after the speech, so that every lip window has a partner at every shift. At a large shift up to
15 windows of a clip are compared with zero vectors. If the lips show little speech, the distance to zero decides which
shift is best: a mouth that is painted over counts as in sync. The ``sound`` arithmetic compares the same windows of
speech at every shift, each with the lips that many frames away, and uses no zero vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tlbench.errors import ClipError

MAX_SHIFT_FRAMES = 15
# With the same windows at every shift there are fewer of them. The shifts of a short clip are limited, down to
# LEAST_SHIFT_FRAMES: 0.12 s, three times the 40 ms that count as in sync.
LEAST_SHIFT_FRAMES = 3
# Compared at every shift. docs/metrics.md shows how often the offset of validation clips is found with this number.
LEAST_WINDOWS = 10
FEWEST_WINDOWS = LEAST_WINDOWS + 2 * LEAST_SHIFT_FRAMES  # of a clip: 21 frames
SAMPLES_A_FRAME = 640  # 16 kHz at 25 frames a second
MFCC_STEPS_A_FRAME = 4
FRAMES_LOST = 5  # the original leaves out the last possible window


def window_count(frames: int, samples: int) -> int:
    """The number of windows of 5 frames that are compared.

    Raises
    ------
    ClipError
        ``too-short`` if there is none: the original fails on such a clip too.
    """
    audio_frames = samples // SAMPLES_A_FRAME
    if min(frames, audio_frames) <= FRAMES_LOST:
        raise ClipError(
            "too-short",
            f"{frames} frames of video and {audio_frames} of audio; SyncNet needs at least {FRAMES_LOST + 1} of each, "
            "leave this clip out for LSE",
        )
    return min(frames, audio_frames) - FRAMES_LOST


def shifted_distances(lips: Tensor, speech: Tensor) -> Tensor:
    """The distance of each lip window to the speech windows around it, as published.

    Beyond both ends the speech is zero vectors, and the distances to them count like any other.

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
    """The largest shift for a clip with this number of windows: it leaves `LEAST_WINDOWS`, and is at most 15 frames.

    Raises
    ------
    ClipError
        ``too-short`` if that is less than `LEAST_SHIFT_FRAMES`.
    """
    if windows < FEWEST_WINDOWS:
        raise ClipError(
            "too-short", f"{windows} windows; {FEWEST_WINDOWS} are needed to compare the same speech at every shift"
        )
    return min(MAX_SHIFT_FRAMES, (windows - LEAST_WINDOWS) // 2)


def common_distances(lips: Tensor, speech: Tensor, shift: int) -> Tensor:
    """The distance of the same speech windows to the lip windows around them.

    Parameters
    ----------
    lips, speech : (n, 1024) float32
    shift : int
        The largest shift in frames; ``n - 2 * shift`` speech windows have a lip window at every shift.

    Returns
    -------
    (2 * shift + 1, n - 2 * shift) float32
        Row k compares speech window j + shift with lip window j + 2 * shift - k. As in `shifted_distances`, later rows
        have later speech.
    """
    count = len(speech) - 2 * shift
    common = speech[shift : shift + count]
    return torch.stack(
        [F.pairwise_distance(lips[start : start + count], common, eps=1e-6) for start in range(2 * shift, -1, -1)]
    )


@dataclass(frozen=True)
class Sync:
    """The synchronisation scores of one clip.

    Attributes
    ----------
    lse_d : float
        The lowest mean distance over all shifts; lower is better.
    lse_c : float
        The median of the mean distances minus the lowest; higher is better.
    offset_frames : int
        The middle row minus the row of the lowest mean distance: between -15 and 15, 0 if in sync. LSE-D and LSE-C are
        measured at this offset, so a constant lag does not change them.
    zero_offset_distance : float
        The mean distance at offset 0.
    mean_distance : (2 * shift + 1,) float32
        One for each shift; 31 with the published arithmetic.
    window_distance : (n,) float32
        At the best offset, for each lip window (published) or speech window (`common_distances`).
    window_distance_at_zero : (n,) float32
    window_confidence : (n,) float32
        The median of the mean distances minus ``window_distance``, unfiltered; the public code prints it after a median
        filter of 9 windows.
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

"""Whose face can stand in for whose: another utterance that is loud and quiet at the same times.

A mouth that moves with the sound but says other words is the hardest case for a metric of synchrony, and no generator's
fault is more natural: a lip-sync model that follows loudness does just that. Candidates are compared by the
envelope of their speech, a number a frame; the best are warped in time (dynamic time warping, Sakoe and Chiba 1978) so
that their envelope follows the clip's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.generation.controls import SAMPLES_PER_FRAME

FLOOR = 30.0  # RMS, about -60 dB of full scale: what is quieter counts as equally quiet
BAND_FRAMES = 8  # 0.32 s: a mouth is never taken from farther away in time than this
STEP_COST = 0.2  # of a warping step besides the diagonal, in squared deviations: no standing still without a reason
CANDIDATES = 8  # of a clip, that are warped: the best by correlation without warping
MOST = 200  # candidates that are looked at for a clip; of more, every so-manieth


@dataclass(frozen=True)
class StandInMatch:
    """Which clip is whose double.

    Attributes
    ----------
    id : str
        The double's.
    place : (T,) int64
        Which of its frames is shown at each of the clip's frames (as many as its sound lasts).
    likeness : float
        Correlation of the two envelopes after warping.
    """

    id: str
    place: np.ndarray
    likeness: float


def envelope(samples: np.ndarray) -> np.ndarray:
    """How loud speech is, a number a frame of 1/25 s: logarithm of the RMS, mean 0, deviation 1: (T,) float64.

    Smoothed over three frames: loudness follows syllables, not glottal pulses. Raises ClipError ``silent`` if nothing
    ever gets louder.

    Parameters
    ----------
    samples : (N,) int16 at 16 kHz
    """
    frames = max(1, -(-len(samples) // SAMPLES_PER_FRAME))
    padded = np.zeros(frames * SAMPLES_PER_FRAME)
    padded[: len(samples)] = samples
    rms = np.sqrt(np.square(padded.reshape(frames, SAMPLES_PER_FRAME)).mean(axis=1))
    loud = np.log(np.maximum(rms, FLOOR))
    smooth = np.convolve(np.pad(loud, 1, "edge"), np.full(3, 1 / 3), "valid")
    if np.ptp(smooth) < 1e-6:
        raise ClipError("silent", "its sound is equally loud throughout; there is no speech to find a double by")
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def warp(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which frame of ``other`` (M,) goes with each of ``own`` (T,): never backwards: (T,) int64.

    The cheapest path through squared differences whose steps are one frame in either or both, inside a band around
    the straight line from begin to begin and end to end. Where several frames of the other go with one, the middle one
    is taken.
    """
    rows, columns = len(own), len(other)
    straight = np.linspace(0, columns - 1, rows)
    band = BAND_FRAMES + int(np.ceil(columns / rows))
    cost = np.square(own[:, None] - other[None, :])
    cost[np.abs(np.arange(columns)[None, :] - straight[:, None]) > band] = np.inf
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    step = np.zeros((rows, columns), np.int8)  # 0 both, 1 own alone, 2 other alone
    for i in range(rows):
        first = max(0, int(straight[i]) - band)
        for j in range(first, min(columns, int(straight[i]) + band + 2)):
            ways = (total[i, j], total[i, j + 1] + STEP_COST, total[i + 1, j] + STEP_COST)
            step[i, j] = ways.index(min(ways))
            total[i + 1, j + 1] = cost[i, j] + min(ways)
    i, j = rows - 1, columns - 1
    ends = np.full((rows, 2), -1)  # first and last frame of the other by own frame
    while i >= 0 and j >= 0:
        ends[i] = j, max(j, ends[i, 1])
        i, j = i - (step[i, j] != 2), j - (step[i, j] != 1)
    return np.asarray(ends.sum(axis=1) // 2, np.int64)


def pair_up(
    clips: Sequence[Clip],
    envelopes: Mapping[str, np.ndarray],
    of: str,
    progress: CountCallback | None = None,
) -> dict[str, StandInMatch]:
    """For each clip the one whose speech is loud when its own is: of those that say the least of the same words.

    Parameters
    ----------
    clips : sequence of Clip
    envelopes : mapping of clip id to (T,) float64
        From :func:`envelope`; clips without one are left out.
    of : "same speaker" or "another speaker"
        As the data set names speakers; clips of nobody are left out.
    progress : (done, total) -> None, optional

    Returns
    -------
    dict of clip id to Pairing
        Without clips that nobody can stand in for.
    """
    there = sorted((clip for clip in clips if clip.id in envelopes and clip.speaker is not None), key=lambda c: c.id)
    found = {}
    for done, clip in enumerate(there, start=1):
        same = of == "same speaker"
        others = [other for other in there if other.id != clip.id and (other.speaker == clip.speaker) == same]
        others = [other for other in others if _words(other) != _words(clip) or not _words(clip)]
        if others:
            others = others[:: -(-len(others) // MOST)]
            shared = {other.id: _shared(clip, other) for other in others}
            least = min(shared.values())
            found[clip.id] = _best([o.id for o in others if shared[o.id] == least], envelopes, envelopes[clip.id])
        if progress is not None:
            progress(done, len(there))
    return found


def _best(ids: Sequence[str], envelopes: Mapping[str, np.ndarray], own: np.ndarray) -> StandInMatch:
    alike = {other: _correlation(own, _stretched(envelopes[other], len(own))) for other in ids}
    near = sorted(ids, key=lambda other: (-alike[other], other))[:CANDIDATES]
    warped = []
    for other in near:
        place = warp(own, envelopes[other])
        warped.append(StandInMatch(other, place, _correlation(own, envelopes[other][place])))
    return max(warped, key=lambda pairing: pairing.likeness)


def _stretched(values: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(np.interp(np.linspace(0, len(values) - 1, count), np.arange(len(values)), values))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / size if size else 0.0


def _words(clip: Clip) -> list[str]:
    return (clip.word or clip.transcript or "").lower().split()


def _shared(clip: Clip, other: Clip) -> int:
    """How many words both have in the same place, where swapped lips would be right by accident."""
    return sum(a == b for a, b in zip(_words(clip), _words(other), strict=False))

"""Finding stand-ins: for each clip another utterance that is loud and quiet at the same times.

A mouth that moves in sync but says other words is the hardest case for a metric of synchrony, and a natural fault: a
lip-sync model that follows loudness makes it. Candidates are compared by the envelope of their speech, one number per
frame; the best are warped in time (dynamic time warping, Sakoe and Chiba 1978) to follow the clip's envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.generation.controls import SAMPLES_PER_FRAME

FLOOR = 30.0  # RMS, about -60 dB of full scale: quieter sound counts as this
BAND_FRAMES = 8  # 0.32 s: largest shift in time by the warping
STEP_COST = 0.2  # cost of a warping step off the diagonal, in squared deviations, so that it only warps if it helps
CANDIDATES = 8  # candidates for a clip that are warped: the best by correlation without warping
MOST = 200  # candidates for a clip; if there are more, every k-th


@dataclass(frozen=True)
class StandInMatch:
    """The stand-in of one clip.

    Attributes
    ----------
    id : str
        Of the clip that stands in.
    place : (T,) int64
        Its frame for each frame of the clip's sound.
    likeness : float
        Correlation of the two envelopes after warping.
    """

    id: str
    place: np.ndarray
    likeness: float


def envelope(samples: np.ndarray) -> np.ndarray:
    """Loudness of each frame of 1/25 s, (T,) float64: logarithm of the RMS, with mean 0 and standard deviation 1.

    Smoothed over three frames, to follow syllables and not glottal pulses. Raises ClipError ``silent`` if the loudness
    is constant.

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
    """The frame of ``other`` (M,) for each frame of ``own`` (T,), never going back: (T,) int64.

    Dynamic time warping: the path with the least squared differences, in steps of one frame in either or both, inside a
    band around the diagonal. If several frames of ``other`` match one frame, the middle one is taken.
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


def match_stand_ins(
    clips: Sequence[Clip],
    envelopes: Mapping[str, np.ndarray],
    of: str,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, StandInMatch]:
    """The best stand-in of each clip: the most similar envelope among the clips that share the fewest words with it.

    Parameters
    ----------
    clips : sequence of Clip
    envelopes : mapping of clip id to (T,) float64
        From :func:`envelope`; clips without one are left out.
    of : "same speaker" or "another speaker"
        Clips without a speaker are left out.
    progress : (done, total) -> None, optional

    Returns
    -------
    dict of clip id to StandInMatch
        Without clips that have no stand-in.
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
    """How many words both have at the same position, where swapped lips would show the right word."""
    return sum(a == b for a, b in zip(_words(clip), _words(other), strict=False))

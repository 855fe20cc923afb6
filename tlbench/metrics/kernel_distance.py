"""KID: the squared maximum mean discrepancy of two sets of features with the kernel ``(x.y / d + 1)^3``.

Binkowski et al. 2018, "Demystifying MMD GANs". The estimator has no bias at any size, other than FID. Here it is taken
over all pairs of frames; torch-fidelity takes the mean over 100 random subsets of 1,000 frames, which has the same
expectation and more noise.

All that intervals need are the kernel's sums between clips: a resample of clips weighs them anew, and no kernel is
computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tlbench.statistics import BATCH_CELLS, bca_interval

MOST_CLIPS = 2_000  # of a side; a seeded choice of more, or a run over LRW would take days
_FRAMES_AT_ONCE = 4096  # of one side in a product: 67 MB of features in float64


class ClipFeatures(Protocol):
    """The features of each clip, (frames, d) float32: :class:`GivenFeatures`, or what reads one when it is asked for.

    ``frames`` is the number of frames of each.
    """

    @property
    def frames(self) -> Sequence[int]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, clip: int, /) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class GivenFeatures:
    """Features that are in memory."""

    clips: Sequence[np.ndarray]

    @property
    def frames(self) -> Sequence[int]:
        return [len(clip) for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, clip: int, /) -> np.ndarray:
        return self.clips[clip]


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel between the clips of a generated and a real set.

    Attributes
    ----------
    generated, real : (clips, clips) float64
        Over all pairs of frames of two clips; on the diagonal without the pairs of a frame with itself.
    across : (generated clips, real clips) float64
    generated_frames, real_frames : (clips,) float64
        Number of frames of each clip.
    paired : bool
        Whether clip i of both sets is one clip, which is resampled as one.
    """

    generated: np.ndarray
    real: np.ndarray
    across: np.ndarray
    generated_frames: np.ndarray
    real_frames: np.ndarray
    paired: bool

    def value(self) -> float | None:
        """KID; None if a set has fewer than two frames."""
        ones = np.ones((1, len(self.generated_frames))), np.ones((1, len(self.real_frames)))
        found = float(self._weighed(*ones)[0])
        return found if np.isfinite(found) else None

    def interval(self, level: float, resamples: int, seed: int) -> tuple[float, float] | None:
        """BCa bootstrap interval over clips; None with fewer than two clips on a side.

        Two copies of one clip in a resample make no pairs with each other: they would be pairs of equal frames, which
        no two clips have.
        """
        value = self.value()
        counts = len(self.generated_frames), len(self.real_frames)
        if value is None or min(counts) < 2:
            return None
        rng = np.random.default_rng(seed)
        batch = max(1, BATCH_CELLS // max(counts))
        parts = []
        for start in range(0, resamples, batch):
            rows = min(batch, resamples - start)
            first = _drawn(rng, rows, counts[0])
            parts.append(self._weighed(first, first if self.paired else _drawn(rng, rows, counts[1])))
        return bca_interval(value, np.concatenate(parts), self._without_each(), level)

    def without_groups(self, generated: np.ndarray, real: np.ndarray, count: int) -> np.ndarray:
        """KID without each group of clips, (count,); ``generated`` and ``real`` are the group of each clip."""
        groups = np.arange(count)[:, None]
        return self._weighed((generated != groups).astype(np.float64), (real != groups).astype(np.float64))

    def between_halves(self, second: np.ndarray) -> float | None:
        """KID of one half of the real clips against the other; None if a half has fewer than two frames.

        ``second`` (real clips,) bool says which are the second half.
        """
        halves = [np.flatnonzero(second == odd) for odd in (False, True)]
        first, other = halves
        return KernelSums(
            self.real[np.ix_(first, first)],
            self.real[np.ix_(other, other)],
            self.real[np.ix_(first, other)],
            self.real_frames[first],
            self.real_frames[other],
            paired=False,
        ).value()

    def _without_each(self) -> np.ndarray:
        """The jackknife values: without each clip (of both sets if they are paired, else of each set in turn)."""
        ones = [np.ones(len(self.generated_frames)), np.ones(len(self.real_frames))]
        without = [1 - np.eye(len(side)) for side in ones]
        if self.paired:
            return self._weighed(without[0], without[1])
        first = self._weighed(without[0], np.tile(ones[1], (len(without[0]), 1)))
        return np.concatenate([first, self._weighed(np.tile(ones[0], (len(without[1]), 1)), without[1])])

    def _weighed(self, generated: np.ndarray, real: np.ndarray) -> np.ndarray:
        """KID with the clips taken so many times: (k, clips) each to (k,); nan where a set has no pair of frames."""
        with np.errstate(divide="ignore", invalid="ignore"):
            within = _mean_within(generated, self.generated, self.generated_frames)
            within += _mean_within(real, self.real, self.real_frames)
            sums = ((generated @ self.across) * real).sum(axis=1)
            pairs = (generated @ self.generated_frames) * (real @ self.real_frames)
            if self.paired:
                once = generated - generated**2  # a copy of a clip is paired with its own real clip only
                sums += once @ np.diagonal(self.across)
                pairs += once @ (self.generated_frames * self.real_frames)
            return np.asarray(within - 2 * sums / pairs)


def kernel_sums(generated: ClipFeatures, real: ClipFeatures, *, paired: bool) -> KernelSums:
    """Sum the kernel between clips.

    Parameters
    ----------
    generated, real : ClipFeatures
        Of at most :data:`MOST_CLIPS` clips a side. No more than :data:`_FRAMES_AT_ONCE` frames and a clip are taken at
        once, so a clip is taken again for every so many frames of the other clips.
    paired : bool
        Whether clip i of both is one clip.

    Raises
    ------
    ValueError
        If the sides are paired and differ in length.
    """
    if paired and len(generated) != len(real):
        raise ValueError(f"kernel_sums: {len(generated)} clips can't be paired with {len(real)}")
    frames = [np.array(side.frames, np.int64) for side in (generated, real)]
    return KernelSums(
        _within(generated, frames[0]),
        _within(real, frames[1]),
        _between(generated, real, frames[1]),
        frames[0].astype(np.float64),
        frames[1].astype(np.float64),
        paired,
    )


def chosen_clips(count: int, seed: int) -> np.ndarray:
    """Which of ``count`` clips are taken: all, or a seeded choice of :data:`MOST_CLIPS`, in ascending order."""
    if count <= MOST_CLIPS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_CLIPS, replace=False))


def _drawn(rng: np.random.Generator, rows: int, count: int) -> np.ndarray:
    """How many times each of ``count`` clips is in each of ``rows`` resamples: (rows, count) float64."""
    drawn = rng.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _mean_within(times: np.ndarray, sums: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The mean of the kernel over pairs of different frames of one set: (k, clips) to (k,)."""
    once = times - times**2  # of the diagonal: pairs within a copy of a clip, and none between copies
    total = ((times @ sums) * times).sum(axis=1) + once @ np.diagonal(sums)
    pairs = (times @ frames) ** 2 + once @ frames**2 - times @ frames
    return np.asarray(total / pairs)


def _within(clips: ClipFeatures, frames: np.ndarray) -> np.ndarray:
    """The sums between the clips of one set; on the diagonal without the pairs of a frame with itself."""
    sums = _between(clips, clips, frames, of_one_set=True)
    sums += np.triu(sums, 1).T
    return sums


def _between(
    left: ClipFeatures, right: ClipFeatures, right_frames: np.ndarray, *, of_one_set: bool = False
) -> np.ndarray:
    """(left clips, right clips) float64: the kernel's sum over the pairs of frames of two clips.

    ``right_frames`` is the number of frames of each right clip. ``of_one_set``: both are the same clips, so there is 0
    below the diagonal, and no pair of a frame with itself on it.
    """
    sums = np.zeros((len(left), len(right)))
    step = max(1, _FRAMES_AT_ONCE // max(1, int(right_frames.max(initial=1))))
    for start in range(0, len(right), step):
        end = min(start + step, len(right))
        frames = np.concatenate([right[clip] for clip in range(start, end)]).astype(np.float64)
        starts = np.cumsum([0, *right_frames[start : end - 1]])
        for clip in range(min(end, len(left)) if of_one_set else len(left)):
            own = left[clip].astype(np.float64)
            values = _kernel(own @ frames.T, frames.shape[1]).sum(axis=0)
            sums[clip, start:end] = np.add.reduceat(values, starts)
            if of_one_set and clip >= start:
                sums[clip, clip] -= float(_kernel((own**2).sum(axis=1), own.shape[1]).sum())
    return np.triu(sums) if of_one_set else sums


def _kernel(products: np.ndarray, dims: int) -> np.ndarray:
    """``(x.y / d + 1)^3`` of scalar products, in place."""
    products /= dims
    products += 1
    cubes: np.ndarray = products * products
    cubes *= products
    return cubes

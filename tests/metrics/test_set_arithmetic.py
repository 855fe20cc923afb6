"""Numbers of a whole set: moments, Frechet distance, KID and the jackknife, held against plain and other code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from tests.factories.torch_fidelity_modules import torch_fidelity_module
from tlbench.metrics.frechet import distance_of_moments, frechet_distance
from tlbench.metrics.jackknife import (
    MOST_GROUPS,
    groups_of,
    jackknife_error,
    jackknife_interval,
    jackknife_p_value,
)
from tlbench.metrics.kernel_distance import MOST_CLIPS, GivenFeatures, KernelSums, chosen_clips, kernel_sums
from tlbench.metrics.moments import MomentTally

DIMS = 12


def features(seed: int, rows: int, dims: int = DIMS, shift: float = 0.0) -> np.ndarray:
    """Correlated features, none below 0, as Inception's are."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, dims)) @ rng.normal(size=(dims, dims)) / np.sqrt(dims)
    return np.maximum(mixed + shift, 0).astype(np.float32)


def clips(seed: int, lengths: list[int], shift: float = 0.0) -> list[np.ndarray]:
    return [features(seed * 100 + i, length, shift=shift) for i, length in enumerate(lengths)]


# Moments


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_moments_of_clips_add_up_to_those_of_all_frames(lengths: list[int], seed: int) -> None:
    own = clips(seed, lengths)
    total = sum(map(MomentTally.of, own))
    frames = np.concatenate(own).astype(np.float64)
    assert isinstance(total, MomentTally)
    assert total.count == len(frames)
    assert np.allclose(total.mean, frames.mean(axis=0), rtol=0, atol=1e-12)
    if len(frames) > 1:
        assert np.allclose(total.covariance, np.cov(frames, rowvar=False), rtol=0, atol=1e-12)


def test_moments_of_nothing_have_no_value() -> None:
    nothing = MomentTally.empty(3)
    assert nothing.mean is None
    assert nothing.covariance is None
    assert MomentTally.of(np.ones((1, 3))).covariance is None
    assert distance_of_moments(nothing, MomentTally.of(features(0, 9, 3))) is None


def test_moments_refuse_what_can_not_be() -> None:
    with pytest.raises(ValueError, match="no vectors is not 0"):
        MomentTally(0, np.ones(2), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        MomentTally.of(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="3 features can't be added to 2"):
        MomentTally.empty(3) + MomentTally.empty(2)
    with pytest.raises(TypeError):
        MomentTally.empty(3) + 1  # type: ignore[operator]


# Frechet distance


def test_the_distance_of_independent_features_has_a_closed_form() -> None:
    means, deviations = (np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.0, 0.0])), ([1.0, 2.0, 0.0], [2.0, 2.0, 3.0])
    covariances = [np.diag(np.square(own)) for own in deviations]
    expected = np.square(means[0] - means[1]).sum() + np.square(np.subtract(*deviations)).sum()
    assert frechet_distance(means[0], covariances[0], means[1], covariances[1]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [400, 7])  # with 7 rows the covariances have no full rank
def test_the_distance_is_that_of_a_root_of_a_matrix(rows: int) -> None:
    a, b = (features(seed, rows, shift=0.1 * seed).astype(np.float64) for seed in (1, 2))
    (m, s), (n, t) = ((x.mean(axis=0), np.cov(x, rowvar=False)) for x in (a, b))
    root = sqrtm(s @ t).real
    expected = np.square(m - n).sum() + np.trace(s + t - 2 * root)
    found = distance_of_moments(MomentTally.of(a), MomentTally.of(b))
    assert found == pytest.approx(expected, rel=1e-6)


def test_fid_equals_that_of_torch_fidelity_on_the_same_features() -> None:
    original = torch_fidelity_module("metric_fid")
    a, b = (features(seed, 600, 96, shift=0.2 * seed).astype(np.float64) for seed in (3, 4))
    statistics = [{"mu": x.mean(axis=0), "sigma": np.cov(x, rowvar=False)} for x in (a, b)]
    theirs = original.fid_statistics_to_metric(*statistics, verbose=False)[original.KEY_METRIC_FID]
    assert distance_of_moments(MomentTally.of(a), MomentTally.of(b)) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_distance_is_symmetric_and_nothing_to_itself(seed: int) -> None:
    a, b = (MomentTally.of(features(seed + own, 60, shift=0.3 * own)) for own in (0, 1))
    there, back = distance_of_moments(a, b), distance_of_moments(b, a)
    assert there == pytest.approx(back, rel=1e-9)
    assert there is not None
    assert there > 0
    assert distance_of_moments(a, a) == pytest.approx(0, abs=1e-9)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="frechet_distance"):
        frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))


# KID


def sums_of(generated: list[np.ndarray], real: list[np.ndarray], *, paired: bool) -> KernelSums:
    return kernel_sums(GivenFeatures(generated), GivenFeatures(real), paired=paired)


def plain_kid(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimator over all pairs, as its definition says."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3

    own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(sum(own) - 2 * kernel(x, y).mean())


@pytest.mark.parametrize("paired", [True, False])
def test_kid_is_the_unbiased_estimator_over_all_frames(paired: bool) -> None:
    generated, real = clips(1, [4, 1, 7], 0.2), clips(2, [5, 3, 2])
    sums = sums_of(generated, real, paired=paired)
    assert sums.value() == pytest.approx(plain_kid(np.concatenate(generated), np.concatenate(real)), rel=1e-12)


def test_kid_equals_that_of_torch_fidelity_over_one_subset_of_all_frames() -> None:
    import torch

    original = torch_fidelity_module("metric_kid")
    generated, real = clips(3, [9, 11], 0.3), clips(4, [12, 8])
    theirs = original.kid_features_to_metric(
        *(torch.from_numpy(np.concatenate(own).astype(np.float64)) for own in (generated, real)),
        kid_subsets=1,
        kid_subset_size=20,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        verbose=False,
    )[original.KEY_METRIC_KID_MEAN]
    assert sums_of(generated, real, paired=False).value() == pytest.approx(theirs, rel=1e-9)


def test_a_resample_makes_no_pairs_of_two_copies_of_one_clip() -> None:
    """Clip 0 twice, clip 1 never, clip 2 once: held against the pairs one by one."""
    generated, real = clips(5, [3, 2, 4], 0.2), clips(6, [2, 3, 3])
    sums = sums_of(generated, real, paired=True)
    copies = [0, 0, 2]

    def pairs(left: list[np.ndarray], right: list[np.ndarray], across: bool) -> list[float]:
        found = []
        for i, a in enumerate(copies):
            for j, b in enumerate(copies):
                if i != j and a == b:
                    continue
                for m, x in enumerate(left[a].astype(np.float64)):
                    for n, y in enumerate(right[b].astype(np.float64)):
                        if across or i != j or m != n:
                            found.append((x @ y / DIMS + 1) ** 3)
        return found

    expected = np.mean(pairs(generated, generated, False)) + np.mean(pairs(real, real, False))
    expected -= 2 * np.mean(pairs(generated, real, True))
    times = np.array([[2.0, 0.0, 1.0]])
    assert sums._weighed(times, times)[0] == pytest.approx(expected, rel=1e-10)


def test_the_interval_of_kid_is_seeded_and_holds_the_value() -> None:
    sums = sums_of(clips(7, [5] * 12, 0.4), clips(8, [5] * 12), paired=True)
    ends = sums.interval(0.95, 999, 0)
    assert ends is not None
    value = sums.value()
    assert value is not None
    assert ends[0] < value < ends[1]
    assert ends == sums.interval(0.95, 999, 0)
    assert ends != sums.interval(0.95, 999, 1)


def test_kid_of_too_little_has_no_value_or_no_interval() -> None:
    one = sums_of(clips(1, [1]), clips(2, [1]), paired=True)
    assert one.value() is None
    assert one.interval(0.95, 100, 0) is None
    assert sums_of(clips(1, [4]), clips(2, [4]), paired=True).interval(0.95, 100, 0) is None
    with pytest.raises(ValueError, match="1 clips can't be paired with 2"):
        sums_of(clips(1, [2]), clips(2, [2, 2]), paired=True)


def test_more_clips_than_kid_takes_are_chosen_by_seed() -> None:
    assert chosen_clips(5, 0).tolist() == [0, 1, 2, 3, 4]
    many = chosen_clips(MOST_CLIPS + 50, 3)
    assert len(set(many.tolist())) == MOST_CLIPS
    assert many.tolist() == sorted(many.tolist()) == chosen_clips(MOST_CLIPS + 50, 3).tolist()
    assert many.tolist() != chosen_clips(MOST_CLIPS + 50, 4).tolist()


def test_kernel_sums_do_not_mind_how_frames_are_cut_into_clips() -> None:
    whole = sums_of([np.concatenate(clips(1, [4, 6]))], [np.concatenate(clips(2, [3, 5]))], paired=False)
    cut = sums_of(clips(1, [4, 6]), clips(2, [3, 5]), paired=False)
    assert isinstance(cut, KernelSums)
    assert cut.value() == pytest.approx(whole.value(), rel=1e-12)


# Jackknife


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    sample = np.random.default_rng(0).normal(size=30)
    without = np.array([np.delete(sample, i).mean() for i in range(len(sample))])
    error = jackknife_error(float(sample.mean()), without, np.ones(len(sample), int))
    assert error == pytest.approx(sample.std(ddof=1) / np.sqrt(len(sample)), rel=1e-10)


def test_groups_of_different_sizes_give_the_error_of_a_weighted_mean() -> None:
    """Over many draws the mean of the squared error is the variance of the mean."""
    rng, sizes = np.random.default_rng(1), np.array([1, 2, 4, 8, 3, 6, 2, 5])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = []
    for _ in range(400):
        sample = rng.normal(size=len(groups))
        without = np.array([sample[groups != g].mean() for g in range(len(sizes))])
        error = jackknife_error(float(sample.mean()), without, sizes)
        assert error is not None
        found.append(error**2)
    assert np.mean(found) == pytest.approx(1 / len(groups), rel=0.1)


def test_few_groups_have_no_interval() -> None:
    few = np.array([1.0, 2.0, 3.0, 4.0])
    assert jackknife_error(2.5, few, np.ones(4, int)) is None
    assert jackknife_interval(2.5, few, np.ones(4, int), 0.95) is None
    assert jackknife_p_value(2.5, few, np.ones(4, int)) is None


def test_p_value_and_interval_agree() -> None:
    without, sizes = np.linspace(0.9, 1.1, 10), np.full(10, 5)
    low, high = jackknife_interval(1.0, without, sizes, 0.95) or (0.0, 0.0)
    p = jackknife_p_value(1.0, without, sizes)
    assert p is not None
    assert (p < 0.05) == (low > 0)
    assert high > 1 > low
    assert jackknife_p_value(0.0, np.zeros(6), np.ones(6, int)) == 1.0


def test_groups_are_whole_speakers_and_do_not_mind_the_order() -> None:
    ids = [f"s{speaker:02}/{clip}" for speaker in range(33) for clip in range(3)]
    speakers: list[str | None] = [one.partition("/")[0] for one in ids]
    groups = groups_of(ids, speakers, "speaker")
    assert groups.unit == "speakers"
    assert groups.count == MOST_GROUPS
    own = dict(zip(ids, groups.index.tolist(), strict=True))
    assert all(len({own[one] for one in ids if one.startswith(s)}) == 1 for s in set(map(str, speakers)))
    order = np.random.default_rng(0).permutation(len(ids))
    again = groups_of([ids[i] for i in order], [speakers[i] for i in order], "speaker")
    assert dict(zip([ids[i] for i in order], again.index.tolist(), strict=True)) == own


def test_few_speakers_are_groups_of_clips() -> None:
    groups = groups_of(["a", "b", "c"], ["x", "x", "y"], "speaker")
    assert (groups.unit, groups.count) == ("clips", 3)

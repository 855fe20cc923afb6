"""Means, intervals, differences and agreement of a study."""

from __future__ import annotations

import numpy as np
import pytest

from tests.factories.answers_factory import METHODS, QUICK, answers
from tlbench.statistics import Ratio
from tlbench.study.estimates import krippendorff_alpha, mean_interval
from tlbench.study.results import evaluate


@pytest.mark.parametrize("participants", [4, 15])
def test_intervals_hold_the_true_mean_about_as_often_as_they_say(participants: int) -> None:
    rng = np.random.default_rng(1)
    inside, studies = 0, 1000
    for _ in range(studies):
        means = rng.normal(3, 0.5, participants)  # a habit each: 20 answers of one person are far from 20 people's
        numerators = np.array([rng.normal(mean, 0.4, 20).sum() for mean in means])
        ends = mean_interval(ratio(numerators, np.full(participants, 20.0)), 0.95, 1, 5)
        assert ends is not None
        inside += ends[0] <= 3 <= ends[1]
    assert inside / studies == pytest.approx(0.95, abs=0.02)  # three standard errors of 1000 tries


def test_the_interval_of_a_mean_is_students_t_over_participants_means() -> None:
    means = np.array([2.0, 3.0, 3.5, 4.0])
    ends = mean_interval(ratio(means * 5, np.full(4, 5.0)), 0.95, 1, 5)
    half = 3.182446305284263 * means.std(ddof=1) / 2  # t of 3 degrees, 97.5 %
    assert ends == pytest.approx((means.mean() - half, means.mean() + half))


def test_an_interval_does_not_leave_the_scale() -> None:
    assert mean_interval(ratio(np.array([5.0, 4.0]), np.ones(2)), 0.95, 1, 5) == (1, 5)


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> Ratio:
    return Ratio(numerators, denominators, lambda r: r, 1.0)


def test_one_participant_has_a_mean_but_no_interval() -> None:
    cell = evaluate(answers(1), settings=QUICK).estimate("Wav2Lip", "quality")
    assert cell is not None
    assert cell.low is None


def test_alpha_is_that_of_krippendorffs_worked_example() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C's data; its ordinal alpha is 0.815.
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    items = [[row[i] for row in table if row[i] is not None] for i in range(12)]
    assert krippendorff_alpha(items) == pytest.approx(0.815, abs=0.0005)  # type: ignore[arg-type]


def test_alpha_is_one_for_agreement_near_zero_for_noise_and_unknown_for_one_value() -> None:
    assert krippendorff_alpha([[1, 1], [3, 3], [5, 5]]) == 1.0
    noise = np.random.default_rng(0).integers(1, 6, (400, 4)).tolist()
    assert krippendorff_alpha(noise) == pytest.approx(0, abs=0.05)
    assert krippendorff_alpha([[3, 3], [3, 3]]) is None
    assert krippendorff_alpha([[1], [2]]) is None


def test_a_difference_is_real_where_there_is_one_and_not_where_there_is_none() -> None:
    study = evaluate(answers(), settings=QUICK)
    (contrast,) = study.contrasts  # the ground truth is no competitor
    assert (contrast.a, contrast.b) == METHODS
    assert contrast.p_adjusted < 0.05
    assert contrast.high is not None
    assert contrast.high < 0

    same = evaluate(answers(means={"Faceformer": 3.0, "Wav2Lip": 3.0}), settings=QUICK)
    assert same.contrasts[0].p_adjusted > 0.05

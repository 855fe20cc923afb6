"""Correlations of answers with metrics on the same videos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.factories.answers_factory import METHODS, QUICK, answers
from tests.factories.results_factory import LEVEL, levels, result
from tlbench.errors import TlbenchError
from tlbench.study.answers import GROUND_TRUTH
from tlbench.study.correlations import spearman
from tlbench.study.results import evaluate
from tlbench.study.tables import render_study


def test_a_metric_that_orders_videos_as_people_do_correlates() -> None:
    given = answers()
    means = {
        (c, f"c{i:05d}"): np.mean([s.score for s in given.scores if (s.condition, s.clip) == (c, f"c{i:05d}")])
        for c in (*METHODS, GROUND_TRUTH)
        for i in range(6)
    }
    results = {
        c: result(levels([10 * means[c, f"c{i:05d}"] for i in range(6)]), name=c) for c in (*METHODS, GROUND_TRUTH)
    }
    study = evaluate(given, settings=QUICK, results=results)
    videos, methods = study.correlations
    assert (videos.level, videos.metric, videos.points) == ("videos", LEVEL.key, 18)
    assert videos.value == pytest.approx(1.0)
    assert (methods.level, methods.points) == ("methods", 3)
    assert methods.value == pytest.approx(1.0)
    assert "+1.00" in render_study(study)


def test_a_metric_of_noise_has_an_interval_across_zero() -> None:
    rng = np.random.default_rng(2)
    given = answers(clips=12)
    results = {c: result(levels(rng.normal(size=12).tolist()), name=c) for c in (*METHODS, GROUND_TRUTH)}
    videos = evaluate(given, settings=QUICK, results=results).correlations[0]
    assert videos.low is not None
    assert videos.high is not None
    assert videos.low < 0 < videos.high


def test_a_result_of_other_videos_is_refused() -> None:
    given = answers()
    mine = result(levels([1.0, 2.0]), name="Wav2Lip")
    with pytest.raises(TlbenchError, match=r"belongs to no method of this study .*--with METHOD=result.json"):
        evaluate(given, results={"TalkLip": mine})
    with pytest.raises(TlbenchError, match="toy:test, the study of lrs2:test"):
        evaluate(replace(given, dataset="lrs2"), results={"Wav2Lip": mine})
    with pytest.raises(TlbenchError, match="clip c00001 is another file"):
        evaluate(replace(given, sources={("Wav2Lip", "c00001"): "0" * 64}), results={"Wav2Lip": mine})


def test_spearman_shares_ranks_of_ties_and_is_silent_on_too_little() -> None:
    assert spearman([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert spearman([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None

"""What a study's answers come to: the table, its intervals, agreement, exclusions, correlation with metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO, TextIOWrapper

import numpy as np
import pytest

from tests.factories.results_factory import LEVEL, levels, result
from tlbench.errors import TlbenchError
from tlbench.statistics import IntervalSettings, Ratio
from tlbench.study.answers import GROUND_TRUTH, Answers, Check, Score, TranscriptionAnswer
from tlbench.study.correlations import spearman
from tlbench.study.estimates import krippendorff_alpha, mean_interval
from tlbench.study.results import StudyResult, evaluate
from tlbench.study.tables import print_study, render_study

QUICK = IntervalSettings(resamples=200)
METHODS = ("Faceformer", "Wav2Lip")


def answers(
    participants: int = 12,
    clips: int = 6,
    means: dict[str, float] | None = None,
    seed: int = 0,
    **changes: object,
) -> Answers:
    """Everybody scores ``quality`` of each clip in every condition about a mean, with a habit of their own."""
    means = means or {"Faceformer": 2.5, "Wav2Lip": 3.5, GROUND_TRUTH: 4.5}
    rng = np.random.default_rng(seed)
    scores = []
    for who in range(participants):
        habit = rng.normal(0, 0.3)
        for condition, mean in means.items():
            for clip in range(clips):
                score = int(np.clip(round(mean + habit + rng.normal(0, 0.6)), 1, 5))
                scores.append(Score(who, condition, f"c{clip:05d}", "quality", score))
    made = Answers(
        conditions=(*METHODS, GROUND_TRUTH),
        dataset="toy",
        split="test",
        invited=participants,
        scores=tuple(scores),
        transcriptions=(),
        checks=(),
        finished=frozenset(range(participants)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def value(study: StudyResult, condition: str, measure: str) -> float:
    found = study.estimate(condition, measure)
    assert found is not None
    return found.value


def test_a_cell_is_the_mean_of_all_answers_with_its_interval() -> None:
    given = answers()
    study = evaluate(given, settings=QUICK)
    scores = [s.score for s in given.scores if s.condition == "Wav2Lip"]
    cell = study.estimate("Wav2Lip", "quality")
    assert cell is not None
    assert cell.value == pytest.approx(np.mean(scores))
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < cell.value < cell.high
    assert (cell.answers, cell.participants) == (72, 12)


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


def test_words_chosen_are_an_accuracy_with_its_chance_and_sentences_typed_a_word_error_rate() -> None:
    chosen = tuple(
        TranscriptionAnswer(who, "Wav2Lip", f"c{clip}", "bottle", "bottle" if clip < 3 else "butter", 4)
        for who in range(3)
        for clip in range(4)
    )
    study = evaluate(answers(3, transcriptions=chosen), settings=QUICK)
    assert value(study, "Wav2Lip", "words_read") == 75.0
    assert study.chance == 0.25

    typed = (
        TranscriptionAnswer(0, "Wav2Lip", "c0", "set white by k", "SET white, by K!", 0),
        TranscriptionAnswer(1, "Wav2Lip", "c1", "bin blue", "", 0),
        TranscriptionAnswer(2, "Wav2Lip", "c2", "lay green now", "lay grey now please", 0),
    )
    study = evaluate(answers(3, transcriptions=typed), settings=QUICK)
    assert value(study, "Wav2Lip", "word_errors") == pytest.approx(100 * (0 + 2 + 2) / 9)
    assert study.chance is None


def test_who_fails_a_check_is_left_out_whole() -> None:
    checks = (Check(0, 2, (2, 2, 2)), Check(1, 4, (4, 4, 3)), Check(2, 1, (5, 5, 5)), Check(2, 3, (1, 1, 1)))
    given = answers(6, checks=checks)
    study = evaluate(given, settings=QUICK)
    assert study.excluded == {1: 1, 2: 2}
    kept = [s.score for s in given.scores if s.condition == "Wav2Lip" and s.participant not in (1, 2)]
    assert value(study, "Wav2Lip", "quality") == pytest.approx(np.mean(kept))
    assert evaluate(given, allowed_failed_checks=1, settings=QUICK).excluded == {2: 2}
    assert "number 1 (1 failed), 2 (2 failed)" in " ".join(render_study(study).split())


def test_nobody_left_is_an_error_that_names_the_way_out() -> None:
    checks = tuple(Check(who, 2, (3,)) for who in range(3))
    with pytest.raises(TlbenchError, match="--failed-checks"):
        evaluate(answers(3, checks=checks))


def test_no_answers_at_all_is_an_error() -> None:
    with pytest.raises(TlbenchError, match="nobody has answered yet"):
        evaluate(answers(0, invited=5))


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


def test_the_table_has_the_papers_columns_and_the_control_apart() -> None:
    scores = tuple(
        Score(who, condition, "c0", scale, 3 + (who + len(condition)) % 2)
        for who in range(12)
        for condition in (*METHODS, GROUND_TRUTH)
        for scale in ("quality", "sync", "realness", "readability")
    )
    text = render_study(evaluate(answers(12, scores=scores), settings=QUICK))
    head = next(line for line in text.splitlines() if "method" in line)
    assert head.split() == ["method", "VQ", "↑", "Sync", "↑", "Real", "↑", "RI", "↑"]
    assert text.index("Wav2Lip") < text.index("control") < text.index(GROUND_TRUTH)
    assert "agreement" in text
    for format in ("markdown", "latex"):
        assert "Wav2Lip" in render_study(evaluate(answers(12, scores=scores), settings=QUICK), format)


def test_answers_that_came_too_soon_are_told_of_but_count() -> None:
    study = evaluate(answers(hasty={3: 2, 5: 1}), settings=QUICK)
    assert "3 answers came sooner than their video can be watched (participants 3, 5)" in render_study(study)
    assert len(study.answers.started) == 12


def test_a_terminal_without_arrows_gets_others_and_names_keep_their_letters_as_escapes() -> None:
    conditions = ("Ünïcode", "Wav2Lip", GROUND_TRUTH)
    given = answers(means={"Ünïcode": 2.0, "Wav2Lip": 3.0}, conditions=conditions)
    raw = BytesIO()
    with TextIOWrapper(raw, encoding="ascii") as stream:
        print_study(evaluate(given, settings=QUICK), stream)
        stream.flush()
        text = raw.getvalue().decode()
    assert "VQ ^" in text
    assert "\\xdcn\\xefcode" in text


def test_json_holds_every_number_and_no_code() -> None:
    data = json.loads(evaluate(answers(), settings=QUICK).to_json())
    assert data["schema"] == "tlbench.study/1"
    assert len(data["estimates"]) == 3
    assert data["participants"]["counted"] == 12


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

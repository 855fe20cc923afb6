"""The result of a study: whose answers count, and what programs get."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.factories.answers_factory import QUICK, answers
from tlbench.errors import TlbenchError
from tlbench.study.answers import Check, TranscriptionAnswer
from tlbench.study.results import StudyResult, evaluate
from tlbench.study.tables import render_study


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


def test_json_holds_every_number_and_no_code() -> None:
    data = json.loads(evaluate(answers(), settings=QUICK).to_json())
    assert data["schema"] == "tlbench.study/1"
    assert len(data["estimates"]) == 3
    assert data["participants"]["counted"] == 12

"""Tables of a study."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper

from tests.factories.answers_factory import METHODS, QUICK, answers
from tlbench.study.answers import GROUND_TRUTH, Score
from tlbench.study.results import evaluate
from tlbench.study.tables import print_study, render_study


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
    assert "3 answers were given before the video could have ended (participants 3, 5)" in render_study(study)
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

"""Error rates equal to those of the original scripts, on their own outputs.

``conformer/error_calculator.json``: rows of character numbers with the rates that TalkLip's ``utils/metrics.py`` gave;
``text/wer.json``: four pairs with the pooled rate of av_hubert's ``infer_s2s.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.intelligibility import published_character_errors, published_word_errors
from tlbench.observing.evidence import Evidence

FOLDER = Path(__file__).parent
ROWS = json.loads((FOLDER / "conformer" / "error_calculator.json").read_text())["rows"]


def test_every_row_of_the_original_has_its_word_and_character_error_rate() -> None:
    assert len(ROWS) == 124
    for row in ROWS:
        read = row["pred"][: len(row["target"])]  # the original cuts what was read to the length of what was said
        edits, words = published_word_errors(read, row["target"])
        assert edits / words == pytest.approx(row["wer"], abs=1e-12), row["note"]
        edits, characters = published_character_errors(read, row["target"])
        assert edits / characters == pytest.approx(row["cer"], abs=1e-12), row["note"]


def test_the_published_wer2_is_the_mean_over_utterances_and_the_sound_one_over_words() -> None:
    evidence = [
        Evidence(
            "conformer",
            {"reference_ids": np.array(row["target"]), "forced_ids": np.array(row["pred"][: len(row["target"])])},
        )
        for row in ROWS
    ]
    paper, sound = find_metric("wer2/paper"), find_metric("wer2/sound")
    tallies = [paper.tally(one) for one in evidence]
    value = paper.value(sum(tallies[1:], tallies[0]))
    assert value == pytest.approx(100 * np.mean([row["wer"] for row in ROWS]), abs=1e-9)
    pooled = [sound.tally(one) for one in evidence]
    assert sound.value(sum(pooled[1:], pooled[0])) != pytest.approx(value, abs=0.1)


def test_wer1_is_the_originals_pooled_rate() -> None:
    golden = json.loads((FOLDER / "text" / "wer.json").read_text())
    metric = find_metric("wer1/paper")
    tallies = [
        metric.tally(Evidence("avhubert", {"reference": said.upper(), "hypothesis": read}))
        for said, read in zip(golden["refs"], golden["hyps"], strict=True)
    ]
    total = sum(tallies[1:], tallies[0])
    assert (total.numerator, total.denominator) == (golden["err"], golden["n"])
    assert metric.value(total) == pytest.approx(golden["wer_percent"], abs=1e-12)

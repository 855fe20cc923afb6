"""A record of a leaderboard has the whole result, so whoever doubts a number can read it like any other result."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbench.comparison.compare import compare
from tlbench.errors import TlbenchError
from tlbench.scoring.result_file import load_result

BOARDS = Path(__file__).parents[2] / "leaderboards"


def test_a_computed_record_is_read_as_a_result_and_compared() -> None:
    talklip, wav2lip = (
        load_result(BOARDS / "grid" / f"{name}-equal-steps.json") for name in ("talklip-g-c", "wav2lip")
    )
    assert talklip.row("wer2/sound").value == pytest.approx(16.84, abs=0.005)
    (row,) = compare(talklip, wav2lip, metrics="wer2/sound").rows
    assert row.verdict == "a better"


def test_a_published_record_has_no_clips_to_read() -> None:
    with pytest.raises(TlbenchError, match="not a tlbench result"):
        load_result(BOARDS / "lrs2" / "published-atvgnet.json")

"""Whatever a run says of where its result comes from may stand in a record of a leaderboard."""

from __future__ import annotations

from datetime import datetime, timezone

from tlbench.scoring.provenance import PROVENANCE_FIELDS, make_provenance

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def test_a_provenance_with_everything_has_the_fields_that_leaderboards_take() -> None:
    made = make_provenance(
        ["tlbench", "score"],
        [],
        NOON,
        NOON,
        processors=["x86-64"],
        numbers={"avhubert": "float32"},
        products={"avhubert": "onednn"},
        generation={"generator": "wav2lip"},
    )
    assert made.keys() == PROVENANCE_FIELDS

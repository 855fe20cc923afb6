"""FID on a leaderboard: a record holds value, number of frames and a hash, and says that it is not recomputed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.factories.leaderboard_factory import filed_result
from tlbench.checkpoints.catalogue import known_cards
from tlbench.errors import TlbenchError
from tlbench.leaderboard.standings import Entry, dataset_page, make_board
from tlbench.leaderboard.submission import Figure, Published
from tlbench.leaderboard.submission_file import read_submission, submit, to_text
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import set_metric
from tlbench.scoring.result import Result
from tlbench.scoring.set_scores import SetScore

INCEPTION = "6726825d" + "0" * 56
PROTOCOL = Protocol(
    *("fid", set_metric("fid").version, "grid", "test", "whole-frame@1", "pyav-25fps@1", "set", "sound"),
    weights=INCEPTION[:12],
    rule="real=paired",
)


def with_fid(name: str, value: float, width: float = 1.0) -> Result:
    fid = SetScore(
        set_metric("fid"),
        PROTOCOL,
        value,
        value - width,
        value + width,
        clips=20,
        generated=1500 * 2,
        real=3000,
        unit="clips",
        without_each=(value,) * 20,
        group_sizes=(150,) * 20,
        groups_sha256="a" * 64,
        features_sha256="b" * 64,
    )
    result = filed_result(name)
    weights = {**result.provenance["weights"], "inception": {"sha256": INCEPTION}}
    return replace(result, sets=(fid,), provenance={**result.provenance, "weights": weights})


def test_a_record_comes_back_with_value_count_and_hash(tmp_path: Path) -> None:
    made = submit(with_fid("Mine", 20.5), known_cards(), trained_with=("none",))
    path = tmp_path / "mine.json"
    path.write_text(to_text(made))
    read = read_submission(path, known_cards())
    (fid,) = read.result.sets  # type: ignore[union-attr]
    assert (fid.value, fid.generated, fid.features_sha256) == (20.5, 3000, "b" * 64)
    path.write_text(path.read_text().replace('"value":20.5', '"value":2.5'))
    with pytest.raises(TlbenchError, match="digest"):
        read_submission(path, known_cards())


def test_the_board_ranks_by_intervals_and_says_what_is_not_recomputed() -> None:
    systems = [with_fid("A", 20), with_fid("B", 21), with_fid("C", 30)]
    entries = [Entry(f"{s.name}.json", submit(s, known_cards(), trained_with=("none",))) for s in systems]
    figure = Published("P", "grid", "system", "x", "A paper", "https://a.b", (Figure("fid/sound", 12.0, "1"),))
    entries.append(Entry("P.json", figure))
    board = make_board("grid", entries)
    table = next(table for table in board.tables if "fid/sound" in table.columns)
    ranks = {file: own["fid/sound"].rank for file, own in table.standings.items()}
    assert ranks == {"A.json": 1, "B.json": 1, "C.json": 3, "P.json": None}
    page = dataset_page(board)
    assert "FID: not recomputed" in page
    assert "a hash of the features" in page


def test_a_system_that_was_trained_with_the_columns_network_is_marked_in_that_column() -> None:
    trained = {"A": ("inception",), "B": ("none",), "C": ("alexnet", "other:ours")}
    made = [submit(with_fid(name, 20), known_cards(), trained_with=names) for name, names in trained.items()]
    (table,) = [
        table
        for table in make_board("grid", [Entry(f"{one.name}.json", one) for one in made]).tables
        if "fid/sound" in table.columns
    ]
    marked = {file: {key for key, number in own.items() if number.overlap} for file, own in table.standings.items()}
    assert marked == {"A.json": {"fid/sound"}, "B.json": set(), "C.json": set()}
    assert any("no fair judge" in note for note in table.notes)


def test_a_number_of_other_weights_or_another_split_is_refused() -> None:
    result = with_fid("Mine", 20)
    for protocol in (replace(PROTOCOL, weights="0" * 12), replace(PROTOCOL, split="train")):
        wrong = replace(result, sets=(replace(result.sets[0], protocol=protocol),))
        with pytest.raises(TlbenchError, match="protocol fid"):
            submit(wrong, known_cards(), trained_with=("none",))

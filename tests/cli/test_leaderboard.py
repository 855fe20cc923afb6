"""``tlbench leaderboard`` as its user sees it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Done

from tests.factories.leaderboard_factory import filed_result, with_info
from tlbench.cli.main import group
from tlbench.errors import TlbenchError
from tlbench.leaderboard import build as leaderboard
from tlbench.leaderboard.submission import Computed, Published

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "leaderboards"
COLUMNS = {
    "psnr/paper": ("psnr", "Table 1"),
    "ssim/paper": ("ssim", "Table 1"),
    "lse_c/paper": ("lse_c", "Table 1"),
    "lse_d/paper": ("lse_d", "Table 7"),
    "acc/paper": ("acc", "Table 1"),
    "wer1/paper": ("wer1", "Table 1"),
    "wer2/paper": ("wer2", "Table 1"),
}
STUDY = {
    "study/quality": "visual_quality",
    "study/sync": "sync",
    "study/realness": "realness",
    "study/readability": "reading_intelligibility",
}
SPELLED_OUT = {"Base w.o. L_lip": "Base without lip loss", "Base w.o. L_lip,gan": "Base without lip and GAN loss"}


def run(*words: str | Path) -> Done:
    return CliRunner().invoke(group, ["leaderboard", *map(str, words)], catch_exceptions=True)


def file_result(board: Path, name: str, *values: float, boxes: str = "haar") -> Path:
    path = board.parent / f"{name}.json"
    made = filed_result(name, boxes=boxes) if not values else filed_result(name, values, boxes=boxes)
    made.write(path)
    return leaderboard.add(path, board, trained_with=["none"])


def test_a_result_is_filed_built_and_checked(tmp_path: Path) -> None:
    filed_result("Mine (v2)").write(tmp_path / "result.json")
    board = tmp_path / "boards"
    added = run("add", tmp_path, "--trained-with", "none", "--paper", "https://example.org/p", "--board", board)
    assert (added.exit_code, added.stdout.strip()) == (0, str(board / "grid" / "mine-v2.json"))
    missing = run("check", "--board", board)
    assert (missing.exit_code, missing.stdout.split()) == (1, [str(board / "README.md"), str(board / "grid/README.md")])
    assert run("build", "--board", board).exit_code == 0
    assert run("check", "--board", board).exit_code == 0
    assert run("build", "--board", board).stdout == ""
    assert "| Mine (v2) | " in (board / "grid" / "README.md").read_text("utf-8")


def test_check_says_which_file_differs(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    file_result(board, "Mine")
    leaderboard.build(board)
    page = board / "grid" / "README.md"
    page.write_text(page.read_text("utf-8").replace("0.595", "0.995"), "utf-8")
    done = run("check", "--board", board)
    assert (done.exit_code, done.stdout.strip()) == (1, str(page))


def test_a_page_without_records_is_taken_away(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    file_result(board, "Mine")
    stray = board / "gone" / "README.md"
    stray.parent.mkdir()
    stray.write_text("old", "utf-8")
    assert stray in leaderboard.check(board)
    leaderboard.build(board)
    assert not stray.exists()


def test_a_name_is_taken_once_however_it_is_spelled(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    file_result(board, "Mine")
    with pytest.raises(TlbenchError, match="a record of that name exists"):
        file_result(board, "MINE")
    made = tmp_path / "again.json"
    filed_result("Mine", [0.9] * 20).write(made)
    assert leaderboard.add(made, board, trained_with=["none"], replace=True) == board / "grid" / "mine.json"
    with pytest.raises(TlbenchError, match="has the name"):
        file_result(board, "ｍine")  # full width: another file, the same name to the eye


def test_results_over_other_videos_are_not_ranked_together(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    file_result(board, "Mine")
    made = tmp_path / "other.json"
    with_info(filed_result("Other"), 4, reference_sha256="0" * 64).write(made)
    with pytest.raises(TlbenchError, match=r"computed on other real videos than .*such as clip s1/c04"):
        leaderboard.add(made, board, trained_with=["none"])
    assert not (board / "grid" / "other.json").exists()


def test_html_in_a_name_stays_text(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    made = tmp_path / "x.json"
    filed_result("<img src=x onerror=alert(1)>|[a](javascript:b)").write(made)
    leaderboard.add(made, board, trained_with=["none"])
    leaderboard.build(board)
    text = (board / "grid" / "README.md").read_text("utf-8")
    assert "<img" not in text.replace("\\<img", "")
    assert "](javascript" not in text


def test_rows_made_in_other_ways_get_letters_and_ranks_of_their_own(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    file_result(board, "First")
    file_result(board, "Second", *(0.6 + i / 100 for i in range(20)))
    file_result(board, "Third", *(0.7 + i / 100 for i in range(20)), boxes="given")
    leaderboard.build(board)
    text = (board / "grid" / "README.md").read_text("utf-8")
    ssim = {line.split(" | ")[0].strip("| "): line.split(" | ")[2] for line in text.splitlines() if " | 0." in line}
    assert {name: cell.split(" ")[1] for name, cell in ssim.items()} == {
        "First": "(2a)", "Second": "(1a)", "Third": "(b)"
    }  # fmt: skip


def test_ground_truth_stands_apart_without_a_rank(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    file_result(board, "First")
    file_result(board, "Second", *(0.6 + i / 100 for i in range(20)))
    made = tmp_path / "control.json"
    filed_result("ground-truth", [1.0] * 20, role="control").write(made)
    leaderboard.add(made, board)
    leaderboard.build(board)
    below = (board / "grid" / "README.md").read_text("utf-8").partition("| *ceilings and floors* |")[2]
    row = next(line for line in below.splitlines() if line.startswith("| ground-truth"))
    assert row == "| ground-truth | 10.00 [10.00, 10.00] | 1.000 [1.000, 1.000] |"


def test_an_observer_the_system_was_trained_with_is_marked_in_the_table(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    made = tmp_path / "x.json"
    filed_result("Mine").write(made)
    leaderboard.add(made, board, trained_with=["syncnet"])
    leaderboard.build(board)
    text = (board / "grid" / "README.md").read_text("utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| Mine")).split(" | ")
    assert ("†" in row[1], "†" in row[2]) == (True, False)
    assert "no fair judge" in text
    assert "observer overlap: the system was trained with 'syncnet', which also scores it" in text


def test_a_refused_result_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    filed_result("Mine").write(tmp_path / "result.json")
    done = run("add", tmp_path, "--trained-with", "none", "--paper", "javascript:x", "--board", tmp_path / "b")
    assert isinstance(done.exception, TlbenchError)
    assert not (tmp_path / "b").exists()


def test_a_record_in_the_wrong_place_is_refused(tmp_path: Path) -> None:
    board = tmp_path / "boards"
    path = file_result(board, "Mine")
    path.rename(path.with_name("winner.json"))
    with pytest.raises(TlbenchError, match=r"must be in mine\.json"):
        leaderboard.check(board)
    (board / "lrs2").mkdir()
    path.with_name("winner.json").rename(board / "lrs2" / "mine.json")
    with pytest.raises(TlbenchError, match="a record of data set 'grid'"):
        leaderboard.check(board)


def test_an_empty_board_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="no such folder"):
        leaderboard.check(tmp_path / "none")
    with pytest.raises(TlbenchError, match="has no record"):
        leaderboard.build(tmp_path)


# The leaderboards of this repository


def test_the_committed_tables_are_those_the_records_give() -> None:
    assert leaderboard.check(ROOT / "leaderboards") == []


def published(dataset: str) -> dict[str, Published]:
    entries = leaderboard.read_dataset(ROOT / "leaderboards" / dataset)
    return {e.submission.name: e.submission for e in entries if isinstance(e.submission, Published)}


@pytest.mark.parametrize("dataset", ["LRW", "LRS2"])
def test_every_row_of_the_papers_tables_1_and_7_is_there_with_its_figures(dataset: str) -> None:
    with open(GOLDEN / "published.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == dataset]
    records = published(dataset.lower())
    assert {SPELLED_OUT.get(row["method"], row["method"]) for row in rows} == set(records)
    assert len(rows) == 12
    for row in rows:
        record = records[SPELLED_OUT.get(row["method"], row["method"])]
        stated = {key: float(row[column]) for key, (column, _) in COLUMNS.items() if row[column]}
        assert {figure.metric: figure.value for figure in record.figures} == stated
        assert all(figure.table == COLUMNS[figure.metric][1] for figure in record.figures)
        assert (record.collected_from is not None) == ("collected" in row["source"])
        assert (record.role == "control") == (row["method"] == "Ground Truth")


def test_a_record_says_what_a_method_was_trained_on_only_where_the_paper_does() -> None:
    """Table 1's caption: "our methods" on LRS2's train set, the collected ones on all of LRS2; of others, nothing."""
    stated = {name: record.trained_on for name, record in published("lrs2").items()}
    assert {name for name, what in stated.items() if what is None} == {
        "Ground Truth",
        "ATVGnet",
        "Wav2Lip",
        "Faceformer",
    }
    assert {name for name, what in stated.items() if what and "224" in what} == {"PC-AVS", "SyncTalkFace"}


def test_every_row_of_the_papers_table_2_is_there_with_its_figures() -> None:
    with open(GOLDEN / "published_user_study.csv", encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    records = published("talklip-user-study")
    assert set(rows) == set(records)
    for name, record in records.items():
        assert {f.metric: f.value for f in record.figures} == {k: float(rows[name][c]) for k, c in STUDY.items()}


@pytest.mark.parametrize("name", ["published.csv", "published_user_study.csv"])
def test_the_golden_copy_is_the_shared_one(name: str, shared: Path) -> None:
    assert (GOLDEN / name).read_bytes() == (shared / name).read_bytes()


def test_no_published_figure_shares_a_protocol_with_a_computed_number() -> None:
    for entries in leaderboard.read_board(ROOT / "leaderboards").values():
        for entry in entries:
            if isinstance(entry.submission, Computed):
                ids = {protocol.id for protocol in entry.submission.result.protocols.values()}
                assert not any(way.startswith("published[") for way in ids)
            else:
                assert all(entry.submission.protocol(f).startswith("published[") for f in entry.submission.figures)


def test_records_are_json_that_any_program_reads() -> None:
    for path in (ROOT / "leaderboards").rglob("*.json"):
        assert json.loads(path.read_text("utf-8"))["schema"] == "tlbench.leaderboard/1"

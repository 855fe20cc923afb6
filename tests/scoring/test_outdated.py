"""A raised metric version: what older versions made is still read, under its own id, and never ranked with the new."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.leaderboard_factory import VALUES, filed_result
from tests.factories.results_factory import ACC, LEVEL, PSNR, WER, record, result
from tlbench.comparison.compare import compare
from tlbench.errors import TlbenchError
from tlbench.leaderboard import build as leaderboard
from tlbench.metrics import quality
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Metric
from tlbench.scoring.aggregate_folder import aggregate
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result
from tlbench.tables.formats import Format
from tlbench.tables.result_table import render

KNOWN = (LEVEL, PSNR, WER, ACC)


def some(name: str = "wav2lip", shift: float = 0.0, metrics: tuple[Metric, ...] = KNOWN) -> Result:
    values = [
        {
            "level": np.array([i + shift, 2.0]),
            "mse": 1.0 + i + shift,
            "edits": np.array([i % 2, 0, 1, 4]),
            "hit": int(i != 2),
        }
        for i in range(6)
    ]
    return result([record(f"c{i}", value, f"s{i % 3}") for i, value in enumerate(values)], metrics, name=name)


def raised(metric: Metric) -> Metric:
    """A later version: another text, another rule, a note."""
    later = f"{metric.description}, in another way"
    return replace(metric, version=metric.version + 1, description=later, rule="by=2", note="By twos.", label="Later")


def kept(made: Result, folder: Path, known: tuple[Metric, ...]) -> Result:
    """Written by one tlbench, read by another."""
    made.write(folder / "result.json")
    return load_result(folder, known)


@settings(max_examples=16, deadline=None)
@given(st.sets(st.sampled_from([metric.key for metric in KNOWN])))
def test_numbers_of_older_versions_stay_as_they_were_and_are_told_from_the_others(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str]
) -> None:
    before = some()
    now = tuple(raised(metric) if metric.key in keys else metric for metric in KNOWN)
    after = kept(before, tmp_path_factory.mktemp("result"), now)
    assert {row.metric.key for row in after.rows() if row.metric.outdated} == keys
    assert after.to_json() == before.to_json()
    for row in before.rows():
        again = after.row(row.metric.key)
        assert (again.value, again.low, again.high, again.protocol) == (row.value, row.low, row.high, row.protocol)
        assert (again.metric.label, again.metric.version, again.metric.note) == (row.metric.label, 1, "")


def put(value: object, *place: str) -> Callable[[dict[str, object]], None]:
    def change(data: dict[str, object]) -> None:
        inner = data
        for key in place[:-1]:
            inner = inner[key]  # type: ignore[assignment]
        inner[place[-1]] = value

    return change


@pytest.mark.parametrize(
    ("value", "field", "why"),
    [
        (3, "version", "made by its version 3, this tlbench has version 2; update tlbench"),
        (0, "version", "is of version 0, but its protocol is"),
        (-1, "version", "version must be a count"),
        (1.0, "version", "version must be a count"),
        ("1", "version", "version must be a count"),
        (None, "version", "version must be a count"),
        ("sideways", "better", "better is 'sideways'"),
        (7, "unit", "its unit 7"),
        (None, "label", "label must be a text"),
        ([], "description", "description must be a text"),
        (1.9, "value", "states 1.9"),
        ("level[toy:test/whole@1/pyav-25fps@1/clips/sound]@7", "protocol", "but its protocol is"),
        ("acc[toy:test/whole@1/pyav-25fps@1/clips/sound]@1", "protocol", "that of another metric"),
    ],
)
def test_an_older_version_is_not_taken_at_its_word(tmp_path: Path, value: object, field: str, why: str) -> None:
    path = tmp_path / "result.json"
    some().write(path)
    data = json.loads(path.read_text("utf-8"))
    put(value, "metrics", "level/sound", field)(data)
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(TlbenchError, match=why) as caught:
        load_result(path, (raised(LEVEL), PSNR, WER, ACC))
    assert "\n" not in str(caught.value)


def test_tables_mark_outdated_numbers_and_never_put_one_letter_on_both(tmp_path: Path) -> None:
    now = (raised(LEVEL), PSNR)
    old = kept(some("before", metrics=(LEVEL, PSNR)), tmp_path, now)
    new = some("after", metrics=now)
    alone = render([old])
    assert "old: level/sound by an older version of the metric" in " ".join(alone.split())
    assert "old" not in render([new])
    both = render([old, new])
    lines = {line.split()[0]: line for line in both.splitlines() if line.startswith(("before", "after"))}
    assert "(a, old)" in lines["before"]
    assert "(b)" in lines["after"]
    assert "old" not in lines["after"]
    assert "(a) version 1, rule none; (b) version 2, rule by=2" in " ".join(both.split())


@pytest.mark.parametrize("format", ["markdown", "latex", "terminal"])
def test_every_format_for_people_marks_them(tmp_path: Path, format: Format) -> None:
    old = kept(some(metrics=(LEVEL, PSNR)), tmp_path, (raised(LEVEL), PSNR))
    assert "(old)" in render([old], format)


def test_formats_for_programs_have_the_id_of_the_version(tmp_path: Path) -> None:
    old = kept(some(metrics=(LEVEL, PSNR)), tmp_path, (raised(LEVEL), PSNR))
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(render([old], "csv")))}
    assert rows["level/sound"]["protocol"].endswith("]@1")
    assert json.loads(render([old], "json"))


def test_only_what_was_made_by_one_version_is_compared(tmp_path: Path) -> None:
    now = (raised(LEVEL), PSNR)
    old = kept(some("before", metrics=(LEVEL, PSNR)), tmp_path, now)
    compared = compare(old, some("after", 1.0, now))
    assert [row.metric.key for row in compared.rows] == [PSNR.key]
    assert [item.key for item in compared.not_comparable] == [LEVEL.key]
    both = compare(old, kept(some("as well", 1.0, (LEVEL, PSNR)), tmp_path, now))
    assert {row.metric.key for row in both.rows} == {LEVEL.key, PSNR.key}


# Leaderboards


@pytest.fixture
def raise_ssim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Metric]]:
    """Raises the version of SSIM in the catalogue when called; gives the new one."""

    def change() -> Metric:
        made = tuple(raised(metric) if metric.key == "ssim/sound" else metric for metric in quality.METRICS)
        monkeypatch.setattr(quality, "METRICS", made)
        all_metrics.cache_clear()
        return next(metric for metric in made if metric.key == "ssim/sound")

    yield change
    monkeypatch.undo()
    all_metrics.cache_clear()


def file_result(board: Path, made: Result) -> None:
    path = board.parent / f"{made.name}.json"
    made.write(path)
    leaderboard.add(path, board, trained_with=["none"])


def by_new_version(made: Result, metric: Metric) -> Result:
    """The same result as the later version would have made it."""
    protocol = replace(made.protocols[metric.key], version=metric.version, rule=metric.rule)
    metrics = tuple(metric if own.key == metric.key else own for own in made.metrics)
    return replace(made, metrics=metrics, protocols={**made.protocols, metric.key: protocol})


def test_a_board_keeps_older_records_and_ranks_versions_each_by_itself(
    tmp_path: Path, raise_ssim: Callable[[], Metric]
) -> None:
    board = tmp_path / "boards"
    file_result(board, filed_result("Good", [value + 0.2 for value in VALUES]))
    file_result(board, filed_result("Poor"))
    records = {path: path.read_bytes() for path in board.rglob("*.json")}
    newer = raise_ssim()
    file_result(board, by_new_version(filed_result("Newest", [value + 0.1 for value in VALUES]), newer))
    leaderboard.build(board, tmp_path / "site")
    assert leaderboard.check(board) == []
    assert {path: path.read_bytes() for path in records} == records
    page = (board / "grid" / "README.md").read_text("utf-8")
    head = next(line for line in page.splitlines() if line.startswith("| system"))
    column = [cell.split(" ↑")[0].strip() for cell in head.split("|")].index("Later")
    cells = {
        line.split("|")[1].strip(): line.split("|")[column].strip()
        for line in page.splitlines()
        if line.startswith(("| Good", "| Poor", "| Newest"))
    }
    assert "(1a, old)" in cells["Good"]
    assert "(2a, old)" in cells["Poor"]
    assert "(b)" in cells["Newest"]
    assert "old: Later by an older version of the metric" in page
    site = (tmp_path / "site" / "boards" / "grid.html").read_text("utf-8")
    assert site.count("Made by an older version of the metric") >= 2


def test_the_other_numbers_of_an_older_record_are_ranked_with_new_ones(
    tmp_path: Path, raise_ssim: Callable[[], Metric]
) -> None:
    board = tmp_path / "boards"
    file_result(board, filed_result("Old"))
    newer = raise_ssim()
    file_result(board, by_new_version(filed_result("New", [value + 0.2 for value in VALUES]), newer))
    leaderboard.build(board)
    page = (board / "grid" / "README.md").read_text("utf-8")
    assert "5.95 (2)" in next(line for line in page.splitlines() if line.startswith("| Old"))


# Numbers made again from the records of a run


@pytest.fixture
def run_folder(tmp_path: Path, raise_ssim: Callable[[], Metric], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that was scored before the version of SSIM was raised."""
    from tests.factories.media_factory import write_clip
    from tlbench.scoring.score import score

    monkeypatch.chdir(tmp_path)
    for place in ("refs", "gen"):
        Path(place).mkdir()
        for name, quality_of in (("a", "18"), ("b", "34")):
            crf = quality_of if place == "gen" else "10"
            write_clip(Path(place) / f"{name}.mp4", frames=6, codec_options={"crf": crf})
    Path("boxes").mkdir()
    for name in "ab":
        np.save(Path("boxes") / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (6, 1)))
    score("gen", "folder", "refs", metrics=["psnr/sound", "ssim/sound"], boxes=Path("boxes"), out=Path("out"))
    raise_ssim()
    return tmp_path / "out" / "gen"


def test_what_is_made_again_keeps_the_numbers_of_older_versions(run_folder: Path) -> None:
    before = json.loads((run_folder / "result.json").read_text("utf-8"))
    again = aggregate(run_folder)
    assert [(row.metric.key, row.metric.outdated) for row in again.rows()] == [
        ("psnr/sound", False),
        ("ssim/sound", True),
    ]
    assert json.loads((run_folder / "result.json").read_text("utf-8")) == before


def test_asked_for_by_name_a_number_is_made_by_the_new_version(run_folder: Path) -> None:
    again = aggregate(run_folder, ["ssim/sound"])
    assert [(row.metric.outdated, row.protocol.version, row.protocol.rule) for row in again.rows()] == [
        (False, 2, "by=2")
    ]


def test_numbers_of_another_video_are_not_kept(run_folder: Path) -> None:
    path = run_folder / "records.jsonl"
    text = path.read_text("utf-8")
    sha256 = json.loads(text.splitlines()[0])["generated_sha256"]
    path.write_text(text.replace(sha256, "0" * 64), "utf-8")
    copy = shutil.copytree(run_folder, run_folder.parent / "copy")
    with pytest.raises(TlbenchError, match=r"clip a: the earlier result has no ssim/sound of its video"):
        aggregate(copy)

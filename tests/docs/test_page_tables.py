"""Tables that are made from the records of the leaderboards are those of the records."""

from __future__ import annotations

import re

import pytest

from benchmarks import capacity
from scripts.page_tables import (
    OF_EQUAL_STEPS,
    OF_GRID,
    OF_SYNTHETIC,
    ON_GRID,
    PAGES,
    ROOT,
    TABLES,
    VARIANTS,
    WITH_EQUAL_STEPS,
    Ordering,
    current,
    difference_text,
    p_text,
    paired,
)

BASE, WAV2LIP = "Base without lip loss, equal steps", "Wav2Lip, equal steps"
G_BEFORE = "TalkLip (g) before the lip reader's loss, 4,800 steps"
BOTH_LONGER = ("Base without lip loss, miniature, longer", "TalkLip (g+c), miniature, longer")


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_current(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text == current(text), "run: python scripts/page_tables.py"


def test_every_table_is_on_a_page_and_has_rows() -> None:
    text = "".join((ROOT / name).read_text("utf-8") for name in PAGES)
    assert sorted(re.findall(r"<!-- table: ([\w-]+) -->", text)) == sorted(TABLES)
    assert all(made().count("\n") > 5 for made in TABLES.values())


def test_cells_of_the_calibration_are_those_of_its_pages() -> None:
    rows = [line.strip("| ").split(" | ") for line in TABLES["second-reader"]().splitlines()[2:]]
    pages = [(ROOT / "docs" / "calibration" / f"{name}.md").read_text("utf-8") for name in ("grid", "grid-columns")]
    assert [row[0] for row in rows][:2] == ["no fault", "picture shift (frames): 5"]
    for _, wer1, wer3, lip_score in rows:
        assert f" {wer1} |" in pages[0]
        assert f" {wer3} |" in pages[1]
        assert f" {lip_score} |" in pages[1]


def test_the_calculated_tables_of_scale_are_those_that_the_script_prints() -> None:
    there = (ROOT / "docs" / "scale.md").read_text("utf-8").splitlines()
    printed = [*capacity.speeds(100.0), *capacity.times(100.0), *capacity.costs(100.0, 2.0, 0.05)]
    assert len(printed) > 15
    assert [line for line in printed if line not in there] == []


@pytest.mark.parametrize(
    ("dataset", "titles", "listed"),
    [("synthetic", VARIANTS, OF_SYNTHETIC), ("grid", ON_GRID, OF_GRID), ("grid", WITH_EQUAL_STEPS, OF_EQUAL_STEPS)],
)
def test_the_words_of_an_ordering_are_those_of_its_verdict(
    dataset: str, titles: dict[str, str], listed: tuple[Ordering, ...]
) -> None:
    names = {title: name for name, title in titles.items()}
    verdicts = {"yes": "a better", "no": "b better", "for the worse": "b better", "not shown": "no difference shown"}
    for row in listed:
        if row.a:
            words = re.split("[,:]", row.here)[0]
            # Lower is worse in that row, which is the one that says "yes" to a loss.
            verdict = "b better" if "lowers LSE-C" in row.here else verdicts[words]
            pair = paired(dataset, names[row.a], names[row.b])
            assert pair[row.key].verdict == verdict, row
            assert "{also}" not in row.here or pair["wer2/sound"].verdict == verdict, row


@pytest.mark.parametrize(
    ("dataset", "a", "b", "key", "sentence"),
    [
        (
            "synthetic",
            *BOTH_LONGER,
            "wer1/sound",
            "The last is {} points of WER1 below `base-no-lip` with more steps ({p})",
        ),
        ("synthetic", *BOTH_LONGER, "wer2/sound", "By WER2 it is {} points ({p})"),
        ("grid", BASE, WAV2LIP, "lse_c/sound", "has {} more of LSE-C ({p})"),
        ("grid", G_BEFORE, BASE, "wer2/sound", "before the loss against base-no-lip: WER2 {}, WER3"),
        ("grid", G_BEFORE, BASE, "wer3/sound", ", WER3 {}, {p} each"),
    ],
)
def test_differences_in_sentences_are_those_of_the_records(
    dataset: str, a: str, b: str, key: str, sentence: str
) -> None:
    row = paired(dataset, a, b)[key]
    expected = sentence.format(difference_text(row).removeprefix("+"), p=f"p {p_text(row)}")
    assert expected in " ".join((ROOT / "docs" / "miniature.md").read_text("utf-8").split())


def test_the_front_page_says_what_the_records_do_of_sync_and_reading() -> None:
    pair = paired("grid", BASE, "TalkLip (g+c), equal steps")
    assert (pair["lse_c/sound"].verdict, pair["wer3/sound"].verdict) == ("a better", "b better")
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    said = f"is in better sync than TalkLip (LSE-C) and worse read (WER3, p {pair['wer3/sound'].p_adjusted:.3f})"
    assert said in text

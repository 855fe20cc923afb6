"""LRS2 as mvlrs_v1 ships it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.dataset_factory import LRS2_IDS, make_lrs2, touch
from tlbench.datasets.lrs2 import read_transcript
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError


def test_clips_come_in_the_order_of_the_list_with_text_and_programme(tmp_path: Path) -> None:
    clips = load_dataset("lrs2", make_lrs2(tmp_path)).clips
    assert [clip.id for clip in clips] == LRS2_IDS
    assert clips[0].reference == tmp_path / "main" / f"{LRS2_IDS[0]}.mp4"
    assert clips[0].transcript == "WORDS OF 00002"
    assert [clip.speaker for clip in clips] == [clip_id.split("/")[0] for clip_id in LRS2_IDS]


@pytest.mark.parametrize("root", ["data/mvlrs_v1", "data", "data/mvlrs_v1/main"])
def test_the_root_may_be_the_folder_above_or_main_itself(tmp_path: Path, root: str) -> None:
    make_lrs2(tmp_path / "data" / "mvlrs_v1")
    assert len(load_dataset("lrs2", tmp_path / root).clips) == 3


@pytest.mark.parametrize(
    "text",
    [f"{LRS2_IDS[1]} NF\n", f"{LRS2_IDS[1]} MV", f"/\t\t\n{LRS2_IDS[1]}\t58\t38912\n", f"{LRS2_IDS[1]}\r\n"],
    ids=["lrs2", "lrs2 MV", "talklip tsv", "ids"],
)
def test_another_list_may_take_the_place_of_test_txt_and_may_be_a_subset(tmp_path: Path, text: str) -> None:
    root = make_lrs2(tmp_path / "mvlrs_v1")
    (tmp_path / "list").write_text(text)
    assert [clip.id for clip in load_dataset("lrs2", root, manifest=tmp_path / "list").clips] == [LRS2_IDS[1]]
    assert [clip.id for clip in load_dataset("lrs2", root, subset=tmp_path / "list").clips] == [LRS2_IDS[1]]


def test_pretrain_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="split 'pretrain' has transcripts of another form"):
        load_dataset("lrs2", make_lrs2(tmp_path), split="pretrain")


def test_without_lists_the_error_says_where_they_belong(tmp_path: Path) -> None:
    touch(tmp_path, "main/1/00001.mp4")
    with pytest.raises(TlbenchError, match=r"no test\.txt beside .*main"):
        load_dataset("lrs2", tmp_path)


def test_a_list_can_not_lead_out_of_the_data_set(tmp_path: Path) -> None:
    root = make_lrs2(tmp_path)
    (root / "test.txt").write_text("../../etc NF\n")
    with pytest.raises(TlbenchError, match=r"test\.txt:1: clip id"):
        load_dataset("lrs2", root)


@pytest.mark.parametrize(
    ("raw", "transcript"),
    [
        ("Text:  PLACE RED AT G\nConf:  5\n", "PLACE RED AT G"),
        ("Text:  IT'S 5 PER CENT\r\nConf:  5\r\n", "IT'S 5 PER CENT"),
        ("Text:  NO LINE END", "NO LINE END"),
        ("Text:  TRAILING SPACE STAYS \n", "TRAILING SPACE STAYS "),
        ("Text:  \n", ""),
        ("", ""),
    ],
)
def test_the_transcript_is_the_first_line_without_its_seven_characters(
    tmp_path: Path, raw: str, transcript: str
) -> None:
    (tmp_path / "a.txt").write_bytes(raw.encode())
    assert read_transcript(tmp_path / "a.txt") == transcript


def test_a_first_line_of_another_form_is_an_error_since_cutting_it_would_lose_letters(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("PLACE RED AT G\n")
    with pytest.raises(TlbenchError, match=r"a\.txt:1: 'PLACE RED AT G' does not begin with 'Text:  '"):
        read_transcript(tmp_path / "a.txt")


def test_a_missing_transcript_is_none_and_not_an_empty_one(tmp_path: Path) -> None:
    assert read_transcript(tmp_path / "a.txt") is None

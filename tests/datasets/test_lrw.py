"""LRW: labels come from the fixed list, never from what happens to be on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.dataset_factory import LRW_IDS, make_lrw, touch
from tlbench.datasets.lrw import LRW_WORDS, lrw_label
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError


def test_there_are_500_words_in_the_order_of_the_published_labels() -> None:
    assert len(set(LRW_WORDS)) == 500
    assert list(LRW_WORDS) == sorted(LRW_WORDS)
    assert (LRW_WORDS[0], LRW_WORDS[-1]) == ("ABOUT", "YOUNG")


def test_the_words_are_those_of_the_original_labels(shared: Path) -> None:
    import json

    assert list(LRW_WORDS) == json.loads((shared / "golden" / "mvm" / "lrw_words_sorted.json").read_text())


def test_a_missing_folder_does_not_shift_the_labels_after_it(tmp_path: Path) -> None:
    touch(tmp_path, "ABOUT/test/ABOUT_00001.mp4", "ABUSE/test/ABUSE_00001.mp4")
    clips = load_dataset("lrw", tmp_path).clips
    assert [lrw_label(clip.word or "") for clip in clips] == [0, 2]  # ABSOLUTELY, 1, is not there


def test_clips_carry_their_word_and_only_those_of_the_split(tmp_path: Path) -> None:
    root = make_lrw(tmp_path)
    clips = load_dataset("lrw", root).clips
    assert [(clip.id, clip.word) for clip in clips] == [(clip_id, clip_id.split("/")[0]) for clip_id in LRW_IDS]
    assert [clip.id for clip in load_dataset("lrw", root, split="train").clips] == ["ABOUT/train/ABOUT_00001"]


def test_the_root_may_be_the_folder_above_lipread_mp4(tmp_path: Path) -> None:
    make_lrw(tmp_path / "lipread_mp4")
    assert len(load_dataset("lrw", tmp_path).clips) == 3


@pytest.mark.parametrize("form", ["ABOUT/test/ABOUT_00002", "ABOUT/ABOUT_00002", "ABOUT_00002", "test/ABOUT_00002"])
def test_generated_files_and_subsets_may_leave_out_the_folders(tmp_path: Path, form: str) -> None:
    root = make_lrw(tmp_path / "lrw")
    touch(tmp_path / "out", f"{form}.mp4")
    (tmp_path / "some.txt").write_text(form)
    (clip,) = load_dataset("lrw", root, generated=tmp_path / "out", subset=tmp_path / "some.txt").clips
    assert (clip.id, clip.generated) == ("ABOUT/test/ABOUT_00002", tmp_path / "out" / f"{form}.mp4")


def test_a_misspelled_word_folder_is_not_left_out_without_a_word(tmp_path: Path) -> None:
    touch(make_lrw(tmp_path), "ABSOLUTLY/test/ABSOLUTLY_00001.mp4")
    with pytest.raises(TlbenchError, match=r"'ABSOLUTLY' is none of the 500 words; did you mean ABSOLUTELY\?"):
        load_dataset("lrw", tmp_path)


def test_a_clip_of_another_word_in_a_word_folder_is_an_error(tmp_path: Path) -> None:
    touch(make_lrw(tmp_path), "ABOUT/test/ABUSE_00009.mp4")
    with pytest.raises(TlbenchError, match=r"ABUSE_00009\.mp4 is not named ABOUT_NNNNN"):
        load_dataset("lrw", tmp_path)

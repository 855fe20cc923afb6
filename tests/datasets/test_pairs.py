"""Wav2Lip's pairs: numbered by line, without reference, for lip sync only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories.dataset_factory import make_pairs, touch
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError


def test_line_numbers_from_zero_are_the_names_of_the_generated_files(tmp_path: Path) -> None:
    path = make_pairs(tmp_path / "lists", "lrs2.txt") / "lrs2.txt"
    touch(tmp_path / "out", "0.mp4", "2.mp4", "3.mp4")
    selection = load_dataset("lrs2-wav2lip-pairs", None, manifest=path, generated=tmp_path / "out")
    assert [(clip.id, clip.generated and clip.generated.name) for clip in selection.clips] == [
        ("0", "0.mp4"),
        ("1", None),  # lines the generator skipped leave a gap
        ("2", "2.mp4"),
    ]
    assert selection.extra == [tmp_path / "out" / "3.mp4"]
    assert all(clip.reference is None and clip.transcript is None for clip in selection.clips)


def test_speech_is_the_generated_files_own_as_published(tmp_path: Path) -> None:
    path = make_pairs(tmp_path, "lrs2.txt") / "lrs2.txt"
    selection = load_dataset("lrs2-wav2lip-pairs", None, manifest=path)
    assert {clip.audio for clip in selection.clips} == {None}
    assert selection.notes == ()


def test_a_root_is_where_the_list_lies_and_speech_stays_the_generated_files_own(tmp_path: Path) -> None:
    selection = load_dataset("lrs2-wav2lip-pairs", make_pairs(tmp_path, "lrs2.txt"))
    assert {clip.audio for clip in selection.clips} == {None}


@pytest.mark.parametrize(("kind", "count"), [("lrs2", 14_239), ("lrs3", 14_000), ("lrw", 28_000)])
def test_the_published_lists_have_their_own_sizes_and_only_lip_sync_metrics(
    tmp_path: Path, kind: str, count: int
) -> None:
    selection = load_dataset(f"{kind}-wav2lip-pairs", make_pairs(tmp_path, f"{kind}.txt"))
    assert selection.expected == count
    assert not selection.whole
    assert selection.dataset.metrics == ("lse_c", "lse_d")


def test_without_its_list_the_error_says_where_it_is() -> None:
    with pytest.raises(TlbenchError, match=r"pass evaluation/test_filelists/lrw\.txt of github\.com/Rudrabha/Wav2Lip"):
        load_dataset("lrw-wav2lip-pairs", None)

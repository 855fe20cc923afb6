"""GRID in both layouts, and its word times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories.dataset_factory import GRID_IDS, make_grid, touch
from tlbench.datasets.grid import SILENCES, parse_alignment, transcript_of_id
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.preflight.texts import check_contradictions

BBAF2N = """\
0 23750 sil
23750 29500 bin
29500 34000 blue
34000 35500 at
35500 41000 f
41000 47250 two
47250 53000 now
53000 74500 sil
"""


def test_the_id_spells_the_sentence() -> None:
    assert transcript_of_id("bbaf2n") == "bin blue at f two now"
    assert transcript_of_id("swwzzs") == "set white with z zero soon"


@pytest.mark.parametrize("name", ["", "bbaf2", "bbaf2nn", "xbaf2n", "bbaw2n", "bbaf0n"])
def test_other_names_spell_nothing(name: str) -> None:
    assert transcript_of_id(name) is None


def test_alignments_are_in_frames(tmp_path: Path) -> None:
    (tmp_path / "a.align").write_text(BBAF2N)
    words = parse_alignment(tmp_path / "a.align")
    assert words[1] == (23.75, 29.5, "bin")
    assert len(words) == 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9999), st.integers(0, 9999), st.sampled_from(["sil", "sp", "bin", "f"])), max_size=9
    )
)
def test_alignments_written_come_back(tmp_path: Path, steps: list[tuple[int, int, str]]) -> None:
    time, rows = 0, []
    for gap, length, word in steps:
        rows.append((time + gap, time + gap + length, word))
        time += gap + length
    (tmp_path / "a.align").write_text("".join(f"{start} {end} {word}\n" for start, end, word in rows))
    assert parse_alignment(tmp_path / "a.align") == [(start / 1000, end / 1000, word) for start, end, word in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 10\n", r"a\.align:1: '0 10' is not 'START END WORD'"),
        ("0 10 sil\n10 x bin\n", r"a\.align:2"),
        ("0 -5 sil\n", r"a\.align:1"),
        ("0 10 sil\n5 20 bin\n", r"a\.align:2: .* runs backwards \(the word before ends at 10\)"),
        ("9 3 sil\n", r"a\.align:1: .* runs backwards"),
    ],
)
def test_broken_alignments_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.align").write_text(text)
    with pytest.raises(TlbenchError, match=message):
        parse_alignment(tmp_path / "a.align")


@pytest.mark.parametrize("place", ["s1/bbaf2n.align", "alignments/s1/bbaf2n.align"])
def test_an_alignment_that_contradicts_the_id_is_told_and_not_used(tmp_path: Path, place: str) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", place)
    (tmp_path / place).write_text(BBAF2N.replace("two", "nine"))
    selection = load_dataset("grid", tmp_path)
    (clip,) = selection.clips
    assert clip.transcript == "bin blue at f two now"
    assert selection.spans(clip) == ()
    (found,) = check_contradictions(selection)
    assert (found.code, found.clip, found.level) == ("alignment-contradicts-id", "s1/bbaf2n", "warning")
    assert "'bin blue at f nine now'" in found.message
    assert "'bin blue at f two now'" in found.message


@pytest.mark.parametrize("text", [BBAF2N, BBAF2N.upper(), BBAF2N.replace("two", "2"), "0 75000 sil\n"])
def test_another_spelling_of_the_same_words_is_no_contradiction(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf2n.align")
    (tmp_path / "s1/bbaf2n.align").write_text(text)
    selection = load_dataset("grid", tmp_path)
    assert check_contradictions(selection) == []
    assert selection.spans(selection.clips[0])


def test_of_a_name_that_spells_nothing_the_alignment_is_the_transcript(tmp_path: Path) -> None:
    touch(tmp_path, "s1/other.mpg", "s1/other.align")
    (tmp_path / "s1/other.align").write_text(BBAF2N)
    selection = load_dataset("grid", tmp_path)
    assert selection.clips[0].transcript == "bin blue at f two now"
    assert check_contradictions(selection) == []


@pytest.mark.parametrize("text", ["", "0 50000\n", "9 3 sil\n", "\xff\x00"])
@pytest.mark.parametrize("name", ["bbaf2n", "other"])
def test_a_broken_alignment_costs_word_times_alone(tmp_path: Path, text: str, name: str) -> None:
    touch(tmp_path, f"s1/{name}.mpg", f"s1/{name}.align")
    (tmp_path / f"s1/{name}.align").write_text(text, "latin-1")
    selection = load_dataset("grid", tmp_path)
    (clip,) = selection.clips
    assert clip.transcript == ("bin blue at f two now" if name == "bbaf2n" else None)
    assert selection.spans(clip) == ()
    assert [found.code for found in check_contradictions(selection)] == (["bad-alignment"] if text else [])


def test_clips_without_word_times_are_counted_where_others_have_some(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf3s.mpg", "s2/bbaf4p.mpg", "alignments/s1/bbaf2n.align")
    (tmp_path / "alignments/s1/bbaf2n.align").write_text(BBAF2N)
    found = check_contradictions(load_dataset("grid", tmp_path, split="all"))
    assert [(told.code, told.clip) for told in found] == [
        ("no-word-times", "s1/bbaf3s"),
        ("no-word-times", "s2/bbaf4p"),
    ]


def test_without_alignments_the_id_is_the_transcript(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/other.mpg")
    assert [clip.transcript for clip in load_dataset("grid", tmp_path).clips] == ["bin blue at f two now", None]


def test_all_is_every_speaker_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    selection = load_dataset("grid", make_grid(tmp_path), split="all")
    assert [clip.id for clip in selection.clips] == GRID_IDS
    assert [clip.speaker for clip in selection.clips] == ["s1", "s1", "s2", "s10"]


def test_a_split_list_decides_clips_and_order_and_is_the_default(tmp_path: Path) -> None:
    selection = load_dataset("grid", make_grid(tmp_path))
    assert (selection.split, [clip.id for clip in selection.clips]) == (
        "test",
        ["s2/bbaf2n", "s1/bbaf2n", "s10/pgwz4s"],
    )


def test_without_split_lists_there_is_only_all(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg")
    assert load_dataset("grid", tmp_path).split == "all"
    with pytest.raises(TlbenchError, match="no split 'test'; there are all"):
        load_dataset("grid", tmp_path, split="test")


def test_a_listed_clip_without_a_video_names_list_and_line(tmp_path: Path) -> None:
    (make_grid(tmp_path) / "split_test.txt").write_text("s1/bbaf2n\ns1/bbaf9n\n")
    with pytest.raises(TlbenchError, match=r"split_test\.txt:2: no video s1/bbaf9n\.\*"):
        load_dataset("grid", tmp_path)


def test_one_clip_in_two_containers_is_an_error_with_both_named(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf2n.mp4")
    with pytest.raises(TlbenchError, match=r"bbaf2n\.mp4 and .*bbaf2n\.mpg are both clip s1/bbaf2n"):
        load_dataset("grid", tmp_path)


def test_a_speakers_own_folder_is_not_a_root(tmp_path: Path) -> None:
    touch(tmp_path, "s1/bbaf2n.mpg")
    with pytest.raises(TlbenchError, match="holds no speaker folder s1, s2"):
        load_dataset("grid", tmp_path / "s1")


def test_the_real_corpus_as_shipped(shared: Path) -> None:
    selection = load_dataset("grid", shared / "data" / "grid-original")
    assert selection.split == "all"
    assert {clip.speaker for clip in selection.clips} == {"s1", "s4", "s10", "s30"}
    assert all(clip.transcript == transcript_of_id(clip.id.split("/")[1]) for clip in selection.clips)


def test_the_real_corpus_reencoded_with_its_splits(shared: Path) -> None:
    root = shared / "data" / "grid"
    splits = {split: load_dataset("grid", root, split=split).clips for split in ("train", "val", "test", "all")}
    assert {split: len(clips) for split, clips in splits.items()} == {"train": 686, "val": 107, "test": 98, "all": 891}
    assert all(clip.transcript == transcript_of_id(clip.id.split("/")[1]) for clip in splits["all"])


def test_every_real_alignment_says_what_the_id_spells_within_the_clip(shared: Path) -> None:
    paths = sorted((shared / "data").rglob("*.align"))
    assert len(paths) == 918
    for path in paths:
        words = parse_alignment(path)
        assert " ".join(word for _, _, word in words if word not in SILENCES) == transcript_of_id(path.stem)
        assert words[-1][1] <= 75

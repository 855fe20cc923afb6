"""Generated files find their clips, and nothing is guessed."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.datasets.matching import (
    OTHER_SUFFIXES,
    UNREAD_SUFFIXES,
    ClipNames,
    FoundFile,
    find_files,
    match_files,
)
from tlbench.errors import TlbenchError

IDS = ["6331559613336179781/00002", "6331559613336179781/00003", "6350222105230808621/00002"]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(*names: str) -> list[FoundFile]:
    return [FoundFile(name.rpartition(".")[0], Path("out") / name) for name in names]


def names_of(ids: list[str]) -> ClipNames:
    return ClipNames(ids, lambda _: ())


@pytest.mark.parametrize(
    "name",
    [
        "6331559613336179781/00003.mp4",
        "6331559613336179781_00003.mp4",
        "6331559613336179781-00003.avi",
        "00003.mp4",  # only one clip ends so
    ],
)
def test_spellings_of_one_clip(name: str) -> None:
    assert match_files(names_of(IDS), found(name)).files == {IDS[1]: Path("out") / name}


def test_a_bare_name_two_clips_share_is_refused_with_both_named() -> None:
    with pytest.raises(TlbenchError, match=f"00002.mp4: could be clip {IDS[0]} or {IDS[2]}"):
        match_files(names_of(IDS), found("00002.mp4"))


def test_a_flat_name_two_clips_share_is_refused_with_both_named() -> None:
    with pytest.raises(TlbenchError, match="could be clip a_b/c or a/b_c"):
        match_files(names_of(["a_b/c", "a/b_c"]), found("a_b_c.mp4"))


def test_a_file_named_exactly_after_a_clip_is_that_clip_even_if_it_spells_another() -> None:
    matched = match_files(names_of(["a/b", "a_b", "b"]), found("a_b.mp4", "a/b.mp4", "b.mp4"))
    assert matched.files == {"a_b": Path("out/a_b.mp4"), "a/b": Path("out/a/b.mp4"), "b": Path("out/b.mp4")}


@pytest.mark.parametrize("second", ["6331559613336179781/00003.avi", "6331559613336179781_00003.mp4", "00003.mov"])
def test_two_files_for_one_clip_are_refused_with_both_named(second: str) -> None:
    with pytest.raises(TlbenchError, match=rf"two files claim it, .*{IDS[1]}\.mp4 and .*{second}"):
        match_files(names_of(IDS), found(f"{IDS[1]}.mp4", second))


def test_other_files_are_extra_and_never_matched_by_a_part_of_their_name() -> None:
    matched = match_files(names_of(IDS), found("old/00003.mp4", "100003.mp4", "x6331559613336179781/00003.mp4"))
    assert matched.files == {}
    assert len(matched.extra) == 3


def test_decomposed_names_from_macos_match_composed_ids() -> None:
    matched = match_files(names_of(["clé"]), found(normalize("NFD", "clé") + ".mp4"))
    assert list(matched.files) == ["clé"]


def test_ids_that_only_differ_in_composition_are_refused() -> None:
    with pytest.raises(TlbenchError, match="differ only in how letters are composed"):
        names_of(["clé", normalize("NFD", "clé")])


id_part = st.text("ab_-.", min_size=1, max_size=4).filter(lambda text: text.strip(".") == text)
ids = st.lists(st.lists(id_part, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8, unique=True)


@given(ids, st.randoms(use_true_random=False))
def test_files_named_by_their_ids_all_match_in_any_order(clip_ids: list[str], random: object) -> None:
    files = [FoundFile(clip_id, Path(f"{clip_id}.mp4")) for clip_id in clip_ids]
    random.shuffle(files)  # type: ignore[attr-defined]
    assert match_files(names_of(clip_ids), files).files == {clip_id: Path(f"{clip_id}.mp4") for clip_id in clip_ids}


@given(ids, st.sampled_from(["_", "-"]))
def test_flat_names_give_the_right_clip_or_an_error_but_never_another_clip(clip_ids: list[str], joint: str) -> None:
    target = clip_ids[0]
    name = target.replace("/", joint)
    try:
        matched = match_files(names_of(clip_ids), [FoundFile(name, Path(f"{name}.mp4"))])
    except TlbenchError:
        return
    assert list(matched.files) == [name if name in clip_ids else target]


def test_every_container_and_any_case_of_its_extension_is_found(tmp_path: Path) -> None:
    names = ["a.mp4", "b.AVI", "c.Mpg", "d.mpeg", "e.MOV", "f.mkv", "g.webm", "h.m4v"]
    touch(tmp_path, *names, "i.txt", "j.wav", "mp4", "k.mp4.part")
    assert [file.path.name for file in find_files(tmp_path)] == names


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", ".b.mp4", "._a.mp4", ".cache/c.mp4")
    assert [file.name for file in find_files(tmp_path)] == ["a"]


def test_symlink_loops_end_and_linked_folders_are_searched(tmp_path: Path) -> None:
    touch(tmp_path, "videos/s1/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "videos" / "s1" / "up").symlink_to(tmp_path / "videos")
    (tmp_path / "videos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "self.mp4").symlink_to(tmp_path / "videos" / "self.mp4")
    assert [file.name for file in find_files(tmp_path / "videos")] == ["linked/b", "s1/a", "self"]


def test_a_link_that_leads_nowhere_is_kept_for_its_reader_to_complain(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    assert [file.name for file in find_files(tmp_path)] == ["a"]


def test_pipes_are_left_out_since_opening_one_waits_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "pipe.mp4")
    assert find_files(tmp_path) == []


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(TlbenchError, match=r"can't be listed \(Permission denied\)"):
        find_files(tmp_path)


def test_25000_files_are_found_in_one_scan_a_folder_without_a_look_at_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, clips_a_word = 50, 500
    wanted = [f"W{word:02d}/test/W{word:02d}_{clip:05d}" for word in range(words) for clip in range(clips_a_word)]
    touch(tmp_path, *(f"{name}.mp4" for name in wanted))
    calls = {"scandir": 0, "stat": 0}
    scandir, stat = os.scandir, os.stat

    def counted_scandir(*args: object) -> object:
        calls["scandir"] += 1
        return scandir(*args)  # type: ignore[call-overload]

    def counted_stat(*args: object, **options: object) -> object:
        calls["stat"] += 1
        return stat(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "scandir", counted_scandir)
    monkeypatch.setattr(os, "stat", counted_stat)
    matched = match_files(names_of(wanted), find_files(tmp_path))
    folders = 1 + 2 * words
    assert calls == {"scandir": folders, "stat": folders}
    assert list(matched.files) == wanted


@pytest.mark.parametrize("suffix", sorted(OTHER_SUFFIXES | UNREAD_SUFFIXES))
def test_a_video_of_a_rarer_kind_is_its_clips_unless_a_common_one_lies_beside_it(tmp_path, suffix):
    (tmp_path / f"a{suffix.upper()}").touch()
    matched = match_files(names_of(["a"]), find_files(tmp_path))
    assert [path.name for path in matched.files.values()] == [f"a{suffix.upper()}"]
    (tmp_path / "a.mp4").touch()
    matched = match_files(names_of(["a"]), find_files(tmp_path))
    assert [path.name for path in matched.files.values()] == ["a.mp4"]
    assert [path.name for path in matched.extra] == [f"a{suffix.upper()}"]


def test_two_common_or_two_rare_videos_of_a_clip_are_refused(tmp_path):
    for folder, names in (("common", ("a.mp4", "a.mkv")), ("rare", ("a.gif", "a.flv"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
        with pytest.raises(TlbenchError, match="two files claim it"):
            match_files(names_of(["a"]), find_files(tmp_path / folder))

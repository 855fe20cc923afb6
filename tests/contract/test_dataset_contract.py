"""What every data set must keep, whatever its layout."""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from tests.factories.dataset_factory import (
    make_folder,
    make_grid,
    make_grid_sample,
    make_lrs2,
    make_lrw,
    make_pairs,
    make_synthetic,
    touch,
)
from tlbench.datasets import dataset as dataset_module
from tlbench.datasets.dataset import Dataset, dataset_class, dataset_names
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import TlbenchError


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[Path], Path]


CASES = [
    Case("lrs2", make_lrs2),
    Case("lrw", make_lrw),
    Case("grid", make_grid),
    Case("grid-sample", make_grid_sample),
    Case("folder", make_folder),
    Case("synthetic", make_synthetic),
    Case("synthetic-words", make_synthetic),
    Case("lrs2-wav2lip-pairs", lambda root: make_pairs(root, "lrs2.txt")),
    Case("lrs3-wav2lip-pairs", lambda root: make_pairs(root, "lrs3.txt")),
    Case("lrw-wav2lip-pairs", lambda root: make_pairs(root, "lrw.txt")),
]
every_dataset = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def ids(selection: Selection) -> list[str]:
    return [clip.id for clip in selection.clips]


def one_line(error: pytest.ExceptionInfo[TlbenchError], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert all(part in text for part in parts), text


def test_every_built_in_data_set_is_under_this_contract() -> None:
    assert {case.name for case in CASES} == set(dataset_module._BUILT_IN)


@every_dataset
def test_facts_are_stated(case: Case) -> None:
    found = dataset_class(case.name)
    assert issubclass(found, Dataset)
    assert not inspect.isabstract(found)
    assert found.name == case.name
    assert found.title
    assert found.layout
    assert found.licence
    assert all(count > 0 for count in found.expected_clips.values())
    assert found.cluster in (None, "speaker", "programme")


@every_dataset
def test_ids_are_unique_relative_and_stable(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    first, again = load_dataset(case.name, root), load_dataset(case.name, root)
    assert ids(first)
    assert ids(first) == ids(again)
    assert len(set(ids(first))) == len(first.clips)
    for clip_id in ids(first):
        assert not PurePosixPath(clip_id).is_absolute()
        assert ".." not in PurePosixPath(clip_id).parts
        assert str(tmp_path) not in clip_id


@every_dataset
def test_ids_do_not_depend_on_where_the_data_lies(case: Case, tmp_path: Path) -> None:
    one = load_dataset(case.name, case.make(tmp_path / "one"))
    two = load_dataset(case.name, case.make(tmp_path / "two" / "deep"))
    assert ids(one) == ids(two)


@every_dataset
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_clips_do_not_depend_on_the_file_systems_order(
    case: Case, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = case.make(tmp_path)
    before = load_dataset(case.name, root).clips
    scandir, listdir = os.scandir, os.listdir
    generator = random.Random(seed)

    class Shuffled:
        def __init__(self, folder: object) -> None:
            with scandir(folder) as listing:  # type: ignore[call-overload]
                self.entries = list(listing)
            generator.shuffle(self.entries)

        def __enter__(self) -> Shuffled:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def __iter__(self) -> object:
            return iter(self.entries)

    def shuffled_names(folder: object = ".") -> list[str]:
        names: list[str] = listdir(folder)  # type: ignore[call-overload]
        generator.shuffle(names)
        return names

    monkeypatch.setattr(os, "scandir", Shuffled)
    monkeypatch.setattr(os, "listdir", shuffled_names)
    assert load_dataset(case.name, root).clips == before


@every_dataset
def test_limit_keeps_the_first_and_is_recorded(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path)
    whole, limited = load_dataset(case.name, root), load_dataset(case.name, root, limit=1)
    assert limited.clips == whole.clips[:1]
    assert (limited.limit, limited.clips_in_split, limited.whole) == (1, len(whole.clips), False)


@every_dataset
def test_subset_keeps_the_data_sets_order_and_is_recorded(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    whole = load_dataset(case.name, root)
    wanted = ids(whole)[-1], ids(whole)[0]
    (tmp_path / "some.txt").write_text("# chosen by hand\n" + "\n".join(wanted) + "\n")
    selection = load_dataset(case.name, root, subset=tmp_path / "some.txt")
    assert ids(selection) == [wanted[1], wanted[0]]
    assert selection.subset == tmp_path / "some.txt"
    assert not selection.whole


@every_dataset
def test_generated_files_are_matched_missing_ones_are_none_and_others_extra(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    first, *rest = ids(load_dataset(case.name, root))
    touch(tmp_path / "out", f"{first}.mp4", "not a clip.mp4")
    selection = load_dataset(case.name, root, generated=tmp_path / "out")
    assert selection.clips[0].generated == tmp_path / "out" / f"{first}.mp4"
    assert [clip.generated for clip in selection.clips[1:]] == [None] * len(rest)
    assert selection.extra == [tmp_path / "out" / "not a clip.mp4"]


@every_dataset
def test_a_subset_does_not_make_the_other_generated_files_extra(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    clip_ids = ids(load_dataset(case.name, root))
    touch(tmp_path / "out", *(f"{clip_id}.mp4" for clip_id in clip_ids))
    selection = load_dataset(case.name, root, generated=tmp_path / "out", limit=1)
    assert (ids(selection), selection.extra) == ([clip_ids[0]], [])


@every_dataset
def test_a_folder_of_boxes_is_given_to_every_clip_or_refused(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    clip_ids = ids(load_dataset(case.name, root))
    for clip_id in clip_ids:
        path = tmp_path / "boxes" / f"{clip_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.zeros((2, 4), np.int64))
    selection = load_dataset(case.name, root, boxes=tmp_path / "boxes")
    assert [clip.boxes for clip in selection.clips] == [tmp_path / "boxes" / f"{clip_id}.npy" for clip_id in clip_ids]
    (tmp_path / "boxes" / f"{clip_ids[0]}.npy").unlink()
    with pytest.raises(TlbenchError) as error:
        load_dataset(case.name, root, boxes=tmp_path / "boxes")
    one_line(error, f"no .npy for 1 of {len(clip_ids)} clips: {clip_ids[0]}")


@every_dataset
def test_wrong_roots_are_one_line_errors_that_name_the_argument(case: Case, tmp_path: Path) -> None:
    touch(tmp_path, "a file", "empty folder/note.md")
    for root, part in [("nowhere", "does not exist"), ("a file", "is a file"), ("empty folder", "empty folder")]:
        with pytest.raises(TlbenchError) as error:
            load_dataset(case.name, tmp_path / root)
        if root == "empty folder" and "wav2lip" in case.name:
            one_line(error, "--manifest")  # the list is what is missing there
        else:
            one_line(error, part, "expected" if root == "empty folder" and case.name == "folder" else "--data-root")


@every_dataset
def test_other_bad_arguments_are_one_line_errors(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    touch(tmp_path, "file.mp4", "empty/note.md", "strangers/x.mp4")
    (tmp_path / "some.txt").write_text("nobody\nno/one\n")
    (tmp_path / "none.txt").write_text("# none\n")
    for parts, change in [
        (["limit 0", "at least 1"], {"limit": 0}),
        (["no split 'tset'", "there are"], {"split": "tset"}),
        (["2 clips are not in", "nobody, no/one"], {"subset": tmp_path / "some.txt"}),
        (["names no clip"], {"subset": tmp_path / "none.txt"}),
        (["can't be read"], {"subset": tmp_path / "missing.txt"}),
        (["does not exist"], {"generated": tmp_path / "nowhere"}),
        (["is a file"], {"generated": tmp_path / "file.mp4"}),
        (["holds no video"], {"generated": tmp_path / "empty"}),
        (["none of its 1 video is named after a clip"], {"generated": tmp_path / "strangers"}),
        (["does not exist"], {"boxes": tmp_path / "nowhere"}),
    ]:
        with pytest.raises(TlbenchError) as error:
            load_dataset(case.name, root, **change)  # type: ignore[arg-type]
        one_line(error, *parts)


@every_dataset
def test_a_generated_folder_given_one_level_too_high_is_recognised(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path / "data")
    clip_ids = ids(load_dataset(case.name, root))
    touch(tmp_path / "run", *(f"videos/{clip_id}.mp4" for clip_id in clip_ids))
    with pytest.raises(TlbenchError) as error:
        load_dataset(case.name, root, generated=tmp_path / "run")
    one_line(error, f"pass {tmp_path / 'run' / 'videos'} instead")


@pytest.mark.parametrize("name", [case.name for case in CASES if dataset_class(case.name).needs_root])
def test_without_a_root_the_layout_is_said(name: str) -> None:
    with pytest.raises(TlbenchError) as error:
        load_dataset(name, None)
    one_line(error, dataset_class(name).layout, "--data-root")


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    root = make_lrs2(tmp_path)
    (root / "test.txt").write_text("\n")
    with pytest.raises(TlbenchError) as error:
        load_dataset("lrs2", root)
    one_line(error, "split 'test' holds no clips")


def test_a_manifest_is_refused_where_there_is_no_use_for_one(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"grid: takes no manifest .*--subset"):
        load_dataset("grid", make_grid(tmp_path), manifest=tmp_path / "list.csv")


def test_a_misspelled_name_gets_a_suggestion() -> None:
    with pytest.raises(TlbenchError, match=r"no data set 'lsr2'; did you mean 'lrs2'\?"):
        dataset_class("lsr2")


def test_names_are_listed_without_importing_the_data_sets() -> None:
    assert list(dataset_names())[: len(CASES)] == list(dataset_module._BUILT_IN)

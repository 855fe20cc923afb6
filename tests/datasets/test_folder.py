"""Any folder of videos, with or without a manifest."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories.dataset_factory import make_folder, touch
from tlbench.datasets.clip import Clip
from tlbench.datasets.folder import read_manifest
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError


def test_ids_are_paths_without_extension_and_texts_lie_beside_the_videos(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / "b.txt").write_text("Text:  SAID IN LRS2\nConf:  4\n")
    clips = load_dataset("folder", root).clips
    assert [(clip.id, clip.transcript) for clip in clips] == [
        ("a", "what is said"),
        ("b", "SAID IN LRS2"),
        ("deep er/c", None),
    ]


def test_references_and_generated_videos_meet_by_id_whatever_their_container(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "real")
    touch(tmp_path / "out", "a.mp4", "deep er/c.webm", "stray.mp4")
    selection = load_dataset("folder", root, generated=tmp_path / "out")
    assert [clip.generated for clip in selection.clips] == [
        tmp_path / "out/a.mp4",
        None,
        tmp_path / "out/deep er/c.webm",
    ]
    assert selection.extra == [tmp_path / "out/stray.mp4"]


def test_without_references_the_generated_videos_are_the_clips(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    clips = load_dataset("folder", None, generated=tmp_path).clips
    assert clips == [Clip("a", generated=tmp_path / "a.mp4"), Clip("b", generated=tmp_path / "b.mp4")]


def test_two_references_with_one_id_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.avi")
    with pytest.raises(TlbenchError, match=r"a\.avi and .*a\.mp4 are both clip a"):
        load_dataset("folder", tmp_path)


def test_nothing_given_is_an_error_that_says_what_to_give() -> None:
    with pytest.raises(TlbenchError, match=r"pass references .*manifest .*generated"):
        load_dataset("folder", None)


def test_a_csv_manifest_is_read_relative_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        '﻿id,reference,transcript,boxes,speaker\r\nx/1,"real, one.mp4","so, it is",,anna\r\n\r\ny,,,y.npy,\r\n'
    )
    assert read_manifest(path) == [
        Clip("x/1", reference=tmp_path / "real, one.mp4", transcript="so, it is", speaker="anna"),
        Clip("y", boxes=tmp_path / "y.npy"),
    ]


def test_a_json_lines_manifest_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(
        '{"id": "a", "word": "ABOUT", "generated": "/abs/a.mp4"}\n\n{"id": "b", "word": null, "source": "b.png"}\n'
    )
    assert read_manifest(path) == [
        Clip("a", word="ABOUT", generated=Path("/abs/a.mp4")),
        Clip("b", source=tmp_path / "b.png"),
    ]


def test_a_named_file_holds_and_the_others_are_found_by_id(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4", "real/b.mp4", "out/take7.mp4", "out/b.mp4", "out/stray.mp4")
    (tmp_path / "list.csv").write_text("id,generated\na,out/take7.mp4\nb,\n")
    selection = load_dataset("folder", tmp_path / "real", generated=tmp_path / "out", manifest=tmp_path / "list.csv")
    assert [(clip.reference, clip.generated) for clip in selection.clips] == [
        (tmp_path / "real/a.mp4", tmp_path / "out/take7.mp4"),
        (tmp_path / "real/b.mp4", tmp_path / "out/b.mp4"),
    ]
    assert selection.extra == [tmp_path / "out/stray.mp4"]


def test_paths_out_of_the_manifests_folder_work_and_are_said(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/list.csv").write_text("id,reference\na,../a.mp4\nb,b.mp4\n")
    selection = load_dataset("folder", None, manifest=tmp_path / "lists/list.csv")
    assert selection.clips[0].reference == tmp_path / "lists/../a.mp4"
    assert selection.notes == (f"1 paths of list.csv lead out of its folder {tmp_path / 'lists'}",)


text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(text, max_size=6))
def test_json_transcripts_come_back_as_written(tmp_path: Path, transcripts: list[str]) -> None:
    rows = [{"id": str(number), "transcript": written} for number, written in enumerate(transcripts)]
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [clip.transcript or "" for clip in read_manifest(path)] == transcripts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(
    raw=st.binary(max_size=120) | st.text('{}[]":,id\n\\ud8', max_size=60).map(str.encode),
    suffix=st.sampled_from(["csv", "jsonl"]),
)
def test_no_bytes_make_the_manifest_fail_in_any_way_but_its_own(tmp_path: Path, raw: bytes, suffix: str) -> None:
    path = tmp_path / f"list.{suffix}"
    path.write_bytes(raw)
    with suppress(TlbenchError):
        read_manifest(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.csv", "id,refrence\na,b.mp4\n", r"l\.csv:1: unknown columns 'refrence'; there are id, reference"),
        ("l.csv", "reference\nb.mp4\n", r"l\.csv:1: no column 'id'"),
        ("l.csv", "id,id\na,b\n", r"l\.csv:1: a column is there twice"),
        ("l.csv", "id\na\na\n", r"l\.csv:3: clip a is in the manifest twice"),
        ("l.csv", "id,transcript\na,so, it is\n", r"l\.csv:2: 3 cells under 2 columns; quote"),
        ("l.csv", "id,transcript\n,hello\n", r"l\.csv:2: clip id '' is empty"),
        ("l.csv", "id\n../a\n", r"l\.csv:2: clip id '\.\./a'"),
        ("l.csv", 'id,transcript\na,"open\n', r"l\.csv:2: not CSV"),
        ("l.jsonl", '{"id": 7}\n', r"l\.jsonl:1: id is 7, not text"),
        ("l.jsonl", '{"id": "a"}\n["b"]\n', r"l\.jsonl:2: not an object"),
        ("l.jsonl", "{id: a}\n", r"l\.jsonl:1: not JSON"),
        ("l.jsonl", '{"id": "a", "fps": "25"}\n', r"l\.jsonl:1: unknown columns 'fps'"),
        ("l.jsonl", '{"id": "a", "reference": "a\\u0000.mp4"}\n', r"l\.jsonl:1: reference .* control character"),
        ("l.jsonl", '{"id": "a", "transcript": "\\ud800"}\n', r"l\.jsonl:1: transcript .* surrogate"),
        ("l.xlsx", "", r"must end in \.csv or \.jsonl"),
    ],
)
def test_trouble_names_file_and_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TlbenchError, match=message):
        read_manifest(tmp_path / name)

"""File lists are read as the projects ship them, and trouble names file and line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlbench.datasets.lists import (
    AudioVideoPair,
    check_clip_id,
    read_id_list,
    read_lrs2_list,
    read_subset,
    read_talklip_tsv,
    read_wav2lip_pairs,
)
from tlbench.errors import TlbenchError

LRS2 = "6331559613336179781/00002"
part = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Z"), exclude_characters="/\\#"), min_size=1
)
clip_id = st.lists(part.filter(lambda text: text not in (".", "..", "﻿")), min_size=1, max_size=3).map("/".join)
on_one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)


def put(folder: Path, text: str | bytes, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@on_one_file
@given(
    ids=st.lists(clip_id, unique=True, max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    last=st.booleans(),
    gap=st.sampled_from(["", "\n", "# a comment\n", "   \n"]),
)
def test_ids_survive_bom_crlf_blank_lines_comments_and_a_missing_last_line_end(
    tmp_path: Path, ids: list[str], end: str, mark: bool, last: bool, gap: str
) -> None:
    text = gap + (end + gap).join(ids) + (end if last else "")
    path = put(tmp_path, ("﻿" if mark else "") + text)
    assert [entry.id for entry in read_id_list(path)] == ids


@on_one_file
@given(
    ids=st.lists(st.from_regex(r"[0-9]{3,19}/[0-9]{5}", fullmatch=True), unique=True),
    tag=st.sampled_from([" NF", " MV", ""]),
)
def test_lrs2_list_keeps_the_id_and_drops_what_follows(tmp_path: Path, ids: list[str], tag: str) -> None:
    path = put(tmp_path, "".join(f"{entry}{tag}\n" for entry in ids))
    assert [entry.id for entry in read_lrs2_list(path)] == ids


@on_one_file
@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail_in_any_way_but_its_own(tmp_path: Path, raw: bytes) -> None:
    path = put(tmp_path, raw)
    for read in (
        read_id_list,
        read_lrs2_list,
        read_talklip_tsv,
        read_wav2lip_pairs,
        read_subset,
    ):
        with suppress(TlbenchError):
            read(path)


@given(clip_id)
def test_ordinary_names_are_ids(text: str) -> None:
    assert check_clip_id(text, "here") == text


@pytest.mark.parametrize("text", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\\b", "a\x00b", "a\nb", "a\udce9b"])
def test_names_that_lead_out_of_a_folder_or_fit_no_file_are_no_ids(text: str) -> None:
    with pytest.raises(TlbenchError, match=r"^here: clip id"):
        check_clip_id(text, "here")


@pytest.mark.parametrize("text", ["my clip", "Ünïcode", "it's", 'a "b"', "a.b", "クリップ", "a\u00a0b"])
def test_spaces_quotes_dots_and_other_scripts_are_fine_in_ids(text: str) -> None:
    assert check_clip_id(text, "here") == text


def test_talklip_tsv_has_a_root_line_then_name_frames_samples(tmp_path: Path) -> None:
    path = put(tmp_path, f"/\t\t\n{LRS2}\t58\t38912\n6350222105230808621/00007\t47\t31744\n")
    clips = read_talklip_tsv(path)
    assert [(clip.id, clip.frames, clip.samples) for clip in clips] == [
        (LRS2, 58, 38912),
        ("6350222105230808621/00007", 47, 31744),
    ]


def test_the_av_hubert_manifest_made_of_it_is_read_as_well(tmp_path: Path) -> None:
    path = put(tmp_path, f"/\n{LRS2}\t/v/{LRS2}.mp4\t/a/{LRS2}.wav\t58\t38912\n")
    assert [(clip.id, clip.frames, clip.samples) for clip in read_talklip_tsv(path)] == [(LRS2, 58, 38912)]


def test_wav2lip_lists_name_the_audio_first_and_count_lines_from_zero(tmp_path: Path) -> None:
    path = put(tmp_path, "BRING_00018 BRING_00001\nABOUT_00003 ABUSE_00009\n")
    assert read_wav2lip_pairs(path) == [
        AudioVideoPair(0, audio="BRING_00018", video="BRING_00001"),
        AudioVideoPair(1, audio="ABOUT_00003", video="ABUSE_00009"),
    ]


@pytest.mark.parametrize(
    ("text", "first_id"),
    [
        (f"{LRS2} NF\n6350222105230808621/00007 MV\n", LRS2),
        (f"/\t\t\n{LRS2}\t58\t38912\n", LRS2),
        (f"{LRS2}\n", LRS2),
        ("my clip NF\nanother\n", "my clip NF"),
    ],
)
def test_a_subset_may_be_any_list_of_single_clips(tmp_path: Path, text: str, first_id: str) -> None:
    assert read_subset(put(tmp_path, text))[0].id == first_id


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_id_list, "a\nb\na\n", r"list\.txt:3: a is already in line 1"),
        (read_id_list, b"a\n\xff\xfe\n", r"list\.txt:2: not UTF-8 \(byte 0xff\)"),
        (read_id_list, "a\n../../etc/passwd\n", r"list\.txt:2: clip id '\.\./\.\./etc/passwd'"),
        (read_lrs2_list, "00002 NF\n", r"list\.txt:1: '00002' is not VIDEO/CLIP"),
        (read_talklip_tsv, f"{LRS2}\t58\t38912\n", r"list\.txt:1: a TalkLip tsv begins with a line '/'"),
        (read_talklip_tsv, f"/\n{LRS2}\t58\n", r"list\.txt:2: 2 tab-separated columns"),
        (read_talklip_tsv, f"/\n{LRS2}\t58\tmany\n", r"list\.txt:2: 'many' is not a count"),
        (read_wav2lip_pairs, "a b\n\nc d\n", r"list\.txt:2: 0 names"),
        (read_wav2lip_pairs, "a b c\n", r"list\.txt:1: 3 names"),
        (read_wav2lip_pairs, "/etc/a b\n", r"list\.txt:1: clip id '/etc/a'"),
    ],
)
def test_trouble_names_file_and_line(tmp_path: Path, read: object, text: str | bytes, message: str) -> None:
    assert callable(read)
    with pytest.raises(TlbenchError, match=message):
        read(put(tmp_path, text))


def test_a_missing_list_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"list .*no such.* can't be read"):
        read_id_list(tmp_path / "no such")

"""The cache: whole entries or none, found by content, and nothing that is damaged is believed."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest

from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.cache import (
    Cache,
    content_key,
    content_sha256,
    default_cache,
    file_sha256,
    write_text_atomically,
)

KEY = {"observer": "o@1[]", "generated": "ab", "reference": None}
PAYLOAD = {"evidence": {"x": 1.5}, "notes": ["30 to 25 frames/s"], "frames": 7}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_is_written_is_read_back(cache: Cache) -> None:
    assert cache.read(KEY) is None
    cache.write(KEY, PAYLOAD)
    assert cache.read(KEY) == PAYLOAD
    assert cache.read({**KEY, "generated": "ac"}) is None


def test_the_key_does_not_hang_on_the_order_of_its_fields() -> None:
    assert content_key(KEY) == content_key(dict(reversed(KEY.items())))


def spoil_end(text: str) -> str:
    return text[:-20]


def spoil_number(text: str) -> str:
    return text.replace('"frames":7', '"frames":8')


def spoil_all(text: str) -> str:
    return "\0" * 100


def spoil_depth(text: str) -> str:
    return "[" * 100_000


def spoil_kind(text: str) -> str:
    return "[1, 2]"


def spoil_key(text: str) -> str:
    return text.replace('"generated":"ab"', '"generated":"ff"')


@pytest.mark.parametrize("spoil", [spoil_end, spoil_number, spoil_all, spoil_depth, spoil_kind, spoil_key])
def test_a_damaged_entry_is_said_and_not_believed(cache: Cache, spoil: object) -> None:
    assert callable(spoil)
    cache.write(KEY, PAYLOAD)
    path = cache.path(KEY)
    path.write_text(spoil(path.read_text()))
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        assert cache.read(KEY) is None
    cache.write(KEY, PAYLOAD)
    assert cache.read(KEY) == PAYLOAD


def test_bytes_that_are_no_text_are_damage_too(cache: Cache) -> None:
    cache.write(KEY, PAYLOAD)
    cache.path(KEY).write_bytes(b"\xff\xfe\x00")
    with pytest.warns(UserWarning, match="is damaged"):
        assert cache.read(KEY) is None


def test_an_entry_of_another_version_is_left_unread_without_alarm(cache: Cache) -> None:
    cache.write(KEY, PAYLOAD)
    path = cache.path(KEY)
    path.write_text(path.read_text().replace("tlbench.cache/1", "tlbench.cache/2"))
    assert cache.read(KEY) is None


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full")])
@pytest.mark.parametrize("where", ["replace", "write"])
def test_a_full_disk_is_one_line_and_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str, where: str
) -> None:
    path = tmp_path / "result.json"
    write_text_atomically(path, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "replace", full) if where == "replace" else ("builtins.open", full)))
        with pytest.raises(TlbenchError, match=said) as caught:
            write_text_atomically(path, "new")
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TlbenchError, match=re.escape(str(tmp_path / "file" / "x.json"))):
        write_text_atomically(tmp_path / "file" / "x.json", "")


def test_a_written_file_may_be_read_by_whoever_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_text_atomically(tmp_path / "x.json", "")
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o644


def test_a_files_hash_is_of_its_bytes_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "a") == file_sha256(tmp_path / "b") == expected


def test_a_file_that_can_not_be_hashed_is_its_clips_trouble(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path, code in ((None, "missing"), (tmp_path / "no.mp4", "missing"), (tmp_path / "loop", "unreadable")):
        with pytest.raises(ClipError, match=r"clip s1/a: .*reference video") as caught:
            content_sha256(path, "s1/a", "reference video")
        assert caught.value.code == code


def test_the_environment_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("TLBENCH_CACHE")
    assert default_cache().name == "tlbench"


def test_an_entry_is_one_line_of_json_that_says_what_it_is_of(cache: Cache) -> None:
    cache.write(KEY, PAYLOAD)
    entry = json.loads(cache.path(KEY).read_text())
    assert entry["schema"] == "tlbench.cache/1"
    assert entry["key"] == KEY

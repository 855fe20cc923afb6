"""Single clips out of an archive on a server of our own, which counts what it sends."""

from __future__ import annotations

import http.server
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tests.factories.server_factory import only_loopback, serving
from tlbench.datasets import remote_file
from tlbench.datasets.fetch_grid import fetch_grid
from tlbench.datasets.fetch_grid_clips import fetch_grid_clips, parse_clips, write_speaker_splits
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError

CLIPS = [f"{command}{colour}af{digit}n" for command in "bl" for colour in "bg" for digit in "12345"]
VIDEO_BYTES, TAIL = 40_000, 70_000


def video(name: str) -> bytes:
    """Bytes that can't be compressed, so that a member is as long as its file."""
    return np.random.default_rng(CLIPS.index(name)).bytes(VIDEO_BYTES)


def packed(speaker: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in CLIPS:
            archive.writestr(f"{speaker}/{name}.mpg", video(name))
        archive.writestr(f"../{speaker}/{CLIPS[0]}x.mpg", b"evil")
    return content.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves parts of files; ``sent`` has the bytes of each answer, ``damage`` a byte that is changed on the way."""

    sent: ClassVar[list[int]] = []
    damage: int | None = None
    whole_only = False
    version = '"1"'

    def do_GET(self) -> None:
        body = bytearray(packed(self.path[1:].removesuffix(".zip")))
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or "")
        kind = type(self)
        if kind.damage is not None:
            body[kind.damage] ^= 255
        if asked is None or kind.whole_only:
            begin, end, status = 0, len(body), 200
        elif not asked[1]:
            begin, end, status = max(0, len(body) - int(asked[2])), len(body), 206
        else:
            begin, end, status = int(asked[1]), min(len(body), int(asked[2] or len(body)) + 1), 206
        self.send_response(status)
        self.send_header("ETag", kind.version)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        kind.sent.append(end - begin)  # before it is written: the client may ask again as soon as it has all
        self.wfile.write(body[begin:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    only_loopback(monkeypatch)
    monkeypatch.setattr(remote_file, "TAIL_BYTES", TAIL)
    monkeypatch.setattr(remote_file, "AHEAD_BYTES", 2_000)
    for name, value in (("sent", []), ("damage", None), ("whole_only", False), ("version", '"1"')):
        monkeypatch.setattr(Handler, name, value)
    with serving(Handler) as server:
        yield f"{server}/{{name}}.zip"


def test_clips_are_taken_out_of_the_archive_and_little_else_is_sent(tmp_path: Path, address: str) -> None:
    told: list[tuple[int, int | None]] = []
    paths = fetch_grid_clips(tmp_path, "s1", ["lgaf2n", "bbaf1n"], lambda *n: told.append(n), address)
    assert [path.name for path in paths] == ["bbaf1n.mpg", "lgaf2n.mpg"]
    assert all(path.read_bytes() == video(path.stem) for path in paths)
    assert sum(Handler.sent) < 2 * VIDEO_BYTES + TAIL + 10_000 < len(packed("s1")) / 4
    assert told[-1][0] == told[-1][1]
    assert len(told) == 2
    note = json.loads((tmp_path / "fetched_clips.json").read_text())
    assert note["source"] == address.format(name="s1")
    assert sorted(note["speakers"]["s1"]) == ["bbaf1n", "lgaf2n"]
    assert [clip.id for clip in load_dataset("grid", tmp_path).clips] == ["s1/bbaf1n", "s1/lgaf2n"]


def test_a_number_of_clips_is_spread_over_the_sentences_and_more_are_a_superset(tmp_path: Path, address: str) -> None:
    four = {path.stem for path in fetch_grid_clips(tmp_path, "s1", 4, address=address)}
    assert len(four) == 4
    assert {name[0] for name in four} == {"b", "l"}
    Handler.sent.clear()
    six = {path.stem for path in fetch_grid_clips(tmp_path, "s1", 6, address=address)}
    assert four < six
    assert sum(Handler.sent) < 2 * VIDEO_BYTES + TAIL + 10_000  # only the two that were missing
    everything = fetch_grid_clips(tmp_path, "s1", 10_000, address=address)
    assert [path.stem for path in everything] == CLIPS


def test_what_is_there_is_kept_and_what_was_damaged_is_fetched_again(tmp_path: Path, address: str) -> None:
    (tmp_path / "s1").mkdir()
    fetch_grid_clips(tmp_path, "s4", ["bbaf1n", "bbaf2n"], address=address)
    (tmp_path / "s4" / "bbaf1n.mpg").write_bytes(b"half of it")
    (tmp_path / "s4" / "bbaf3n.mpg").write_bytes(b"my own")
    Handler.sent.clear()
    fetch_grid_clips(tmp_path, "s4", ["bbaf1n", "bbaf2n", "bbaf3n"], address=address)
    assert (tmp_path / "s4" / "bbaf1n.mpg").read_bytes() == video("bbaf1n")
    assert (tmp_path / "s4" / "bbaf3n.mpg").read_bytes() == b"my own"
    assert sum(Handler.sent) < VIDEO_BYTES + TAIL + 10_000
    fetch_grid_clips(tmp_path, "s4", ["bbaf1n", "bbaf2n"], address="https://127.0.0.1:9/{name}.zip")  # nothing is asked
    assert fetch_grid_clips(tmp_path, "s1", 3, address="https://127.0.0.1:9/{name}.zip") == []  # there as a whole


def test_a_broken_line_loses_nothing_that_came(tmp_path: Path, address: str) -> None:
    def unplugged(done: int, total: int | None) -> None:
        if done > 1.5 * VIDEO_BYTES:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_grid_clips(tmp_path, "s1", CLIPS[:5], unplugged, address)
    assert len(list((tmp_path / "s1").iterdir())) == 2
    Handler.sent.clear()
    assert len(fetch_grid_clips(tmp_path, "s1", CLIPS[:5], address=address)) == 5
    assert sum(Handler.sent) < 3 * VIDEO_BYTES + TAIL + 10_000


def test_a_whole_speaker_replaces_single_clips(tmp_path: Path, address: str) -> None:
    fetch_grid_clips(tmp_path, "s1", ["bbaf1n"], address=address)
    fetch_grid(tmp_path, "s1", address=address)
    assert len(list((tmp_path / "s1").iterdir())) == len(CLIPS)
    assert json.loads((tmp_path / "fetched_clips.json").read_text())["speakers"] == {}


def test_damage_on_the_way_is_noticed_by_the_sums(tmp_path: Path, address: str) -> None:
    Handler.damage = VIDEO_BYTES // 2
    with pytest.raises(TlbenchError, match=r"is no archive of it, or is damaged .*fetch again"):
        fetch_grid_clips(tmp_path, "s1", ["bbaf1n"], address=address)
    assert list((tmp_path / "s1").iterdir()) == []


def test_a_server_of_whole_files_and_an_exchanged_file_are_said(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Handler.whole_only = True
    with pytest.raises(TlbenchError, match="is only sent whole; fetch all of it"):
        fetch_grid_clips(tmp_path, "s1", ["bbaf1n"], address=address)
    Handler.whole_only = False

    def exchanged(done: int, total: int | None) -> None:
        Handler.version = '"2"'

    with pytest.raises(TlbenchError, match="has changed meanwhile; fetch again"):
        fetch_grid_clips(tmp_path, "s1", CLIPS[:2], exchanged, address)
    with pytest.raises(TlbenchError, match="can't be reached or broke off"):
        fetch_grid_clips(tmp_path, "s3", ["bbaf1n"], address="https://127.0.0.1:9/{name}.zip")


def test_a_clip_that_is_not_there_is_said(tmp_path: Path, address: str) -> None:
    with pytest.raises(TlbenchError, match=r"has no clip bbaf1m; did you mean 'bbaf1n'\?"):
        fetch_grid_clips(tmp_path, "s1", ["bbaf1m"], address=address)
    assert parse_clips(["s1/bbaf1n", "s4/lgaf2n", "s1/bbaf2n"]) == {"s1": ["bbaf1n", "bbaf2n"], "s4": ["lgaf2n"]}
    assert len(parse_clips(["sample"])["s1"]) == 12
    for wrong in ("bbaf1n", "s1/../x", "s1/"):
        with pytest.raises(TlbenchError, match="is no id of GRID"):
            parse_clips([wrong])
    with pytest.raises(TlbenchError, match="GRID has no video of 's21'"):
        parse_clips(["s21/bbaf1n"])


def test_splits_are_by_speaker_and_are_not_overwritten(tmp_path: Path) -> None:
    for speaker in ("s1", "s3", "s5", "s6"):
        (tmp_path / speaker).mkdir()
        (tmp_path / speaker / "bbaf2n.mpg").touch()
    assert write_speaker_splits(tmp_path) == {"train": 2, "val": 1, "test": 1}
    assert (tmp_path / "split_train.txt").read_text() == "s5/bbaf2n\ns6/bbaf2n\n"
    assert [clip.id for clip in load_dataset("grid", tmp_path, split="test").clips] == ["s1/bbaf2n"]
    write_speaker_splits(tmp_path)
    (tmp_path / "split_val.txt").write_text("s5/bbaf2n\n")
    with pytest.raises(TlbenchError, match=r"split_val\.txt: has other lines"):
        write_speaker_splits(tmp_path)
    (tmp_path / "split_val.txt").unlink()
    (tmp_path / "s1" / "bbaf2n.mpg").unlink()
    with pytest.raises(TlbenchError, match=r"no clips for split_test\.txt; fetch some of s1, s2, s20, s22"):
        write_speaker_splits(tmp_path)

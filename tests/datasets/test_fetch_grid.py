"""GRID from a server of our own: fetched, unpacked, and nothing outside the folder however the archive is made."""

from __future__ import annotations

import http.server
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.server_factory import only_loopback, serving
from tlbench.datasets.fetch_grid import SPEAKERS, fetch_grid
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError

ALIGNMENT = b"0 25000 sil\n25000 75000 bin\n"


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


FILES = {
    "/alignments.zip": packed({"alignments/s1/bbaf2n.align": ALIGNMENT, "alignments/s4/lbax4n.align": ALIGNMENT}),
    "/s1.zip": packed(
        {
            "s1/bbaf2n.mpg": b"video",
            "s1/lwbs8p.mpg": b"video",
            "s1/Thumbs.db": b"no",
            "__MACOSX/s1/bbaf2n.mpg": b"no",
            "../s1/escape.mpg": b"evil",
            "s2/bbaf2n.mpg": b"another's",
        }
    ),
    "/s2.zip": b"PK but no archive",
    "/s3.zip": packed({"s3/video/frame.jpg": b"no"}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = FILES.get(self.path)
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        self.send_response(404 if body is None else 206 if start else 200)
        body = body or b""
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(Handler) as server:
        yield f"{server}/{{name}}.zip"


@pytest.fixture(autouse=True)
def no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    only_loopback(monkeypatch)


def test_what_is_fetched_is_read_as_grid(tmp_path: Path, address: str) -> None:
    root = tmp_path / "deep" / "grid"
    told: list[tuple[int, int | None]] = []
    for name in ("alignments", "s1"):
        assert fetch_grid(root, name, lambda there, total: told.append((there, total)), address) == root / name
    assert told[-1] == (len(FILES["/s1.zip"]),) * 2
    clips = load_dataset("grid", root).clips
    assert [clip.id for clip in clips] == ["s1/bbaf2n", "s1/lwbs8p"]
    assert clips[0].transcript == "bin blue at f two now"  # as the id spells it
    assert sorted(path.name for path in root.iterdir()) == ["alignments", "s1"]


def test_names_in_an_archive_lead_nowhere_else(tmp_path: Path, address: str) -> None:
    fetch_grid(tmp_path / "grid", "s1", address=address)
    assert {path.name for path in tmp_path.rglob("*")} == {"grid", "s1", "bbaf2n.mpg", "lwbs8p.mpg"}


def test_what_broke_off_goes_on_and_what_is_there_is_left_alone(tmp_path: Path, address: str) -> None:
    (tmp_path / "s1.zip.part").write_bytes(FILES["/s1.zip"][:100])
    (tmp_path / ".s1.unpacking").mkdir()
    (tmp_path / ".s1.unpacking" / "half.mpg").touch()
    fetch_grid(tmp_path, "s1", address=address)
    assert not (tmp_path / "s1" / "half.mpg").exists()
    (tmp_path / "s1" / "bbaf2n.mpg").write_bytes(b"mine")
    fetch_grid(tmp_path, "s1", address="https://127.0.0.1:9/nobody")
    assert (tmp_path / "s1" / "bbaf2n.mpg").read_bytes() == b"mine"


def test_a_damaged_archive_is_removed_and_said(tmp_path: Path, address: str) -> None:
    with pytest.raises(TlbenchError, match=r"s2\.zip is no archive of it .*; it was removed, fetch again"):
        fetch_grid(tmp_path, "s2", address=address)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_another_kind_is_kept(tmp_path: Path, address: str) -> None:
    with pytest.raises(TlbenchError, match="holds no files named like GRID's; unpack it by hand"):
        fetch_grid(tmp_path, "s3", address=address)
    assert [path.name for path in tmp_path.iterdir()] == ["s3.zip"]


def test_offline_is_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError) as error:
        fetch_grid(tmp_path, "s1", address="https://127.0.0.1:9/{name}.zip")
    assert str(error.value).startswith("GRID's s1: https://127.0.0.1:9/s1.zip can't be reached or broke off")
    assert "\n" not in str(error.value)
    assert str(tmp_path / "s1.zip") in str(error.value)


@pytest.mark.parametrize("name", ["s21", "s35", "../s1", ""])
def test_speakers_that_are_not_there_are_said(tmp_path: Path, name: str) -> None:
    assert len(SPEAKERS) == 33
    with pytest.raises(TlbenchError, match=r"GRID has no video of .*there are s1 to s34 without s21"):
        fetch_grid(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_no_room_to_unpack_is_said(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 5

    (tmp_path / "s1.zip").write_bytes(FILES["/s1.zip"])
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
    with pytest.raises(TlbenchError, match="has room for 0 MB; make room"):
        fetch_grid(tmp_path, "s1", address=address)
    assert [path.name for path in tmp_path.iterdir()] == ["s1.zip"]

"""Downloads: whole or not there, resumed, checked, and never a web page."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from tlbench.errors import TlbenchError
from tlbench.observing.card import Card
from tlbench.observing.fetching import fetch

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several chunks
CARD = Card("net", "A network", "watcher", "net.pth", "", "MIT", "films", "face@1")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file, with ranges; other paths show what servers do wrong."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        Handler.asked.append(asked)
        body, status = CONTENT, 200
        if self.path == "/page":
            body = b"<!doctype html><title>Sign in</title>"
        elif self.path == "/gone":
            self.send_error(404)
            return
        elif asked and self.path != "/deaf":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(CONTENT):
                self.send_error(416)
                return
            body, status = CONTENT[start:], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1_500_000] if self.path == "/breaks" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def card(url: str, sha256: str = "") -> Card:
    return replace(CARD, url=url, sha256=sha256)


def test_a_file_comes_whole_and_its_progress_is_told(server: str, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch(card(f"{server}/net"), tmp_path / "new", lambda there, total: told.append((there, total)))
    assert path == tmp_path / "new" / "net.pth"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in path.parent.iterdir()] == ["net.pth"]


def test_a_download_that_broke_off_goes_on_where_it_was(server: str, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="broke off"):
        fetch(card(f"{server}/breaks"), tmp_path)
    there = (tmp_path / "net.pth.part").stat().st_size
    assert 0 < there < len(CONTENT)
    assert not (tmp_path / "net.pth").exists()
    path = fetch(card(f"{server}/net", hashlib.sha256(CONTENT).hexdigest()), tmp_path)
    assert Handler.asked[-1] == f"bytes={there}-"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["net", "deaf"])  # one says that nothing is left, one sends all of it anew
def test_a_part_that_is_whole_already_is_taken(server: str, tmp_path: Path, path: str) -> None:
    (tmp_path / "net.pth.part").write_bytes(CONTENT)
    assert fetch(card(f"{server}/{path}"), tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_there_and_right_is_left_alone(server: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"mine")
    before = len(Handler.asked)
    fetch(card(f"{server}/net", hashlib.sha256(b"mine").hexdigest()[:12]), tmp_path)
    assert len(Handler.asked) == before


def test_what_is_not_the_published_file_does_not_get_its_name(server: str, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="published is 0123"):
        fetch(card(f"{server}/net", "0123"), tmp_path)
    assert not (tmp_path / "net.pth").exists()


def test_a_web_page_is_not_taken_for_a_checkpoint(server: str, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="web page"):
        fetch(card(f"{server}/page"), tmp_path)
    assert not (tmp_path / "net.pth").exists()


def test_a_missing_file_and_a_missing_network_are_one_line_with_a_way_out(server: str, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"answers 404; look .*publisher"):
        fetch(card(f"{server}/gone"), tmp_path)
    with pytest.raises(TlbenchError, match=r"can't be reached .*when online"):
        fetch(card("http://127.0.0.1:9/net"), tmp_path)


def test_an_address_that_is_a_page_for_people_says_what_to_do_by_hand(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"by hand; open it in a browser and save the file as .*net\.pth"):
        fetch(card("https://example-my.sharepoint.com/:u:/g/x?e=1"), tmp_path)


def test_google_drive_goes_through_gdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(*, url: str, output: str, resume: bool, quiet: bool, progress: object) -> str:
        asked.append(url)
        Path(output).write_bytes(CONTENT)
        return output

    monkeypatch.setattr("gdown.download", download)
    url = "https://drive.google.com/file/d/abc/view"
    assert fetch(card(url), tmp_path).read_bytes() == CONTENT
    assert asked == [url]


def test_a_drive_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gdown

    def download(**_: object) -> str:
        raise gdown.exceptions.FileURLRetrievalError("too many users")

    monkeypatch.setattr("gdown.download", download)
    with pytest.raises(TlbenchError, match=r"Google Drive gives no file .*browser"):
        fetch(card("https://drive.google.com/file/d/abc/view"), tmp_path)


def test_a_folder_that_can_not_be_made_is_one_line(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TlbenchError, match="file"):
        fetch(card(f"{server}/net"), tmp_path / "file" / "folder")

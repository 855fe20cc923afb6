"""Downloads: complete or absent, resumed, checked by hash, and never a web page."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.factories.server_factory import only_loopback, serving
from tlbench.checkpoints.card import Card
from tlbench.checkpoints.download import fetch
from tlbench.checkpoints.weights import known_hashes
from tlbench.errors import TlbenchError

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several chunks
CARD = Card("net", "A network", "observer", "net.pth", "", "MIT", "films", "face@1")
PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body>Sign in to go on</body></html>"
# What Google Drive says of a file too large for it to scan, and of one that was taken too often.
FORM = (
    b'<!DOCTYPE html><html><head><title>Virus scan warning</title></head><body><form id="download-form" '
    b'action="https://drive.usercontent.google.com/download" method="get"><input type="submit" value="Download anyway">'
    b'<input type="hidden" name="id" value="abc"><input type="hidden" name="confirm" value="t"></form></body></html>'
)
QUOTA = (
    b'<html><body>\n<p class="uc-error-subcaption">Too many users have viewed this file recently.</p>\n</body></html>'
)


def test_downloading_does_not_wait_for_torch() -> None:
    code = (
        "import sys, tlbench.checkpoints.download, tlbench.checkpoints.catalogue as known\n"
        "known.known_cards()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file, with ranges; other paths show what servers do wrong, and those of Google what it does."""

    asked: ClassVar[list[tuple[str, str | None]]] = []  # path and range
    encodings: ClassVar[set[str]] = set()
    cuts: ClassVar[int] = 0  # how many of Google Drive's next answers break off

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        Handler.asked.append((path, self.headers["Range"]))
        Handler.encodings.add(self.headers["Accept-Encoding"])
        if path == "/gone":
            self.send_error(404)
        elif path == "/drive.google.com/uc":
            id_ = parse_qs(urlsplit(self.path).query)["id"][0]
            self._send({"abc": FORM, "quota": QUOTA, "signin": PAGE}[id_], {"Content-Type": "text/html; charset=utf-8"})
        elif path == "/drive.usercontent.google.com/download":
            disposition = {"Content-Disposition": 'attachment; filename="../else.pth"', "Content-Type": "x/y"}
            Handler.cuts -= 1
            self._send_range(disposition, cut=Handler.cuts >= 0)
        elif path == "/page":
            self._send(PAGE)
        elif path == "/empty":
            self._send(b"")
        elif path == "/deaf":  # to ranges
            self._send(CONTENT)
        elif path == "/elsewhere":
            self._send(CONTENT[7:], {"Content-Range": f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"}, 206)
        else:
            self._send_range({}, cut=path == "/breaks")

    def _send_range(self, headers: dict[str, str], *, cut: bool) -> None:
        asked = self.headers["Range"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(CONTENT):
            self._send(b"", {"Content-Range": f"bytes */{len(CONTENT)}"}, 416)
            return
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self._send(CONTENT[start:], headers, 206 if asked else 200, sent=1_500_000 if cut else None)

    def _send(
        self, body: bytes, headers: dict[str, str] | None = None, status: int = 200, sent: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # some leave when they have seen enough
            self.wfile.write(body[:sent])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(Handler) as address:
        yield address


@pytest.fixture(autouse=True)
def no_other_host(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Handler.asked.clear()
    Handler.encodings.clear()
    Handler.cuts = 0
    only_loopback(monkeypatch, stand_in=server)
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)  # gdown's wait between its tries


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint folder; it is not there yet."""
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


def card(url: str, sha256: str = "") -> Card:
    return replace(CARD, url=url, sha256=sha256)


def drive(id_: str, sha256: str = "") -> Card:
    return card(f"https://drive.google.com/file/d/{id_}/view", sha256)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_comes_whole_and_its_progress_is_told(server: str, folder: Path) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch(card(f"{server}/net"), folder, lambda there, total: told.append((there, total)))
    assert path == folder / "net.pth"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert Handler.encodings == {"identity"}  # of packed bytes, a part could not be gone on from
    assert sorted(file.name for file in folder.iterdir()) == ["known.json", "net.pth"]


def test_a_download_that_broke_off_goes_on_where_it_was(server: str, folder: Path) -> None:
    with pytest.raises(TlbenchError, match=r"broke off .*run the same command"):
        fetch(card(f"{server}/breaks"), folder)
    there = (folder / "net.pth.part").stat().st_size
    assert 0 < there < len(CONTENT)
    assert not (folder / "net.pth").exists()
    told: list[tuple[int, int | None]] = []
    whole = card(f"{server}/net", hashlib.sha256(CONTENT).hexdigest())
    path = fetch(whole, folder, lambda done, total: told.append((done, total)))
    assert Handler.asked[-1] == ("/net", f"bytes={there}-")
    assert path.read_bytes() == CONTENT
    assert all(done > there and total == len(CONTENT) for done, total in told)  # of the whole file, not of the rest


@pytest.mark.parametrize("path", ["net", "deaf"])  # one says that nothing is left, one sends all of it anew
def test_a_part_that_is_whole_already_is_taken(server: str, folder: Path, path: str) -> None:
    put(folder / "net.pth.part", CONTENT)
    assert fetch(card(f"{server}/{path}"), folder).read_bytes() == CONTENT


@pytest.mark.parametrize(("path", "there"), [("net", CONTENT + b"more"), ("elsewhere", CONTENT[:100])])
def test_a_part_of_another_file_is_said_and_kept_from_being_mixed_in(
    server: str, folder: Path, path: str, there: bytes
) -> None:
    part = put(folder / "net.pth.part", there)
    with pytest.raises(TlbenchError, match=r"net\.pth\.part is no part of what .* gives now; remove it"):
        fetch(card(f"{server}/{path}"), folder)
    assert part.read_bytes() == there
    assert not (folder / "net.pth").exists()


def test_a_file_that_is_there_and_right_is_left_alone(server: str, folder: Path) -> None:
    put(folder / "net.pth", b"mine")
    fetch(card(f"{server}/net", hashlib.sha256(b"mine").hexdigest()[:12]), folder)
    assert Handler.asked == []
    with pytest.raises(TlbenchError, match=r"net\.pth has .*instead of the published 0123; remove it and fetch again"):
        fetch(card(f"{server}/net", "0123"), folder)


def test_what_is_not_the_published_file_does_not_get_its_name_and_is_not_gone_on_from(
    server: str, folder: Path
) -> None:
    with pytest.raises(TlbenchError, match=r"instead of the published 0123 and was removed"):
        fetch(card(f"{server}/net", "0123"), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", ["page", "empty"])
def test_a_web_page_is_not_taken_for_a_checkpoint_and_is_not_gone_on_from(server: str, folder: Path, path: str) -> None:
    with pytest.raises(TlbenchError, match=r"web page or nothing .*save the file as .*net\.pth$"):
        fetch(card(f"{server}/{path}"), folder)
    assert list(folder.iterdir()) == []
    assert fetch(card(f"{server}/net"), folder).read_bytes() == CONTENT


def test_without_a_published_hash_the_first_one_is_kept_and_another_file_is_said(server: str, folder: Path) -> None:
    fetch(card(f"{server}/net"), folder)
    assert known_hashes() == {"net": hashlib.sha256(CONTENT).hexdigest()}
    put(folder / "net.pth", b"changed")
    with pytest.warns(UserWarning, match="of the first file used under that name"):
        fetch(card(f"{server}/net"), folder)


def test_of_a_file_that_goes_elsewhere_nothing_is_remembered(server: str, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    fetch(card(f"{server}/net"), tmp_path / "else")
    assert known_hashes() == {}
    assert [file.name for file in (tmp_path / "else").iterdir()] == ["net.pth"]


def test_a_missing_file_and_a_missing_network_are_one_line_with_a_way_out(server: str, folder: Path) -> None:
    with pytest.raises(TlbenchError, match=r"answers 404; look .*publisher"):
        fetch(card(f"{server}/gone"), folder)
    with pytest.raises(TlbenchError, match=r"can't be reached .*when online") as caught:
        fetch(card("https://127.0.0.1:9/net"), folder)
    assert "\n" not in str(caught.value)


def test_an_address_that_is_a_page_for_people_says_what_to_do_by_hand(folder: Path) -> None:
    with pytest.raises(TlbenchError, match=r"is a web page; open it in a browser and save the file as .*net\.pth"):
        fetch(card("https://example-my.sharepoint.com/:u:/g/x?e=1"), folder)


def test_google_drives_page_of_confirmation_is_answered_and_a_break_is_gone_on_from(folder: Path) -> None:
    Handler.cuts = 1
    told: list[tuple[int, int | None]] = []
    known = drive("abc", hashlib.sha256(CONTENT).hexdigest())
    path = fetch(known, folder, lambda there, total: told.append((there, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    confirmed, went_on = [asked for path, asked in Handler.asked if path.endswith("/download")]
    assert confirmed is None
    assert went_on is not None
    assert 0 < int(went_on.removeprefix("bytes=").removesuffix("-")) < len(CONTENT)
    assert [file.name for file in folder.iterdir()] == ["net.pth"]  # the card names the file, not the server


def test_a_drive_that_goes_on_breaking_off_is_gone_on_from_by_the_next_call(folder: Path) -> None:
    Handler.cuts = 3
    with pytest.raises(TlbenchError, match=r"broke off .*run the same command"):
        fetch(drive("abc"), folder)
    assert not (folder / "net.pth").exists()
    Handler.asked.clear()
    assert fetch(drive("abc"), folder).read_bytes() == CONTENT
    went_on = Handler.asked[-1][1]
    assert went_on is not None
    assert 1_500_000 < int(went_on.removeprefix("bytes=").removesuffix("-")) < len(CONTENT)  # of three tries together


@pytest.mark.parametrize("id_", ["quota", "signin"])
def test_a_drive_that_shows_a_page_is_one_line_with_a_way_out(folder: Path, id_: str) -> None:
    with pytest.raises(TlbenchError, match=r"Google Drive sent a web page .*browser and save it as .*net\.pth$"):
        fetch(drive(id_), folder)
    assert list(folder.iterdir()) == []


def test_drive_without_a_network_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise requests.ConnectionError("Failed to resolve 'drive.google.com'\n(no network)")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", offline)
    with pytest.raises(TlbenchError, match=r"can't be reached .*\(ConnectionError\); .*when online") as caught:
        fetch(drive("abc"), folder)
    assert "\n" not in str(caught.value)


def test_nothing_is_begun_that_the_disk_has_no_room_for(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(TlbenchError, match=r"5\.1 MB are to come, but .* has room for 1\.0 MB; make room"):
        fetch(card(f"{server}/net"), folder)
    put(folder / "net.pth.part", CONTENT[:-500_000])
    assert fetch(card(f"{server}/net"), folder).read_bytes() == CONTENT  # for the rest there is


def test_a_disk_that_fills_up_is_one_line_and_what_came_is_kept(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(there: int, total: int | None) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(TlbenchError, match=r"can't be written \(No space left on device\); free some space"):
        fetch(card(f"{server}/net"), folder, fill)
    assert (folder / "net.pth.part").stat().st_size > 0


def test_a_folder_that_can_not_be_made_is_one_line(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TlbenchError, match=r"can't be written .*choose another folder with --out"):
        fetch(card(f"{server}/net"), tmp_path / "file" / "folder")

"""Downloads end in the right file or in one line, whatever the server sends and whatever an archive holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.server_factory import serving
from tests.trouble.download_cases import SERVERS, HostileServer, archives, judge_archive, judge_server
from tlbench.downloads import Wanted, download
from tlbench.errors import TlbenchError

ARCHIVES = dict(archives(40, seed=5))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(HostileServer) as server:
        yield server


@pytest.mark.parametrize("name", SERVERS)
def test_a_hostile_server_is_one_line(tmp_path: Path, address: str, name: str) -> None:
    verdict = judge_server(tmp_path, address, name, hashed=name < "m")  # all of both is in the benchmark
    assert verdict.end != "fell short", verdict.why


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_writes_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    verdict = judge_archive(tmp_path, name, ARCHIVES[name])
    assert verdict.end != "fell short", verdict.why
    harmless = ("good", "locator of a large end")  # the locator stands behind the archive, where nothing reads it
    assert (verdict.end == "right") == (name in harmless) or name.isdigit()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "x", ""])
def test_only_https_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(TlbenchError, match=r"is not https, .*save it as .*x\.pth"):
        download(Wanted("x", url, tmp_path / "x.pth", 100, checked=False), tmp_path / "x.pth.part")
    assert list(tmp_path.iterdir()) == []


def test_the_certificate_is_checked(tmp_path: Path, address: str) -> None:
    """Here nothing stands in for https: the server speaks none."""
    with pytest.raises(TlbenchError, match=r"can't be reached or broke off \((SSLError|ConnectionError)\)"):
        download(Wanted("x", f"{address}/whole", tmp_path / "x", 10**6, checked=False), tmp_path / "x.part")
    assert list(tmp_path.iterdir()) == []


def test_a_part_without_a_version_and_without_a_hash_is_not_continued(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.factories.server_factory import only_loopback

    only_loopback(monkeypatch)
    part = tmp_path / "x.part"
    part.write_bytes(b"of another file")
    (tmp_path / "x.part.version").write_text("")
    download(Wanted("x", f"{address}/whole", tmp_path / "x", 10**6, checked=False), part)
    assert part.stat().st_size == 256 * 1200
    assert part.read_bytes()[:3] == b"\x00\x01\x02"

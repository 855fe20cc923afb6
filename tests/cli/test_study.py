"""``tlbench study`` as a person meets it: made, served on a real port, its results printed; bad input on purpose."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.factories.study_factory import CLIPS, FRAMES, METHODS, make_study, make_videos
from tlbench.cli.main import group
from tlbench.errors import TlbenchError
from tlbench.study.new_study import NewStudy
from tlbench.study.store import Store


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def made(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> NewStudy:
    return make_study(tmp_path_factory.mktemp("made") / "study", manifest, reading=0)


def tlbench(*words: str | Path) -> int:
    """Run a command in this process; its exit code."""
    status = group.main([str(word) for word in words], standalone_mode=False)
    return int(status or 0)


def new(folder: Path, manifest: Path, *words: str, methods: tuple[str, ...] = ("a=method0", "b=method1")) -> int:
    given = [word for method in methods for word in ("--method", method.replace("=m", f"={manifest.parent}/m", 1))]
    data = ["--dataset", "folder", "--manifest", str(manifest), "--checks", "1"]
    return tlbench("study", "new", folder, *given, *data, *words)


def test_new_prints_the_codes_and_writes_them_beside_the_study(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--clips", "3", "--reading-clips", "0", "--participants", "4")
    assert new(tmp_path / "deep" / "study", manifest, *words) == 0
    printed = capsys.readouterr()
    codes = printed.out.split()
    assert len(set(codes)) == 4
    assert all(re.fullmatch("[2-9A-Z]{8}", code) for code in codes)
    assert (tmp_path / "deep" / "study" / "codes.txt").read_text().split() == codes
    assert "4 participants are not a multiple of 3 conditions" in " ".join(printed.err.split())
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["study"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--clips", "4", "--participants", "3"), "take 3 or 6 (--clips)"),
        (("--clips", "3", "--reading-clips", "5", "--participants", "3"), "take 3 or 6 (--reading-clips)"),
        (("--clips", "9", "--participants", "3"), "every method has only 10 clips"),
        (("--clips", "3", "--participants", "3", "--split", "train"), "no split 'train'"),
    ],
)
def test_counts_that_do_not_fit_are_refused_before_anything_is_written(
    manifest: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TlbenchError) as raised:
        new(tmp_path / "study", manifest, *words)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (("method0",), "takes NAME=DIR"),
        (("a=method0", "a=method1"), "given twice"),
        (("ground-truth=method0",), "can't be called 'ground-truth'"),
        (("a\nb=method0",), "visible characters"),
        (("a=method0", "b=method0"), "show the same file"),
        (("a=method0", "b=missing"), "does not exist"),
    ],
)
def test_methods_that_can_not_be_told_apart_or_found_are_refused(
    manifest: Path, tmp_path: Path, methods: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TlbenchError, match=message):
        new(tmp_path / "study", manifest, "--clips", "3", "--participants", "3", methods=methods)


def test_clips_that_a_method_lacks_are_not_drawn_and_named(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(manifest.parent, tmp_path / "data")
    for number in (0, 4):
        (tmp_path / "data" / "method1" / "speaker" / f"secretclip{number:02d}.mp4").unlink()
    words = ("--clips", "6", "--reading-clips", "0", "--participants", "3")
    assert new(tmp_path / "study", tmp_path / "data" / "clips.csv", *words) == 0
    note = " ".join(capsys.readouterr().err.split())
    assert "drawn from 8 of 10 clips" in note
    assert "b lacks 2 of 10 (such as speaker/secretclip00)" in note


def test_a_video_that_can_not_be_read_is_named_and_leaves_nothing_behind(manifest: Path, tmp_path: Path) -> None:
    shutil.copytree(manifest.parent, tmp_path / "data")
    for path in (tmp_path / "data" / "method1" / "speaker").iterdir():
        path.write_bytes(b"no video")
    with pytest.raises(TlbenchError, match=r"method1.*secretclip.*--subset"):
        new(tmp_path / "study", tmp_path / "data" / "clips.csv", "--clips", "3", "--participants", "3")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_clips_without_words_can_not_be_read(manifest: Path, tmp_path: Path) -> None:
    silent = manifest.with_name("silent.csv")
    lines = (line.rsplit(",", 1)[0] for line in manifest.read_text().splitlines())
    silent.write_text("\n".join(lines) + "\n")
    with pytest.raises(TlbenchError, match=r"the texts of its clips are not known.*--reading-clips 0"):
        new(tmp_path / "study", silent, "--clips", "3", "--participants", "3")


def test_a_folder_that_holds_something_is_left_alone(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TlbenchError, match="is not an empty folder"):
        new(tmp_path, manifest, "--clips", "3", "--participants", "3")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_results_before_anybody_answered_and_of_no_study(made: NewStudy, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="nobody has answered yet"):
        tlbench("study", "results", made.folder)
    with pytest.raises(TlbenchError, match="there is no study here"):
        tlbench("study", "results", tmp_path)


# On a real port


def listen() -> None:
    """A shell's background jobs ignore Ctrl-C, and what they start would too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def served(folder: Path, *words: str) -> Iterator[str]:
    """The address of a study that a process of its own serves; Ctrl-C ends it, without a fuss."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from tlbench.cli.main import main; main()", "study", "serve", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=listen,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, process.stderr.read()
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "Traceback" not in process.stderr.read()


class Browser:
    """A browser without a screen: cookies, forms and where they lead."""

    def __init__(self, address: str) -> None:
        self.address = address
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar)

    def get(self, path: str) -> str:
        with self.opener.open(urllib.parse.urljoin(self.address, path), timeout=20) as response:
            return str(response.read().decode())

    def post(self, path: str, **fields: str) -> str:
        body = urllib.parse.urlencode(fields).encode()
        with self.opener.open(urllib.parse.urljoin(self.address, path), body, timeout=20) as response:
            return str(response.read().decode())


def test_two_people_answer_at_once_over_a_restart_and_the_table_comes_out(
    made: NewStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("flask", reason="serving a study needs the extra `study` (flask, waitress)")
    pytest.importorskip("waitress", reason="serving a study needs the extra `study` (flask, waitress)")
    folder = tmp_path / "study"
    shutil.copytree(made.folder, folder)

    def answer_one(browser: Browser, score: str) -> None:
        position = re.findall(r'name="position" value="(\d+)"', browser.get("/next"))[0]
        browser.post("/answer", ask="rate", position=position, quality=score, sync=score, realness=score)

    with served(folder, "--port", "0") as address:
        assert address.startswith("http://127.0.0.1:")
        people = [Browser(address) for _ in range(2)]
        for browser, code in zip(people, made.codes, strict=False):
            assert "4 short videos" in browser.post("/enter", code=code)
        for _ in range(2):
            answer_one(people[0], "2")
            answer_one(people[1], "4")
        with pytest.raises(urllib.error.HTTPError, match="413"):
            people[0].post("/answer", reply="x" * 200_000)
        with pytest.raises(TlbenchError, match=r"server: another run writes to it, process \d+ "):
            tlbench("study", "serve", folder, "--port", "0")

    with served(folder, "--port", "0") as address:  # and somebody comes back
        again = Browser(address)
        assert "2 of them are done" in again.post("/enter", code=made.codes[1])
        answer_one(again, "4")
        answer_one(again, "4")
        assert "Thank you" in again.get("/next")

    assert tlbench("study", "progress", folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{code}  {done} of 4" for code, done in zip(made.codes, (2, 4, 0), strict=True)
    ]
    assert tlbench("study", "results", folder, "--failed-checks", "1", "--json") == 1  # not everybody finished
    found = json.loads(capsys.readouterr().out)
    assert found["participants"]["counted"] == 2
    assert found["participants"]["finished"] == 1
    assert tlbench("study", "results", folder, "--failed-checks", "1") == 1
    table = capsys.readouterr().out
    assert METHODS[0] in table
    assert "VQ ↑" in table
    assert not any(code in table for code in made.codes)


def test_the_observers_results_of_the_same_folders_are_correlated_with(
    made: NewStudy, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(made.folder, folder)
    with Store(folder) as store:
        for number in range(3):
            while (step := store.step(number)) is not None:
                store.rate(number, step.position, dict.fromkeys(("quality", "sync", "realness"), 1 + step.position))
    boxes = tmp_path / "boxes"
    (boxes / "speaker").mkdir(parents=True)
    for clip in range(CLIPS):
        np.save(boxes / "speaker" / f"secretclip{clip:02d}.npy", np.tile(np.array([8, 8, 56, 44]), (FRAMES, 1)))
    files = []
    for number in range(2):
        out = tmp_path / f"out{number}"
        data = ("--dataset", "folder", "--manifest", manifest, "--boxes", boxes, "--cache", tmp_path / "cache")
        wanted = ("--metrics", "ssim", "--workers", "1", "--out", out)
        assert tlbench("score", manifest.parent / f"method{number}", *data, *wanted) == 0
        files.append(next(out.rglob("result.json")))
    capsys.readouterr()

    words = ("study", "results", folder, "--failed-checks", "1")
    given = [word for name, file in zip(METHODS, files, strict=True) for word in ("--with", f"{name}={file}")]
    assert tlbench(*words, "--json", *given) == 0
    found = json.loads(capsys.readouterr().out)["correlations"]
    assert ("quality", "ssim/sound", "videos", 6) in {
        (c["measure"], c["metric"], c["level"], c["points"]) for c in found
    }
    with pytest.raises(TlbenchError, match="two results of"):
        tlbench(*words, *given, *given[:2])
    with pytest.raises(TlbenchError, match="another file than the one people saw as Quixote"):
        tlbench(*words, "--with", f"Quixote={files[0]}")
    with pytest.raises(TlbenchError, match=r"'method0' belongs to no method of this study.*name it"):
        tlbench(*words, "--with", str(files[0]))


def test_without_the_extra_it_says_what_to_install(made: NewStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "tlbench.study.site", raising=False)
    with pytest.raises(TlbenchError, match=r"needs flask; install it: pip install 'tlbench\[study\]'"):
        tlbench("study", "serve", made.folder, "--port", "0")


def test_an_address_that_is_not_this_machines_is_refused(made: NewStudy) -> None:
    pytest.importorskip("waitress", reason="serving a study needs the extra `study` (flask, waitress)")
    with pytest.raises(TlbenchError, match=r"can't listen on 203\.0\.113\.7"):
        tlbench("study", "serve", made.folder, "--host", "203.0.113.7", "--port", "0")


def test_a_port_that_is_taken_is_refused(made: NewStudy) -> None:
    pytest.importorskip("waitress", reason="serving a study needs the extra `study` (flask, waitress)")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TlbenchError, match=rf"can't listen on 127.0.0.1 port {port} .*in use.*--port"):
            tlbench("study", "serve", made.folder, "--port", port)

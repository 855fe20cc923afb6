"""What is no regular file is refused in one line, wherever a file is expected, and never waited for."""

from __future__ import annotations

import ast
import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.draw_house import ROOT, sources
from tests.trouble.option_cases import cases_of, path_options, wrong_files
from tests.trouble.surroundings_cases import CALLS
from tlbench.cli.main import group
from tlbench.errors import TlbenchError
from tlbench.files import JSON, FileKind, file_sha256, open_outside, read_outside

REFUSED = r"not a regular file|Too many levels|No such device"


@pytest.fixture(params=["pipe", "zeros", "null", "socket", "folder", "loop", "pipe behind a link"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "special"
    if request.param in ("pipe", "pipe behind a link"):
        os.mkfifo(path)
    if request.param == "pipe behind a link":
        link = tmp_path / "link"
        link.symlink_to(path)
        return link
    if request.param == "zeros":
        path.symlink_to("/dev/zero")
    if request.param == "null":
        path.symlink_to("/dev/null")
    if request.param == "socket":
        server = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket has at most 108 bytes
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)
            server.close()
    if request.param == "folder":
        path.mkdir()
    if request.param == "loop":
        path.symlink_to(path)
    return path


def test_no_special_file_is_opened(special: Path) -> None:
    for reading in (
        lambda: open_outside(special, JSON),
        lambda: read_outside(special, JSON),
        lambda: file_sha256(special),
    ):
        with pytest.raises(OSError, match=r"not a regular file|Too many levels|No such device") as caught:
            reading()
        assert caught.value.strerror


def test_a_file_beyond_its_kind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 101)
    small = FileKind("note", 100)
    with pytest.raises(OSError, match="a note of at most"):
        read_outside(path, small)
    assert read_outside(path, FileKind("note", 101)) == b"x" * 101


def test_no_descriptor_is_left_open(special: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(OSError, match=REFUSED):
            open_outside(special, JSON)
    assert len(os.listdir("/proc/self/fd")) == before


# Files of tlbench itself, and what a run has just written.
OWN_FILES = {
    *("files.py", "litter.py", "owner.py", "media/bundled_model.py", "media/landmarks.py", "media/video_writer.py"),
    *(
        "datasets/lrw.py",
        "datasets/fetch_grid.py",
        "metrics/visemes.py",
        "talklip/checkpoint.py",
        "mvm/words.py",
        "cli/config_file.py",
    ),
    *("reporting/page.py", "reporting/pictures.py", "leaderboard/site/page.py", "media/box_files.py"),
    *("scoring/record.py", "training/run_folder.py", "training/preprocessed.py", "media/container.py"),
    *("generation/recipe.py", "media/dlib_models.py", "datasets/fetch_grid_clips.py", "reporting/films.py"),
    *("observing/matrix_product.py", "metrics/sheet.py", "autoavsr/tokens.py", "identity/network_file.py"),
    "scoring/shard_files.py",  # writes only; it reads with read_outside
}


def test_files_from_outside_are_opened_in_one_place() -> None:
    """Each new ``read_text`` has to be thought about: does anybody else write this file?"""
    found = set()
    for path in [*sources(ROOT / "tlbench"), *sources(ROOT / "observers")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("read_text", "read_bytes"):
                found.add(path)
            if isinstance(called, ast.Name) and called.id == "open":
                found.add(path)
    others = {path for path in found if not path.as_posix().endswith(tuple("/" + name for name in OWN_FILES))}
    assert {str(path.relative_to(ROOT)) for path in others} == set()


@pytest.mark.parametrize(
    "command",
    [
        ["score", "generated", "--config"],
        ["table"],
        ["aggregate"],
        ["report"],
        ["compare", "pipe.json"],
        ["leaderboard", "add"],
        ["checkpoints", "import", "--as", "syncnet"],
        ["train-observer", "mvm", "--dataset", "grid", "--out", "run", "--size"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_waits_for_a_named_pipe(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.json")
    result = CliRunner().invoke(group, [*command, "pipe.json"])
    assert isinstance(result.exception, TlbenchError)
    assert "pipe" in str(result.exception)


def test_every_option_that_takes_a_path_is_tried_with_wrong_files() -> None:
    assert {"--real", "--boxes", "--drive", "--weights", "--subset"} <= set(path_options("score"))
    tried = {(name, place) for name, place, _ in cases_of(CALLS)}
    assert {(name, option) for name in CALLS for option in path_options(name)} <= tried


@pytest.mark.slow  # minutes: each case is a command
def test_wrong_files_are_one_line_wherever_a_path_is_taken(tmp_path: Path) -> None:
    verdicts = list(wrong_files(tmp_path, cases=30, seed=7))
    assert len(verdicts) == 30
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []

"""``tlbench plot`` as a person meets it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factories.media_factory import write_clip
from tlbench.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def plot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tlbench", "plot", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return run


def test_a_strip_names_its_file_and_who_lacks_the_clip(plot: Run, tmp_path: Path) -> None:
    for place, name in (("refs", "a"), ("refs", "b"), ("ours", "a"), ("theirs", "b")):
        (tmp_path / place).mkdir(exist_ok=True)
        write_clip(tmp_path / place / f"{name}.mp4", frames=6)
    out = tmp_path / "strip.png"
    words = ("--dataset", "folder", "--data-root", tmp_path / "refs", "--clip", "a", "--out", out)
    assert plot("snapshots", tmp_path / "ours", *words) == (0, f"{out}\n", "")
    code, said, told = plot("snapshots", tmp_path / "ours", tmp_path / "theirs", *words, "--at", "0.04, 0.2")
    assert (code, said, told) == (1, f"{out}\n", "missing: theirs: has no video of this clip\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("snapshots", "--clip", "a", "--at", "soon"), "give seconds, as in --at 0.4,0.52"),
        (("snapshots", "--clip", "a"), "holds no"),
        (("embeddings", "x.pth", "--words", "A"), "give two words"),
        (("embeddings", "x.pth", "--words", "A,B", "--names", "l,g"), "2 names for 1 checkpoints"),
    ],
)
def test_what_can_not_be_drawn_is_one_line(
    plot: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = plot(*words, "--dataset", "folder", "--data-root", ".", "--out", "out.png")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err

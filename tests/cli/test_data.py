"""``tlbench data`` as a person or a script meets it: what is printed where, and the exit code."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tlbench.cli.main import main
from tlbench.datasets.locations import find_root
from tlbench.errors import TlbenchError

TINY = ("--part", "sentences", "--train", 0, "--val", 0, "--test", 2, "--workers", 1)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Tlbench = Callable[..., Said]


@pytest.fixture
def tlbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tlbench:
    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["tlbench", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def speaks() -> None:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")


@pytest.mark.usefixtures("speaks")
def test_a_corpus_is_rendered_checked_changed_mended_and_scored(tlbench: Tlbench, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    made = tlbench("data", "synth", root, *TINY)
    assert (made.code, made.out) == (0, f"{root}: 2 clips rendered now\n")

    fine = tlbench("data", "info", root)
    assert (fine.code, fine.out) == (0, f"{root}: synthetic corpus, seed 0, unchanged\n")

    (root / "main/test000/00001.txt").write_text("Text:  SOMETHING ELSE\n")
    changed = tlbench("data", "info", root)
    assert changed.code == 1
    assert changed.out.splitlines()[0] == "main/test000/00001.txt: has changed"
    assert tlbench("data", "synth", root, *TINY).out == f"{root}: 1 clip rendered now\n"
    assert tlbench("data", "info", root).code == 0

    generated = tmp_path / "generated"
    shutil.copytree(root / "main", generated)
    scored = tlbench(
        "score", generated, "--dataset", "synthetic", "--data-root", root, "--metrics", "psnr,ssim",
        "--out", tmp_path / "result", "--cache", tmp_path / "cache", "--format", "json",
    )  # fmt: skip
    assert scored.code == 0, scored.err
    assert "psnr" in scored.out
    assert "ssim" in scored.out


def test_without_espeak_the_extra_is_named(tlbench: Tlbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    said = tlbench("data", "synth", tmp_path / "corpus")
    assert said.code == 2
    assert said.err.splitlines()[-1] == 'error: speech needs espeak-ng; run pip install "tlbench[demo]"'
    assert not (tmp_path / "corpus").exists()


@pytest.mark.usefixtures("speaks")
@pytest.mark.parametrize("name", ["a file", "a file/below", "full"])
def test_where_nothing_can_be_written_it_is_said_in_one_line(tlbench: Tlbench, tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "holiday.jpg").touch()
    said = tlbench("data", "synth", tmp_path / name, *TINY)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert str(tmp_path / name) in said.err


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_a_corpus_is_named(tlbench: Tlbench, tmp_path: Path, made: bool) -> None:
    root = tmp_path / "corpus"
    if made:
        root.mkdir()
    said = tlbench("data", "info", root)
    assert said.code == 2
    assert said.err.splitlines() == [
        f"error: {root} holds no corpus.json; render a corpus with `tlbench data synth {root}`, or pass the folder of "
        "one (--data-root)"
    ]


def test_the_list_says_licence_and_place_of_each_data_set(
    tlbench: Tlbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLBENCH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("TLBENCH_GRID", str(tmp_path))
    (tmp_path / "lrs2").mkdir()
    assert tlbench("data", "set", "lrs2", tmp_path / "lrs2").code == 0
    told = tlbench("data", "list").out
    assert f"where: {tmp_path / 'lrs2'} (tlbench data set lrs2)" in told
    assert f"where: {tmp_path} ($TLBENCH_GRID)" in told
    assert "licence: CC BY 4.0" in told
    items = {item["name"]: item for item in json.loads(tlbench("data", "list", "--json").out)}
    assert items["lrs2"]["folder"] == str(tmp_path / "lrs2")
    assert (items["lrw"]["folder"], items["lrw"]["said_by"], items["lrw"]["there"]) == (None, None, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lrs3", "."), "no data set 'lrs3'"),
        (("lrs2", "nowhere"), "nowhere is not a folder"),
        (("folder", "."), "videos of your own"),
    ],
)
def test_what_can_not_be_set_is_one_line(tlbench: Tlbench, words: tuple[str, str], message: str) -> None:
    said = tlbench("data", "set", *words)
    assert said.code == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("content", [b"lrs2 = 3", b"lrs2 = [", b"\xff"])
def test_a_damaged_file_of_places_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("TLBENCH_CONFIG", str(tmp_path))
    (tmp_path / "data.toml").write_bytes(content)
    with pytest.raises(TlbenchError, match=r"data\.toml: "):
        find_root("lrs2")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("grid/",), "what is fetched is GRID: tlbench data fetch grid grid/"),
        (("lrs2", "root"), "what is fetched is GRID: tlbench data fetch grid root"),
        (("grid", "root", "--clips", "bbaf2n"), "clip 'bbaf2n' is no id of GRID, such as s1/bbaf2n (--clips)"),
        (("grid", "root", "--clips", "s1/bbaf2n", "--per-speaker", 2), "are two ways to choose; give one of them"),
        (("grid", "root", "--speakers", "s1,s21"), "GRID has no video of 's21'"),
    ],
)
def test_what_can_not_be_fetched_is_one_line(
    tlbench: Tlbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = tlbench("data", "fetch", *words)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_some_clips_of_each_speaker_are_fetched_and_split(
    tlbench: Tlbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archives are a stand-in; tests/datasets/test_fetch_grid_clips.py serves real ones."""

    def fetched(root: Path, speaker: str, clips: object, *_: object, **__: object) -> list[Path]:
        (root / speaker).mkdir(parents=True)
        (root / speaker / "bbaf2n.mpg").touch()
        assert clips == 3
        return [root / speaker / "bbaf2n.mpg"]

    monkeypatch.setattr("tlbench.datasets.fetch_grid_clips.fetch_grid_clips", fetched)
    monkeypatch.setattr("tlbench.datasets.fetch_grid.fetch_grid", lambda root, name, *_, **__: root / name)
    said = tlbench("data", "fetch", "grid", tmp_path / "grid", "--speakers", "all", "--per-speaker", 3, "--split")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == str(tmp_path / "grid" / "alignments")
    assert len(lines) == 1 + 33 + 3
    assert lines[-3:] == [
        f"{tmp_path}/grid/split_train.txt: 27 clips",
        f"{tmp_path}/grid/split_val.txt: 2 clips",
        f"{tmp_path}/grid/split_test.txt: 4 clips",
    ]

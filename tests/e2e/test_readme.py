"""The README's commands, run one after another by a newcomer with two clips, exactly as they stand there."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from tests.docs.commands import ROOT, tlbench_commands
from tests.factories.media_factory import write_second
from tests.factories.warm_commands import run_command
from tests.golden.formula import fill
from tlbench import demo
from tlbench.cli.main import main
from tlbench.datasets.grid_sample import SAMPLE, sample_root
from tlbench.leaderboard import build as leaderboard
from tlbench.observers.syncnet.model import SyncNetModel

CLIPS = ROOT / "tests" / "golden" / "clips"
IDS = ("6331559613336179781/00002", "6331559613336179781/00007")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything the README's commands name: two data sets, three generators' videos, weights."""
    folder = tmp_path_factory.mktemp("desk")
    lrs2 = folder / "data" / "mvlrs_v1"
    lines = []
    for clip_id, source in zip(IDS, ("clip_a", "clip_c"), strict=True):
        target = lrs2 / "main" / f"{clip_id}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIPS / f"{source}.mp4", target)
        shutil.copy(CLIPS / f"{source}.txt", target.with_suffix(".txt"))
        generated = folder / "generated" / f"{clip_id}.mp4"
        generated.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIPS / f"{source}_pert.mp4", generated)
        lines.append(f"{clip_id} NF\n")
    (lrs2 / "test.txt").write_text("".join(lines))
    for name, source in (("bbaf2n", "clip_a"), ("swwp2s", "clip_c")):
        for place, suffix in (("grid/s1", ""), ("ours/s1", "_pert"), ("theirs/s1", "_pert")):
            (folder / place).mkdir(parents=True, exist_ok=True)
            write_second(CLIPS / f"{source}{suffix}.mp4", folder / place / f"{name}.mp4")
    net = SyncNetModel()
    state = net.state_dict()
    fill(state, 0)
    torch.save(state, folder / "syncnet_v2.model")
    return folder


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a line does in a shell; it must have nothing in it that only a shell understands."""
    assert not set(line) & set("|&;<>$`*?~(){}!"), line
    environment = {
        **os.environ,
        "TLBENCH_CACHE": str(folder / "cache"),
        "TLBENCH_CHECKPOINTS": str(folder / "checkpoints"),
        "TLBENCH_CONFIG": str(folder / "config"),
        "COLUMNS": "100",
    }
    command, *words = shlex.split(line.replace("/data/mvlrs_v1", str(folder / "data" / "mvlrs_v1")))
    assert command == "tlbench"
    return run_command(words, folder, environment, 300)


def check_demo(folder: Path, printed: str, said: str) -> None:
    assert printed.startswith("grid-sample:test")
    drawn = printed[printed.index("synthetic:test") :]  # below the table of real faces
    assert drawn.index("talklip-gc-synthetic") < drawn.index("ground-truth") < drawn.index("static")
    assert "ground-truth-as-system" not in printed + said
    for name in ("grid-sample", "synthetic"):
        assert (folder / "tlbench-demo" / f"report-{name}.html").is_file()


@pytest.mark.slow  # more than a minute; CI runs the whole demo after the tests
def test_what_make_demo_runs_works_on_two_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = sample_root()
    assert sample is not None
    for clip in SAMPLE[:2]:
        (tmp_path / "sample" / clip).parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".mp4", ".align"):
            shutil.copy(sample / f"{clip}{suffix}", tmp_path / "sample" / f"{clip}{suffix}")
    monkeypatch.setattr(demo, "sample_root", lambda: tmp_path / "sample")
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    words = ["demo", "--sentences", "2", "--words", "0", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["tlbench", *words])
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of tests: the command line prints them
        with pytest.raises(SystemExit) as ended:
            main()
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    check_demo(tmp_path, printed.out, printed.err)


@pytest.mark.slow  # as above, on all clips of the real face, and as it is started
def test_the_demo_shows_the_real_face_first(desk: Path) -> None:
    done = run("tlbench demo --sentences 2 --words 0", desk)
    assert done.returncode == 0, done.stderr
    check_demo(desk, done.stdout, done.stderr)
    assert "12 of 12" in done.stdout


def test_the_readmes_commands_work_one_after_another(desk: Path) -> None:
    lines = tlbench_commands(ROOT / "README.md")
    steps = ["data", "check", "score", "score", "compare", "table", "report", "checkpoints"]
    assert [line.split()[1] for line in lines] == steps
    said, check, score, score_both, compare, table, report, verify = (run(line, desk) for line in lines)

    assert said.returncode == 0, said.stderr

    assert check.returncode in (0, 1), check.stderr  # these clips may deserve a warning, but no error
    assert "Traceback" not in check.stderr

    assert score.returncode == 0, score.stderr
    assert "LSE-C" in score.stdout
    assert "2 of 2" in score.stdout
    result = json.loads((desk / "tlbench-results" / "generated" / "result.json").read_text("utf-8"))
    assert result["complete"] is True
    assert (desk / "tlbench-results" / "generated" / "records.jsonl").is_file()

    assert score_both.returncode == 0, score_both.stderr
    assert "ours" in score_both.stdout
    assert "frozen-mouth" in score_both.stdout
    assert all(label in score_both.stdout for label in ("WER1", "WER2", "WER3", "LSE-C"))  # bundled for GRID

    assert compare.returncode == 0, compare.stderr
    assert "no difference shown" in compare.stdout

    assert table.returncode == 0, table.stderr
    assert "\\begin{tabular}" in table.stdout
    assert "generated" in table.stdout

    assert report.returncode == 0, report.stderr
    assert (desk / "tlbench-results" / "ours" / "report.html").is_file()

    board = desk / "leaderboards"  # whatever a run writes of where its numbers come from may enter one
    record = leaderboard.add(desk / "tlbench-results" / "ours", board, trained_with=["none"])
    leaderboard.build(board)
    assert leaderboard.check(board) == []
    assert record == board / "grid" / "ours.json"

    assert verify.returncode == 2  # the file is its authors': the line says where to get it
    assert "avhubert" in verify.stderr
    assert verify.stderr.count("\n") == 1

"""The whole way on data made on the spot: render, check, train an observer, score with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.factories.warm_commands import run_command

pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("way")


def tlbench(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` with caches of its own."""
    places = {"TLBENCH_CACHE": str(folder / "cache"), "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")}
    done = run_command(words, folder, {**os.environ, **places, "COLUMNS": "160"})
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Path:
    none = ("--word-train", "0", "--word-val", "0", "--word-test", "0")
    said = tlbench(folder, "data", "synth", "corpus", "--train", "3", "--val", "1", "--test", "2", *none)
    assert said.stdout == "corpus: 6 clips rendered now\n"
    return folder / "corpus"


def test_a_corpus_is_checked_and_what_changed_is_said(folder: Path, corpus: Path) -> None:
    assert ", unchanged" in tlbench(folder, "data", "info", "corpus").stdout
    text = corpus / "main/test000/00001.txt"
    kept = text.read_bytes()
    text.write_bytes(kept + b" ")
    assert tlbench(folder, "data", "info", "corpus", code=1).stdout.startswith("main/test000/00001.txt: has changed\n")
    text.write_bytes(kept)


@pytest.mark.slow
def test_what_was_trained_here_reads_here(folder: Path, corpus: Path) -> None:
    trained = tlbench(
        *(folder, "train-observer", "avhubert", "--dataset", "synthetic", "--data-root", "corpus", "--out", "run"),
        *(
            "--size",
            "tiny",
            "--steps",
            "2",
            "--validate-every",
            "2",
            "--accelerator",
            "cpu",
            "--threads",
            "1",
            "--json",
        ),
    )
    about = json.loads(trained.stdout)
    assert (about["step"], about["metric"], about["not_learned_from"]) == (2, "wer1/sound", {})
    scored = tlbench(
        *(folder, "score", "corpus/main", "--dataset", "synthetic", "--data-root", "corpus", "--metrics", "wer1,psnr"),
        *("--weights", "avhubert=run/best", "--workers", "1", "--format", "json", "--name", "truth"),
    )
    assert "was trained with" not in scored.stderr  # it is looked through the view that the package names
    record = json.loads((folder / "tlbench-results/truth/result.json").read_text())
    assert "avhubert-small-mouth@1" in json.dumps(record)
    assert "2 of 2" in tlbench(folder, "table", "tlbench-results/truth").stdout


@pytest.mark.slow  # 107 clips of words; the README's test runs a demo of sentences, and CI the whole demo
def test_the_demo_has_a_system_above_ground_truth_and_floors_below(folder: Path) -> None:
    said = tlbench(folder, "demo", "show", "--sentences", "2", "--workers", "1", "--format", "csv")
    rows = [line.split(",")[0] for line in said.stdout.splitlines()]
    assert rows.index("talklip-gc-synthetic") < rows.index("ground-truth") < rows.index("static")
    assert rows.count("reencoded") > 1  # the system of words, a control of sentences
    assert (folder / "show/results/synthetic/controls/ground-truth/result.json").is_file()
    assert "ground-truth-as-system" not in said.stdout + said.stderr

"""``tlbench train-reference`` at the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from tests.factories.media_factory import tone, write_clip
from tlbench.cli.train_reference import command
from tlbench.errors import TlbenchError


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A folder of two clips, their boxes, and the options that train on them."""
    root = tmp_path_factory.mktemp("folder")
    (root / "boxes").mkdir()
    (root / "videos").mkdir()
    for name in ("a", "b"):
        write_clip(
            root / "videos" / f"{name}.mp4", frames=15, width=160, height=160, samples=tone(0.6), audio_codec="aac"
        )
        np.save(root / "boxes" / f"{name}.npy", np.array([[30, 20, 130, 150]] * 15))
        (root / f"{name}.txt").write_text(f"{name}\n")
    options = {
        "--dataset": "folder",
        "--data-root": root / "videos",
        "--train-list": root / "a.txt",
        "--val-list": root / "b.txt",
        "--boxes": root / "boxes",
        "--cache": root / "cache",
        "--variant": "base-no-lip-gan",
        "--size": "tiny",
        "--accelerator": "cpu",
        "--batch-clips": "1",
    }
    return [str(word) for option in options.items() for word in option]


def test_a_folder_is_trained_on_and_its_settings_are_told(given: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [*given, "--stage-steps", "1,0,1", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    about = json.loads(done.stdout)
    assert (about["step"], about["done"], about["not_learned_from"]) == (2, True, {})
    assert about["last"] == str(tmp_path / "last")
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept["recipe"]["variant"] == "base-no-lip-gan"
    assert json.dumps(kept["recipe"]) in done.stderr


def test_a_training_that_time_cuts_off_ends_with_1_and_is_gone_on_with(given: list[str], tmp_path: Path) -> None:
    words = [*given, "--stage-steps", "1,0,0", "--out", str(tmp_path)]
    stopped = CliRunner().invoke(command, [*words, "--max-time", "1e-9"])
    assert stopped.exit_code == 1
    assert "stopped at step 0, all saved; the same command goes on" in stopped.stderr
    assert CliRunner().invoke(command, words).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_step_end_and_saves(given: list[str], tmp_path: Path, sent: signal.Signals) -> None:
    words = [sys.executable, "-m", "tlbench", "train-reference", *given, "--stage-steps", "100000,0,0"]
    words[1:3] = ["-c", "from tlbench.cli.main import main; main()"]
    running = subprocess.Popen([*words, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (tmp_path / "state.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    running.send_signal(sent)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1, said
    assert "all saved; the same command goes on" in said


@pytest.mark.parametrize("words", ["1,2", "1,2,x", "a"])
def test_stages_that_are_no_three_numbers_are_refused(given: list[str], tmp_path: Path, words: str) -> None:
    done = CliRunner().invoke(command, [*given, "--stage-steps", words, "--out", str(tmp_path)])
    assert isinstance(done.exception, TlbenchError)
    assert f"--stage-steps {words}: give three numbers" in str(done.exception)


def test_a_folder_without_lists_is_refused(given: list[str], tmp_path: Path) -> None:
    words = [word for pair in zip(given[::2], given[1::2], strict=True) if "list" not in pair[0] for word in pair]
    done = CliRunner().invoke(command, [*words, "--out", str(tmp_path)])
    assert "folder has one part only" in str(done.exception)

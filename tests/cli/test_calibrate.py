"""``tlbench calibrate`` as a person or a script meets it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import tone, write_clip
from tests.factories.warm_commands import run_command

COMMAND = ("calibrate", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--metrics", "psnr")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrate")
    (folder / "refs").mkdir()
    (folder / "boxes").mkdir()
    for number, name in enumerate("ab"):
        write_clip(
            folder / "refs" / f"{name}.mp4", frames=12, audio_codec="aac", samples=tone(0.48, hertz=300 + number)
        )
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (12, 1)))
    return folder


def tlbench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    places = {"TLBENCH_CACHE": str(folder / "cache"), "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")}
    return run_command(words, folder, {**os.environ, **places, "COLUMNS": "120"})


@pytest.mark.slow
def test_the_table_goes_to_stdout_and_the_files_to_the_folder(desk: Path) -> None:
    done = tlbench(desk, *COMMAND, "--faults", "blur,other-sound", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "+1.00 sees" in done.stdout
    assert "0.00 blind" in done.stdout
    for name in ("calibration.json", "curves.png", "calibration.md"):
        assert (desk / "out" / name).stat().st_size > 500


@pytest.mark.slow
def test_a_size_that_can_not_be_made_of_a_clip_is_exit_code_one_and_json_counts_it(desk: Path) -> None:
    write_clip(desk / "refs" / "a.mp4", frames=9, audio_codec="aac")
    np.save(desk / "boxes" / "a.npy", np.tile(np.array([8, 8, 56, 44]), (9, 1)))
    done = tlbench(desk, *COMMAND, "--faults", "shift", "--out", "short", "--json")
    assert done.returncode == 1, done.stderr
    assert "9 frames can't be shifted by -10" in done.stderr
    assert json.loads(done.stdout)["failures"] == {"shift": {"-10": {"missing": 1}, "10": {"missing": 1}}}


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--faults", "blurr"), "did you mean 'blur'?"), (("--faults", "other-words"), "names no speakers")],
)
def test_what_can_not_be_done_is_one_line_and_exit_code_two(desk: Path, words: tuple[str, ...], said: str) -> None:
    done = tlbench(desk, *COMMAND, *words, "--out", "none")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout

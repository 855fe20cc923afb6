"""``tlbench train-reference`` at the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from tests.factories.media_factory import tone, write_clip
from tlbench.cli.config_file import config_text
from tlbench.cli.train_reference import command, training_config
from tlbench.errors import TlbenchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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


def resolved(words: list[str]) -> dict[str, Any]:
    """Every option of a command line, as its config."""
    with command.make_context("train-reference", [*words, "--dataset", "synthetic", "--out", "runs/x"]) as context:
        return tomllib.loads(config_text(context))


# The command lines that the documentation gave before there were recipes, in the options of today.
MINIATURE = """--size miniature --init copy --freeze-bn-from 0 --mouth-weight 8 --adam-beta1 0.9 --learning-rate 4e-4
    --warmup 100 --lr-decay-fraction 0.3 --batch-clips 12 --stage-steps 4800,0,0 --validate-every 400 --val-clips 40"""
ADAPT = """--freeze-bn-from 0 --mouth-weight 8 --adam-beta1 0.9 --learning-rate 4e-4 --warmup 50
    --lr-decay-fraction 0.3 --batch-clips 12 --stage-steps 1500,0,0 --validate-every 300 --val-clips 40"""
FINETUNE = """--freeze-bn-from 0 --mouth-weight 8 --adam-beta1 0.9 --learning-rate 3e-4 --warmup 50
    --lr-decay-fraction 0.5 --batch-clips 2 --stage-steps 0,0,500 --validate-every 125 --val-clips 40"""


def test_a_folder_is_trained_on_and_its_config_can_be_given_back(given: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [*given, "--stage-steps", "1,0,1", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    about = json.loads(done.stdout)
    assert (about["step"], about["done"], about["not_learned_from"]) == (2, True, {})
    assert about["last"] == str(tmp_path / "last")
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept["loss"]["variant"] == "base-no-lip-gan"
    assert "stage 1 of 3: pictures only" in done.stderr
    again = CliRunner().invoke(command, ["--config", str(tmp_path / "config.toml")])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["step"] == 2
    assert tomllib.loads((tmp_path / "config.toml").read_text())["stage_steps"] == [1, 0, 1]


@pytest.mark.parametrize(
    ("recipe", "words", "masking"),
    [
        ("miniature", MINIATURE, (0.01, 2)),
        ("miniature-finetune", FINETUNE, (0.08, 5)),
        ("miniature-adapt", ADAPT, (0.01, 2)),
        ("published", "", (0.08, 5)),
    ],
)
def test_a_recipe_is_the_command_line_that_it_replaces(recipe: str, words: str, masking: tuple[float, int]) -> None:
    written_out = resolved(words.split())
    written_out |= {"mask_probability": masking[0], "mask_length": masking[1]}  # no longer on the command line
    found = resolved(["--recipe", recipe])
    if recipe == "published":
        assert found.pop("size") == "published"  # which is what a generator without a size has
        assert found.pop("variant") == "g+c"  # which is what a TalkLip without a variant is
    assert found == written_out


def test_the_training_of_a_recipe_is_what_it_says() -> None:
    with command.make_context("x", ["--recipe", "miniature", "--dataset", "synthetic", "--out", "x"]) as context:
        settings = training_config(context.params).to_json()
    assert settings["masking"] == {"probability": 0.01, "length": 2}
    assert (settings["stage_steps"], settings["batch_clips"], settings["val_clips"]) == ([4800, 0, 0], 12, 40)
    assert settings["loss"] == {
        "variant": "g+c",
        "lip_weight": 1e-5,
        "contrast_weight": 1e-3,
        "gan_weight": 0.07,
        "gan_form": "code",
        "mouth_weight": 8,
    }
    assert settings["optim"] == {
        "learning_rate": 4e-4,
        "discriminator_lr": 1e-4,
        "adam_beta1": 0.9,
        "warmup_steps": 100,
        "lr_decay_fraction": 0.3,
        "freeze_bn_from": 0,
    }


def settings_of(*words: str) -> dict[str, Any]:
    with command.make_context("x", [*words, "--dataset", "grid", "--out", "x"]) as context:
        return training_config(context.params).to_json()


def test_the_recipes_of_the_compared_generators_are_what_they_say() -> None:
    published = settings_of("--recipe", "wav2lip")
    assert published["loss"] == {
        "sync_weight": 0.03,
        "sync_below": 0.75,
        "gan_weight": 0.07,
        "gan_form": "code",
        "mouth_weight": 1.0,
        "sync_norm": "batch",
    }
    assert (published["batch_clips"], published["steps"], published["patience"]) == (16, None, 5)
    assert published["optim"]["learning_rate"] == published["optim"]["discriminator_lr"] == 1e-4
    ours = settings_of("--recipe", "faceformer")
    assert ours["loss"] == {"window_frames": 50, "mouth_weight": 1.0}
    assert (ours["batch_clips"], ours["steps"], ours["patience"], ours["validate_every"]) == (2, None, 5, 3000)
    assert (ours["optim"]["learning_rate"], ours["optim"]["adam_beta1"]) == (1e-4, 0.9)
    small, other = settings_of("--recipe", "wav2lip-miniature"), settings_of("--recipe", "faceformer-miniature")
    assert small["steps"] == other["steps"] == 4800 + 1500 + 500  # of a miniature TalkLip on another data set
    assert small["loss"]["sync_norm"] == "running"
    assert other["loss"] == {"window_frames": 50, "mouth_weight": 8.0}
    for name in ("learning_rate", "adam_beta1", "warmup_steps", "lr_decay_fraction", "freeze_bn_from"):
        talklip = settings_of("--recipe", "miniature")["optim"][name]
        assert small["optim"][name] == other["optim"][name] == talklip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--generator wav2lip --variant g", "--variant is an option of talklip, not of wav2lip; leave it out"),
        ("--generator wav2lip --stage-steps 1,1,1", "--stage-steps is an option of talklip, not of wav2lip"),
        (
            "--generator faceformer --gan-weight 0.1",
            "--gan-weight is an option of talklip and wav2lip, not of faceform",
        ),
        ("--sync-weight 0.1", "--sync-weight is an option of wav2lip, not of talklip"),
        (
            "--steps 9",
            r"--steps is an option of wav2lip and faceformer.* give the steps of each stage \(--stage-steps\)",
        ),
        ("--generator wav2lip --lr-decay-fraction 0.5", r"fixed number of steps \(--lr-decay-fraction, --steps\)"),
        ("--generator wav2lip --sync-weight 0.95", r"leave nothing of 1 for L1; give smaller ones \(--sync-weight"),
    ],
)
def test_options_of_another_generator_are_refused(words: str, message: str) -> None:
    with pytest.raises(TlbenchError, match=message):
        settings_of(*words.split())


def test_a_data_set_without_a_training_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s1").mkdir()
    words = ["--generator", "faceformer", "--expert", "avhubert-synthetic-expert", "--size", "tiny"]
    options = ["--dataset", "folder", "--data-root", str(tmp_path), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(command, [*words, *options])
    assert "a folder has one split only" in str(done.exception)


def test_a_config_without_three_stages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("stage_steps = [1, 2]\n")
    done = CliRunner().invoke(command, ["--dataset", "x", "--out", "x", "--config", str(tmp_path / "c.toml")])
    assert "--stage-steps [1, 2]: give three numbers" in str(done.exception)


def test_help_has_a_heading_for_every_option() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    assert "\nOther:\n  -h, --help" in text or "\nOther:\n  --help" in text


def test_a_training_that_runs_out_of_time_ends_with_1_and_is_continued(given: list[str], tmp_path: Path) -> None:
    words = [*given, "--stage-steps", "1,0,0", "--out", str(tmp_path)]
    stopped = CliRunner().invoke(command, [*words, "--max-time", "1e-9"])
    assert stopped.exit_code == 1
    assert "stopped at step 0, everything is saved; the same command continues" in stopped.stderr
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
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 128 + sent, stderr
    # A step that takes more than four seconds, as on a busy machine, is dropped and done again.
    ends = ("everything is saved; the same command continues", "interrupted; run the same command again")
    assert any(end in stderr for end in ends)


@pytest.mark.parametrize("words", ["1,2", "1,2,x", "a"])
def test_stages_that_are_no_three_numbers_are_refused(given: list[str], tmp_path: Path, words: str) -> None:
    done = CliRunner().invoke(command, [*given, "--stage-steps", words, "--out", str(tmp_path)])
    assert isinstance(done.exception, TlbenchError)
    assert f"--stage-steps {words}: give three numbers" in str(done.exception)


def test_a_folder_without_lists_is_refused(given: list[str], tmp_path: Path) -> None:
    words = [word for pair in zip(given[::2], given[1::2], strict=True) if "list" not in pair[0] for word in pair]
    done = CliRunner().invoke(command, [*words, "--out", str(tmp_path)])
    assert "a folder has one split only" in str(done.exception)

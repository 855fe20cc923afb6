"""The command ``tlbench train-observer``: its options, its config file and its exit codes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from tests.factories.training_factory import make_training_set
from tlbench.cli.train_observer import GROUPS, command


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)  # the command sets its own
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train-observer")
    make_training_set(folder / "lrs2")
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def options(folder: Path, out: Path) -> tuple[object, ...]:
    data = ("--dataset", "lrs2", "--data-root", folder / "lrs2", "--cache", folder / "cache", "--out", out)
    quick = ("--size", "tiny", "--steps", 1, "--batch-frames", 30, "--validate-every", 1, "--val-clips", 1)
    return ("avhubert", *data, *quick, "--accelerator", "cpu", "--save-fp16", "--json")


def test_a_run_is_resumed_with_the_options_of_its_config_file(folder: Path, tmp_path: Path) -> None:
    first = run(*options(folder, tmp_path / "run"))
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["steps"] == 1
    again = run("avhubert", "--config", tmp_path / "run" / "config.toml", "--steps", 2)
    assert again.exit_code == 0, again.output
    about = json.loads(again.stdout)
    assert (about["step"], about["metric"], about["best"]) == (2, "wer1/sound", str(tmp_path / "run" / "best"))
    assert "steps = 2" in (tmp_path / "run" / "config.toml").read_text()


def test_a_run_that_stops_early_exits_with_1(folder: Path, tmp_path: Path) -> None:
    stopped = run(*options(folder, tmp_path / "run"), "--max-time", 1e-6)
    assert stopped.exit_code == 1
    assert "stopped at step 0 of 1; the same command resumes" in stopped.stderr


def test_every_option_has_a_heading_in_the_help() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(name for option in command.params for name in option.opts if name[:2] == "--")
    shown = run("--help").output
    assert all(f"\n{heading}:\n" in shown for heading in GROUPS)


@pytest.mark.parametrize("gone", ["--from", "--loaders", "--judged-clips", "--half"])
def test_former_names_of_options_are_unknown(folder: Path, tmp_path: Path, gone: str) -> None:
    refused = run(*options(folder, tmp_path / "run"), gone, "1")
    assert refused.exit_code == 2
    assert f"No such option: {gone}" in refused.stderr or f"No such option '{gone}'" in refused.stderr

"""Help texts in whole sentences and plain words, and what is answered to names and values that are mistaken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

import tlbench
from tlbench.cli.main import group
from tlbench.errors import TlbenchError


def _commands(parent: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield names
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*names, name))
        else:
            yield (*names, name)


@pytest.mark.parametrize("names", list(_commands(group)), ids=lambda names: " ".join(names) or "tlbench")
@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_is_whole_plain_and_not_too_wide(names: tuple[str, ...], width: int) -> None:
    shown = CliRunner().invoke(group, [*names, "--help"], terminal_width=width, max_content_width=width)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert max(map(len, lines)) <= width
    assert "RANGE" not in shown.output
    commands = lines[lines.index("Commands:") :] if "Commands:" in lines else []
    assert not [line for line in commands if line.endswith("...")]


@pytest.mark.parametrize(
    "words",
    ["scor", "tabel", "leader", "Score", "train_observer", "checkpoints lst", "study result"],
)
def test_the_nearest_command_is_named(words: str) -> None:
    shown = CliRunner().invoke(group, words.split())
    assert shown.exit_code == 2
    assert "Did you mean '" in shown.output


def test_a_wrong_number_is_told_in_plain_words() -> None:
    shown = CliRunner().invoke(group, ["score", "generated", "--dataset", "grid", "--limit", "x"])
    assert shown.exit_code == 2
    assert "'x' is not a valid whole number" in shown.output


def test_a_column_that_is_no_metric_is_refused_before_scoring() -> None:
    shown = CliRunner().invoke(group, ["score", "generated", "--dataset", "grid", "--columns", "psrn"])
    assert isinstance(shown.exception, TlbenchError)
    assert "did you mean 'psnr'" in str(shown.exception)


def test_files_and_dicts_in_place_of_frames_and_lists_are_told_in_one_line() -> None:
    path: Any = "video.mp4"
    with pytest.raises(TlbenchError, match="read_video"):
        tlbench.psnr(path, path)
    with pytest.raises(TlbenchError, match="read_video"):
        tlbench.ssim(path, path)
    texts: Any = {"a": "one"}
    with pytest.raises(TlbenchError, match="in a list"):
        tlbench.wer(texts, texts)

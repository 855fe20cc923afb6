"""Help texts: commands with whole sentences, options with plain words, and near names of commands."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from tlbench.cli.main import group


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


@pytest.mark.parametrize("words", [["scor"], ["data", "lst"], ["leaderboard", "ad"]])
def test_the_nearest_command_is_named(words: list[str]) -> None:
    shown = CliRunner().invoke(group, words)
    assert shown.exit_code == 2
    assert "Did you mean '" in shown.output


def test_a_wrong_number_is_told_in_plain_words() -> None:
    shown = CliRunner().invoke(group, ["score", "generated", "--dataset", "grid", "--limit", "x"])
    assert shown.exit_code == 2
    assert "'x' is not a valid whole number" in shown.output

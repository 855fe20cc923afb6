"""What a shell is told of the names that may follow."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from tlbench.cli.main import group
from tlbench.training.registry import trainable_names


def completed(*words: str) -> list[str]:
    """The values that click gives a shell for the last of these words."""
    shell = ShellComplete(group, {}, "tlbench", "_TLBENCH_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("sco",), ["score"]),
        (("checkpoints", "ver"), ["verify"]),
        (("score", "gen", "--dataset", "gr"), ["grid"]),
        (("check", "gen", "--dataset", "lr"), ["lrs2", "lrw"]),
        (("data", "set", "lrs"), ["lrs2"]),
        (("checkpoints", "verify", "syncnet-g"), ["syncnet-grid"]),
        (("score", "gen", "--weights", "mv"), ["mvm", "mvm-synthetic"]),
        (("score", "gen", "--metrics", "psnr,lse_c/"), ["psnr,lse_c/paper", "psnr,lse_c/sound"]),
        (("table", "out", "--columns", "ssim,psnr"), ["ssim,psnr/paper", "ssim,psnr/sound"]),
        (("score", "gen", "--controls", "static,fro"), ["static,frozen-mouth"]),
        (("check", "gen", "--weights", "s3"), ["s3fd"]),
        (("compare", "a", "b", "--metrics", "psnr,lse_c/"), ["psnr,lse_c/paper", "psnr,lse_c/sound"]),
        (("aggregate", "run", "--metrics", "ssi"), ["ssim"]),
        (("table", "out", "--preset", "paper-a"), ["paper-avatar"]),
        (("train-observer", "mvm", "--dataset", "gr"), ["grid", "grid-sample"]),
        (("generate", "--generator", "talklip-gc-"), ["talklip-gc-synthetic"]),
        (("generate", "--generator", "froz"), ["frozen-mouth"]),
        (("generate", "--generator", "comm"), ["command"]),
        (("train-observer", "mvm"), ["mvm", "mvm-aligned"]),
        (("train-observer", "wav"), ["wav2lip-sync"]),
        (("train-reference", "--recipe", "face"), ["faceformer"]),
        (("generate", "--recipe", "lat"), ["latentsync"]),
        (("data", "fetch", ""), ["grid"]),
        (("score", "gen", "--metrics", "nothing"), []),
    ],
)
def test_names_are_completed(words: tuple[str, ...], found: list[str]) -> None:
    values = completed(*words)
    assert [value for value in values if value in found] == found
    assert found or not values


def options_of(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Parameter]]:
    """Every option of every command, with the command's words."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from options_of(inner, (*path, name))
    else:
        yield from ((" ".join(path), parameter) for parameter in command.params)


@pytest.mark.parametrize("option", ["--dataset", "--metrics", "--weights", "--preset", "--controls", "--generator"])
def test_an_option_completes_on_every_command_that_has_it(option: str) -> None:
    commands = [words for words, parameter in options_of(group) if option in parameter.opts]
    assert commands
    silent = [words for words in commands if not completed(*words.split(), option, "")]
    assert not silent


def test_an_argument_that_is_a_name_completes() -> None:
    arguments = [(words, each) for words, each in options_of(group) if isinstance(each, click.Argument)]
    names = [words for words, each in arguments if isinstance(each.type, click.types.StringParamType)]
    assert {"train-observer", "data fetch", "checkpoints verify"} <= set(names)
    assert not [words for words in names if not completed(*words.split(), "")]


def test_what_can_be_trained_is_in_the_usage() -> None:
    (shown,) = (each for words, each in options_of(group) if words == "train-observer" and each.name == "observer")
    assert shown.metavar == "|".join(sorted(trainable_names()))


def test_a_name_that_is_in_the_list_is_not_offered_again() -> None:
    assert "static,static" not in completed("controls", "out", "--kinds", "static,st")

"""What a shell is told of the names that may follow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tlbench.cli.main import group
from tlbench.study.store import FILE_NAME, create
from tlbench.training.registry import trainable_names


def completed(*words: str) -> list[str]:
    """The values that click gives a shell for the last of these words."""
    shell = ShellComplete(group, {}, "tlbench", "_TLBENCH_COMPLETE")
    found = shell.get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found if item.type == "plain"]


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
        (("score", "gen", "--metrics", "psnr,paper-a"), ["psnr,paper-avatar"]),
        (("score", "gen", "--metrics", "pix"), ["pixels"]),
        (("score", "gen", "--metrics", "fi"), ["fid"]),
        (("check", "gen", "--detector", "bl"), ["blazeface"]),
        (("check", "gen", "--dataset", "grid-sample", "--split", ""), ["test"]),
        (("check", "gen", "--dataset", "lrs2", "--split", "te"), ["test"]),
        (("check", "gen", "--face", "l"), ["largest"]),
        (("score", "gen", "--device", "c"), ["cpu", "cuda"]),
        (("score", "gen", "--view", "avhubert=face"), ["avhubert=face-framed"]),
        (("score", "gen", "--trained-with", "no"), ["none"]),
        (("compare", "a", "b", "--columns", "a,d"), ["a,difference"]),
        (("train-observer", "syncnet", "--view", "pa"), ["paper"]),
        (("train-observer", "avhubert", "--size", "la"), ["large"]),
        (("train-observer", "syncnet", "--init-from", "syncnet-g"), ["syncnet-grid"]),
        (("train-reference", "--size", "mini"), ["miniature"]),
        (("train-reference", "--expert", "talklip-e"), ["talklip-expert"]),
        (("train-reference", "--init-from", "talklip-gc-g"), ["talklip-gc-grid"]),
        (("generate", "--recipe", "wav2lip", "--set", "ch"), ["checkpoint=checkpoints/wav2lip_gan.pth"]),
        (("generate", "--recipe", "nothing", "--set", "ch"), []),
        (("data", "fetch", "grid", "--speakers", "s1,s34"), ["s1,s34"]),
        (("plot", "snapshots", "gen", "--dataset", "grid-sample", "--clip", "s1/bbaf"), ["s1/bbaf2n"]),
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


# Options and arguments whose values are the user's own: what no list that tlbench has can name.
FREE = {
    "--at": "times",
    "--code": "an address",
    "--host": "an address of this machine",
    "--name": "a name that is chosen, but for systems on a board",
    "--names": "titles in a figure",
    "--paper": "an address",
    "--python": "the words that call it",
    "--ray-address": "an address",
    "--stage-steps": "numbers",
    "--words": "any two words",
}
# What completes only after other words than those of the test below, and those words.
BEFORE = {
    "generate --set": ("--recipe", "wav2lip"),
    "leaderboard add --name": ("out", "--board", str(Path(__file__).parents[2] / "leaderboards")),
    "plot snapshots --clip": ("gen", "--dataset", "grid-sample"),
    "study new --method": ("study",),
    "train-observer --init-from": ("syncnet",),
    "train-observer --size": ("mvm",),
    "train-observer --view": ("mvm",),
}
SPLITS = ("--split", "--train-split", "--val-split")  # of a data set: these need one


def usage(words: str, parameter: click.Parameter) -> str:
    """The command with the option's or argument's name, as messages show it."""
    return f"{words} {max(parameter.opts, key=len)}"


def named(parameter: click.Parameter) -> bool:
    """Whether its value is a text: neither a number, nor one of a few that click lists, nor a path alone."""
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.hidden):
        return False
    shown = parameter.metavar or ""
    path_alone = isinstance(parameter.type, click.Path) and "NAME" not in shown
    return not path_alone and not isinstance(parameter.type, (click.Choice, click.IntRange, click.FloatRange))


def test_every_option_and_argument_completes_or_is_free() -> None:
    found = [(words, each) for words, each in options_of(group) if named(each)]
    assert len(found) > 80
    silent = [usage(words, each) for words, each in found if not has_completion(each)]
    assert [use for use in silent if use.split()[-1] not in FREE] == []
    assert {use.split()[-1] for use in silent} == set(FREE)  # none of the list is there for nothing


def has_completion(parameter: click.Parameter) -> bool:
    return parameter._custom_shell_complete is not None


@pytest.mark.parametrize(
    ("words", "name"),
    [(words, max(each.opts, key=len)) for words, each in options_of(group) if named(each) and has_completion(each)],
)
def test_what_completes_does_so_in_its_command(words: str, name: str) -> None:
    before = BEFORE.get(f"{words} {name}", ())
    if name in SPLITS:
        before = ("mvm", "--dataset", "grid-sample")[words != "train-observer" :]
    if f"{words} {name}" == "study results --with":
        pytest.skip("needs a study; tested below")
    option = (name,) if name.startswith("-") else ()
    typed = "x=" if (words, name) == ("study new", "--method") else ""
    assert [value for value in completed(*words.split(), *before, *option, typed) if value]


def test_what_can_be_trained_is_in_the_usage() -> None:
    (shown,) = (each for words, each in options_of(group) if words == "train-observer" and each.name == "observer")
    assert shown.metavar == "|".join(sorted(trainable_names()))


def test_a_name_that_is_in_the_list_is_not_offered_again() -> None:
    assert "static,static" not in completed("controls", "out", "--kinds", "static,st")


def test_sizes_of_generators_are_those_that_complete() -> None:
    from tlbench.talklip.generator import SIZES

    assert set(completed("train-reference", "--size", "")) == set(SIZES)


def test_systems_of_a_board_and_methods_of_a_study_complete(tmp_path: Path) -> None:
    board = str(Path(__file__).parents[2] / "leaderboards")
    systems = completed("leaderboard", "add", "out", "--board", board, "--name", "")
    assert {"Wav2Lip", "TalkLip (g+c)", "frozen-mouth"} <= set(systems)
    assert completed("leaderboard", "add", "out", "--board", str(tmp_path), "--name", "") == []
    create(tmp_path / FILE_NAME, "folder", "test", ("left", "right"), 0, (), (), ())
    assert completed("study", "results", str(tmp_path), "--with", "") == ["left=", "right="]


def test_a_file_completes_after_the_name_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "syncnet_v2.model").touch()
    (tmp_path / "older").mkdir()
    typed = f"syncnet={tmp_path}/"
    assert completed("score", "gen", "--weights", typed) == [f"{typed}older/", f"{typed}syncnet_v2.model"]
    assert completed("score", "gen", "--weights", f"{typed}sy") == [f"{typed}syncnet_v2.model"]
    assert completed("score", "gen", "--weights", f"syncnet={tmp_path}/nothing/") == []


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("pieces", "offered"),
    [  # as bash 5.2 splits the words
        (["score", "x", "--view", "avhubert", "=", "face"], "face-framed"),
        (["score", "x", "--view", "avhubert", "="], "auto"),
        (["score", "x", "--boxes-from", "=", "re"], "reference"),
        (["score", "x", "--view", "=", "avhubert", "=", "face"], "face-framed"),
        (["score", "x", "--view", "avhub"], "avhubert=face-framed"),
    ],
)
def test_bash_is_told_of_words_that_it_splits(pieces: list[str], offered: str) -> None:
    given = {"_TLBENCH_COMPLETE": "bash_complete", "COMP_CWORD": str(len(pieces))}
    words = "\n".join(["tlbench", *pieces])
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'tlbench'; from tlbench.cli.main import main; main()"],
        env={**os.environ, **given, "COMP_WORDS": words},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"plain,{offered}" in done.stdout.splitlines()

"""What a shell is told of the names that may follow."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from tlbench.cli.main import group


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
        (("score", "gen", "--metrics", "nothing"), []),
    ],
)
def test_names_are_completed(words: tuple[str, ...], found: list[str]) -> None:
    values = completed(*words)
    assert [value for value in values if value in found] == found
    assert found or not values


def test_a_name_that_is_in_the_list_is_not_offered_again() -> None:
    assert "static,static" not in completed("controls", "out", "--kinds", "static,st")

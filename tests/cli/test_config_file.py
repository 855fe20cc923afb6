"""Options of a command from ``--config FILE.toml`` and ``--recipe NAME``."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tlbench.cli.config_file import ConfigOnlyOption, config_option, config_text, recipe_option
from tlbench.cli.grouped_help import GroupedCommand
from tlbench.errors import TlbenchError


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> click.Command:
    """A command that prints its resolved config, with one recipe, ``quick``."""
    (tmp_path / "demo_package" / "recipes").mkdir(parents=True)
    (tmp_path / "demo_package" / "__init__.py").touch()
    (tmp_path / "demo_package" / "recipes" / "quick.toml").write_text("steps = 7\nlearning_rate = 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    @click.command(cls=GroupedCommand, groups={"Data": ("--data-root",), "Training": ("--steps", "--learning-rate")})
    @recipe_option("demo_package")
    @config_option
    @click.option("--data-root", type=click.Path(path_type=Path), required=True)
    @click.option("--steps", type=click.IntRange(min=1), default=100, show_default=True)
    @click.option("--learning-rate", type=float, default=1e-4)
    @click.option("--weights", multiple=True)
    @click.option("--json", "as_json", is_flag=True)
    @click.option("--seed", type=int, cls=ConfigOnlyOption, help="Of all drawing.")
    @click.pass_context
    def run(context: click.Context, **options: object) -> None:
        click.echo(config_text(context), nl=False)

    return run


def invoke(command: click.Command, *words: str) -> Result:
    return CliRunner().invoke(command, words)


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_the_command_line_wins_over_the_config_and_the_config_over_the_recipe(
    command: click.Command, tmp_path: Path
) -> None:
    config = written(tmp_path / "c.toml", 'data_root = "corpus"\nsteps = 8\nseed = 3\nweights = ["a", "b"]\n')
    expected = (
        'data_root = "corpus"\nsteps = 9\nlearning_rate = 0.5\nweights = [\n    "a",\n    "b",\n]\njson = false\n'
    )
    for words in (["--recipe", "quick", "--config", config], ["--config", config, "--recipe", "quick"]):
        done = invoke(command, *words, "--steps", "9")
        assert done.stdout == expected + "seed = 3\n"


def test_the_resolved_config_can_be_given_back(command: click.Command, tmp_path: Path) -> None:
    first = invoke(
        command, "--recipe", "quick", "--data-root", "x y", "--learning-rate", "3e-4", "--weights", "a=b"
    ).stdout
    assert "learning_rate = 0.0003" in first
    assert invoke(command, "--config", written(tmp_path / "c.toml", first)).stdout == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepps = 3", "no option stepps; did you mean steps?"),
        ("learning-rate = 3", "no option learning-rate; did you mean learning_rate?"),
        ("as_json = true", "no option as_json; did you mean json?"),
        ("zzz = 3", "no option zzz; every key is the long name of an option, with _ for -"),
        ("config = 'x.toml'", "no option config; every key is"),
        ("steps = 0", "steps = 0: 0 is not in the range x>=1."),
        ("learning_rate = 'fast'", "learning_rate = 'fast': 'fast' is not a valid float."),
        ("steps = ", "is not TOML (Invalid value"),
    ],
)
def test_what_a_config_file_may_not_say_is_refused_in_one_line(
    command: click.Command, tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path / "c.toml", text)
    done = invoke(command, "--data-root", "x", "--config", path)
    assert isinstance(done.exception, TlbenchError)
    assert str(done.exception).startswith(f"config {path}: {message}")


def test_a_missing_file_and_a_missing_recipe_are_named(command: click.Command, tmp_path: Path) -> None:
    done = invoke(command, "--data-root", "x", "--config", str(tmp_path / "no.toml"))
    assert f"config {tmp_path / 'no.toml'}: can't be read" in str(done.exception)
    done = invoke(command, "--data-root", "x", "--recipe", "slow")
    assert str(done.exception) == "no recipe 'slow'; there are quick (--recipe)"


def test_a_setting_of_config_files_has_no_flag(command: click.Command) -> None:
    assert "No such option" in invoke(command, "--data-root", "x", "--seed", "3").stderr


def test_help_shows_the_options_under_their_headings(command: click.Command) -> None:
    text = invoke(command, "--help").stdout
    headings = [line.strip() for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Data:", "Training:", "Other:", "Only in --config FILE.toml:"]
    assert "\n  seed INTEGER  Of all drawing." in text
    assert text.count("--steps") == text.count("--weights") == text.count("--help") == 1

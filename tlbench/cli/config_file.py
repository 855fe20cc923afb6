"""A command's options from TOML files: ``--config FILE.toml``, and ``--recipe NAME`` for files that tlbench brings.

A key of such a file is the long name of an option with ``_`` for ``-``: ``learning_rate = 4e-4`` is
``--learning-rate 4e-4``. A value on the command line wins over the config file, the config file over the recipe, and
the recipe over the option's default. Paths are relative to the current folder, as on the command line. Positional
arguments are given on the command line only.

A command takes ``--config`` by the decorator :func:`config_option`. It gets every option through its usual parameter;
:func:`config_text` returns the values it ended up with as the text of a config file::

    @click.command()
    @click.option("--steps", type=int, default=100)
    @config_option
    @click.pass_context
    def command(context: click.Context, steps: int) -> None:
        write_text_atomically(out / CONFIG_NAME, config_text(context))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import click
import tomli_w

from tlbench.cli.completion import complete_one_of
from tlbench.errors import TlbenchError, listed, quoted
from tlbench.files import TEXT, read_outside
from tlbench.toml_input import parse_toml

_Command = TypeVar("_Command", bound=Callable[..., Any])

CONFIG_NAME = "config.toml"  # of the file that a command writes to its run folder
SUFFIX = ".toml"
_LAYERS = "tlbench.config_file"  # key of the values read so far in click's context.meta


class ConfigOnlyOption(click.Option):
    """A rarely used option, given in config files only: ``click.option("--name", cls=ConfigOnlyOption)``."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        pass

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None:
            return None
        flag, space, metavar = record[0].partition(" ")
        return _key(flag) + space + metavar, record[1]


class CommandLineOption(click.Option):
    """An option that is no part of a config: it says how to begin this once."""


def config_option(command: _Command) -> _Command:
    """Add ``--config FILE.toml`` to a command.

    The command raises TlbenchError, in one line, if the file can't be read, has a key that is no option, or a value
    that the option refuses.
    """
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        is_eager=True,
        expose_value=False,
        callback=_use_config,
        help="Options by their long names, with _ for -; those on the command line win.",
    )(command)


def recipe_option(package: str) -> Callable[[_Command], _Command]:
    """Add ``--recipe NAME`` to a command.

    Parameters
    ----------
    package : str
        The package with the folder ``recipes`` of ``NAME.toml`` files, such as ``tlbench.talklip``.
    """

    def use_recipe(context: click.Context, option: click.Parameter, name: str | None) -> None:
        if name is not None:
            _set_layer(context, "recipe", read_recipe(package, name, context.command))

    names = recipe_names(package)
    return click.option(
        "--recipe",
        metavar="NAME",
        is_eager=True,
        expose_value=False,
        callback=use_recipe,
        shell_complete=complete_one_of(names),
        help=f"Options that tlbench brings: {', '.join(names)}; those given otherwise win.",
    )


def recipe_names(package: str) -> list[str]:
    """The recipes of a package, sorted."""
    return sorted(
        file.name.removesuffix(SUFFIX) for file in (files(package) / "recipes").iterdir() if file.name.endswith(SUFFIX)
    )


def read_recipe(package: str, name: str, command: click.Command) -> dict[str, Any]:
    """Parameter name to value of a recipe. Raises TlbenchError if there is no recipe of that name."""
    names = recipe_names(package)
    if name not in names:
        raise TlbenchError(f"no recipe {quoted(name)}{listed(name, names)} (--recipe)")
    text = (files(package) / "recipes" / f"{name}{SUFFIX}").read_text("utf-8")
    return _values(_parsed(text, f"recipe {name}"), command, f"recipe {name}")


def read_config(path: Path, command: click.Command) -> dict[str, Any]:
    """Parameter name to value of a config file. Raises TlbenchError as :func:`config_option` says."""
    try:
        raw = read_outside(path, TEXT)
    except OSError as error:
        raise TlbenchError(f"config {path}: can't be read ({error.strerror}); give a TOML file (--config)") from error
    return _values(_parsed(raw, f"config {path}"), command, f"config {path}")


def config_text(context: click.Context) -> str:
    """Every option of the running command with the value it has, as the text of a config file.

    Options without a value are left out, since TOML has no null.
    """
    values = {}
    for name, option in _options(context.command).items():
        value = context.params.get(option.name or "")
        if value is not None:
            values[name] = _plain(value)
    return tomli_w.dumps(values)


def _use_config(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    if path is not None:
        _set_layer(context, "config", read_config(path, context.command))


def _set_layer(context: click.Context, layer: str, values: dict[str, Any]) -> None:
    """Make values of the recipe or of the config file click's defaults, whichever of the two was read first."""
    layers = context.meta.setdefault(_LAYERS, {})
    layers[layer] = values
    context.default_map = {**layers.get("recipe", {}), **layers.get("config", {})}


def _parsed(text: bytes | str, source: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise TlbenchError(f"{source}: {error}; give a TOML file (--config)") from error


def _options(command: click.Command) -> dict[str, click.Option]:
    """Key of a config file to option; ``--config``, ``--recipe`` and a CommandLineOption are no keys."""
    options = [
        option
        for option in command.params
        if isinstance(option, click.Option) and option.expose_value and not isinstance(option, CommandLineOption)
    ]
    return {_key(max(option.opts, key=len)): option for option in options}


def _key(flag: str) -> str:
    """The key of an option in a config file."""
    return flag.lstrip("-").replace("-", "_")


def _values(content: Mapping[str, Any], command: click.Command, source: str) -> dict[str, Any]:
    """Parameter name to value, each checked by its option."""
    options = _options(command)
    values = {}
    for key, value in content.items():
        if key not in options:
            near = get_close_matches(key, options, 1)
            way_out = f"did you mean {near[0]}?" if near else "every key is the long name of an option, with _ for -"
            raise TlbenchError(f"{source}: no option {key}; {way_out}")
        option = options[key]
        try:
            option.type_cast_value(click.Context(command), value)
        except click.BadParameter as error:
            raise TlbenchError(f"{source}: {key} = {quoted(value)}: {error.message}") from error
        if option.name is not None:
            values[option.name] = value
    return values


def _plain(value: Any) -> Any:
    """A value as TOML has it: a path as text, a tuple as an array."""
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value

"""Options of the commands that print tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from tlbench.cli.completion import complete_comparison_columns, complete_metric_choice
from tlbench.cli.config_file import CommandLineOption
from tlbench.cli.options import format_option
from tlbench.errors import TlbenchError

_Command = TypeVar("_Command", bound=Callable[..., Any])

_json = click.option(
    "--json", "as_json", cls=CommandLineOption, is_flag=True, help="Print JSON for a program, as --format json."
)
_no_intervals = click.option("--no-intervals", is_flag=True, help="Leave out confidence intervals.")


def table_options(command: _Command) -> _Command:
    """Adds ``--format``, ``--json``, ``--columns`` (metrics) and ``--no-intervals``.

    The function gets them as ``table_format``, ``columns`` and ``no_intervals``.
    """
    columns = click.option(
        "--columns",
        metavar="NAMES",
        shell_complete=complete_metric_choice,
        help="Only these metrics, in this order, with commas: wer1,psnr/sound.",
    )
    return _format_options(columns(_no_intervals(command)))


def comparison_table_options(command: _Command) -> _Command:
    """As :func:`table_options`, with the columns of a comparison."""
    columns = click.option(
        "--columns",
        metavar="NAMES",
        shell_complete=complete_comparison_columns,
        help="Only these columns, with commas: a,b,difference,wins,p,verdict.",
    )
    return _format_options(columns(_no_intervals(command)))


def _format_options(command: _Command) -> _Command:
    """``--format``, and ``--json`` for the format of that name; the command gets both as ``table_format``."""

    @wraps(command)
    def with_format(*words: Any, table_format: str, as_json: bool, **given: Any) -> Any:
        if as_json and table_format not in ("terminal", "json"):
            raise TlbenchError(f"--json and --format {table_format} are two formats; give one of them")
        return command(*words, table_format="json" if as_json else table_format, **given)

    return format_option(_json(cast(_Command, with_format)))

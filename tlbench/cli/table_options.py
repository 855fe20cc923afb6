"""Options of the commands that print tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tlbench.cli.options import format_option

_Command = TypeVar("_Command", bound=Callable[..., Any])

_no_intervals = click.option("--no-intervals", is_flag=True, help="Leave out confidence intervals.")


def table_options(command: _Command) -> _Command:
    """Adds ``--format``, ``--columns`` (metrics) and ``--no-intervals``.

    The function gets them as ``table_format``, ``columns`` and ``no_intervals``.
    """
    columns = click.option(
        "--columns", metavar="NAMES", help="Only these metrics, in this order, with commas: wer1,psnr/sound."
    )
    return format_option(columns(_no_intervals(command)))


def comparison_table_options(command: _Command) -> _Command:
    """As :func:`table_options`, with the columns of a comparison."""
    columns = click.option(
        "--columns", metavar="NAMES", help="Only these columns, with commas: a,b,difference,wins,p,verdict."
    )
    return format_option(columns(_no_intervals(command)))

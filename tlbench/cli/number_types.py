"""Types of options that take a number: ``N`` or ``NUMBER`` in ``--help``, and errors in plain words."""

from __future__ import annotations

import click


class WholeNumber(click.IntRange):
    """A whole number in a range: ``click.option("--limit", type=WholeNumber(min=1))``."""

    name = "whole number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What ``--help`` shows after the option's name."""
        return "N"


class Number(click.FloatRange):
    """A number in a range: ``click.option("--level", type=Number(0.5, 0.999))``."""

    name = "number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What ``--help`` shows after the option's name."""
        return "NUMBER"

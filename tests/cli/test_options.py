"""Types of options that several commands share."""

from __future__ import annotations

import click
import pytest

from tlbench.cli.options import Number


def test_not_a_number_is_in_no_range() -> None:
    assert Number(min=0, min_open=True, max=64).convert("0.25", None, None) == 0.25
    for kind in (Number(min=0, min_open=True, max=64), Number()):
        with pytest.raises(click.BadParameter, match="'nan' is not a number"):
            kind.convert("nan", None, None)

"""docs/commands.md is what the commands print."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from scripts.command_reference import PAGE, page


@pytest.mark.skipif(
    version("click").split(".")[:2] < ["8", "2"], reason="older versions of click print defaults in other words"
)
def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python scripts/command_reference.py"

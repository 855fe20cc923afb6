"""What the demo says at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbench.demo import REAL, Shown, what_is_missing


@pytest.mark.parametrize(
    ("first", "said"), [(REAL, ""), ("synthetic", "real faces: not here; `tlbench data fetch grid")]
)
def test_it_says_how_to_get_the_real_faces_where_they_are_not_there(first: str, said: str) -> None:
    line = what_is_missing([Shown(first, [], Path("page.html")), Shown("synthetic", [], Path("page.html"))])
    assert line.startswith(said)
    assert bool(line) == bool(said)

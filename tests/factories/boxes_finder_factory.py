"""What finds the same face box in every frame of every video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlbench.observing.cache import Cache
from tlbench.observing.face_boxes import BoxFinder, BoxRule


def fixed_finder(box: Sequence[int]) -> BoxFinder:
    """It keeps nothing, as it searches for nothing."""
    x1, y1, x2, y2 = box
    return BoxFinder(BoxRule("fixed", fixed=(x1, y1, x2, y2)), Cache(Path("not used")))

"""What the lip readers share as observers: a checkpoint, one view at a time, and needs that follow from the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tlbench.errors import TlbenchError
from tlbench.media.views import View
from tlbench.observing.observer import Needs, Observer


class LipReader(Observer):
    """An observer with a checkpoint that looks through one of its views at a time.

    Evidence of several views in one run would need a name for each; who wants both runs twice.
    """

    recipes: ClassVar[Mapping[str, View]]  # by the names of ``views``

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """:attr:`needs`, and whatever guides the recipes of these views ask for."""
        looked = [cls.recipes[view] for view in views]
        framed = any(recipe.frames_face for recipe in looked)
        return replace(
            cls.needs, boxes=framed, framing=framed, placements=any(recipe.aligns_mouth for recipe in looked)
        )

    @classmethod
    def recipe(cls, view: str) -> View:
        return cls.recipes[view]

    @classmethod
    def weights_and_view(cls, weights: Path | None, views: Sequence[str]) -> tuple[Path, View]:
        """What :meth:`load` was given, checked. Raises TlbenchError without weights, or with any but one view."""
        if weights is None:
            raise TlbenchError(f"{cls.name} needs a checkpoint; see `tlbench checkpoints list`, and pass --weights")
        if len(views) != 1:
            raise TlbenchError(f"{cls.name} reads through one view at a time; got {', '.join(views) or 'none'}")
        return weights, cls.recipes[views[0]]

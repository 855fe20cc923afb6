"""What the lip readers share: a checkpoint, one view at a time, needs that follow from it, crops kept, clips sorted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video import FrameChunk
from tlbench.media.views import CenterCrop, Resize, ResizeAntialiased, View, open_view
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipState, Needs, Observer

OneState = TypeVar("OneState", bound=ClipState)
Prepared = TypeVar("Prepared")


class LipReader(Observer):
    """An observer with a checkpoint that looks through one of its views at a time.

    Evidence of several views in one run would need a name for each; who wants both runs twice.
    """

    recipes: ClassVar[Mapping[str, View]]  # by the names of ``views``
    answer: ClassVar[str]  # the finding that says what was read: a text, or an array of one number a symbol

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

    @classmethod
    def check_side(cls, view: View, side: int) -> None:
        """Raises TlbenchError if a network made for pictures of ``side`` pixels would look through another view."""
        if shown_side(view) != side:
            fitting = [name for name, recipe in cls.recipes.items() if shown_side(recipe) == side]
            way_out = f"choose --view {cls.name}={' or '.join(fitting)}" if fitting else "no view fits it"
            raise TlbenchError(
                f"{cls.name}: this network sees pictures of {side} pixels, view {view.id} shows {shown_side(view)}; "
                f"{way_out}"
            )


def shown_side(view: View) -> int:
    """Pixels a side of the square pictures that a view ends with."""
    sized = (CenterCrop, Resize, ResizeAntialiased)
    return next(step.height for step in reversed(view.steps) if isinstance(step, sized))


class Crops:
    """What a view shows of one video, kept run by run."""

    def __init__(self, view: View) -> None:
        self.frames = 0
        self._stream = open_view(view)
        self._chunks: list[np.ndarray] = []

    def take(self, frames: FrameChunk, boxes: np.ndarray | None, placements: np.ndarray | None = None) -> None:
        """The next run of frames. Guides may be longer: they are of both videos, of which this may be the shorter."""
        self.frames += len(frames)
        boxes, placements = (None if rows is None else rows[: len(frames)] for rows in (boxes, placements))
        self._chunks.append(self._stream.apply(frames, boxes, placements))

    def all(self, clip_id: str) -> np.ndarray:
        """All of them, one a frame. Raises ClipError ``no-frames`` if there is none."""
        if not self.frames:
            raise ClipError("no-frames", f"clip {clip_id}: no frame to read; look at the file")
        return np.concatenate(self._chunks)


def read_together(
    states: Sequence[ClipState],
    kind: type[OneState],
    prepare: Callable[[OneState], Prepared],
    read: Callable[[Sequence[OneState], Sequence[Prepared]], Sequence[Evidence]],
) -> list[Evidence | ClipError]:
    """What :meth:`Observer.compute` returns: each clip is prepared, and those that can be are read together.

    Parameters
    ----------
    states : sequence of ClipState
        All of them of ``kind``.
    prepare : callable
        What a state has for the network; raises ClipError if that can't be read.
    read : callable
        Watchers and what was prepared of each, to their evidence in the same order. Not called for none.
    """
    said: dict[int, Evidence | ClipError] = {}
    ready: dict[int, tuple[OneState, Prepared]] = {}
    for index, state in enumerate(states):
        assert isinstance(state, kind)
        try:
            ready[index] = (state, prepare(state))
        except ClipError as error:
            said[index] = error
    if ready:
        found = read([state for state, _ in ready.values()], [prepared for _, prepared in ready.values()])
        said |= dict(zip(ready, found, strict=True))
    return [said[index] for index in range(len(states))]

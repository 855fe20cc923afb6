"""The common part of lip readers: a checkpoint, one view per run, and crops kept until a batch is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import CenterCrop, Resize, ResizeAntialiased, View, open_view
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipState, Needs, Observer

OneState = TypeVar("OneState", bound=ClipState)
Prepared = TypeVar("Prepared")


class LipReader(Observer):
    """An observer with a checkpoint that uses one of its views per run. Score twice to use two views."""

    recipes: ClassVar[Mapping[str, View]]  # by the names of ``views``
    answer: ClassVar[str]  # the name of the value in the evidence that was read: a text, or an array of symbols

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """The class's ``needs``, with the boxes and placements that these views need."""
        looked = [cls.recipes[view] for view in views]
        framed = any(recipe.frames_face for recipe in looked)
        return replace(
            cls.needs,
            boxes=framed,
            framing=framed,
            placements=next((one.alignment for one in looked if one.alignment), ""),
        )

    @classmethod
    def recipe(cls, view: str) -> View:
        return cls.recipes[view]

    @classmethod
    def weights_and_view(cls, weights: Path | None, views: Sequence[str]) -> tuple[Path, View]:
        """The checked arguments of :meth:`load`. Raises TlbenchError without weights, or unless there is one view."""
        if weights is None:
            raise TlbenchError(f"{cls.name} needs a checkpoint; see `tlbench checkpoints list`, and pass --weights")
        if len(views) != 1:
            raise TlbenchError(f"{cls.name} uses one view per run; got {', '.join(views) or 'none'}")
        return weights, cls.recipes[views[0]]

    @classmethod
    def check_side(cls, view: View, side: int) -> None:
        """Raises TlbenchError if the view does not give pictures of ``side`` pixels, the network's input size."""
        if shown_side(view) != side:
            fitting = [name for name, recipe in cls.recipes.items() if shown_side(recipe) == side]
            way_out = f"choose --view {cls.name}={' or '.join(fitting)}" if fitting else "no view fits it"
            raise TlbenchError(
                f"{cls.name}: this network sees pictures of {side} pixels, view {view.id} shows {shown_side(view)}; "
                f"{way_out}"
            )


def shown_side(view: View) -> int:
    """Side in pixels of a view's square pictures."""
    sized = (CenterCrop, Resize, ResizeAntialiased)
    return next(step.height for step in reversed(view.steps) if isinstance(step, sized))


class Crops:
    """The crops of one video by a view."""

    def __init__(self, view: View) -> None:
        self.frames = 0
        self._stream = open_view(view)
        self._chunks: list[np.ndarray] = []

    def take(self, frames: FrameChunk, boxes: np.ndarray | None, placements: np.ndarray | None = None) -> None:
        """Crop the next frames. Boxes and placements may have more rows: they cover the longer of both videos."""
        self.frames += len(frames)
        boxes, placements = (None if rows is None else rows[: len(frames)] for rows in (boxes, placements))
        self._chunks.append(self._stream.apply(frames, boxes, placements))

    def __getstate__(self) -> dict[str, Any]:
        """Without the view's decoders: crops that go to another process are all there."""
        return {"frames": self.frames, "_chunks": self._chunks}

    def all(self, clip_id: str) -> np.ndarray:
        """The crops of all frames. Raises ClipError ``no-frames`` if there are none."""
        if not self.frames:
            raise ClipError("no-frames", f"clip {clip_id}: no frame to read; look at the file")
        return np.concatenate(self._chunks)


def read_together(
    states: Sequence[ClipState],
    kind: type[OneState],
    prepare: Callable[[OneState], Prepared],
    read: Callable[[Sequence[OneState], Sequence[Prepared]], Sequence[Evidence]],
) -> list[Evidence | ClipError]:
    """Prepare each clip, and read together those that can be read. Implements :meth:`Observer.compute`.

    Parameters
    ----------
    states : sequence of ClipState
        All of type ``kind``.
    prepare : callable
        From a state to the network's input; raises ClipError if the clip can't be read.
    read : callable
        From states and their inputs to their evidence, in order. Not called for an empty batch.
    """
    outcomes: dict[int, Evidence | ClipError] = {}
    ready: dict[int, tuple[OneState, Prepared]] = {}
    for index, state in enumerate(states):
        assert isinstance(state, kind)
        try:
            ready[index] = (state, prepare(state))
        except ClipError as error:
            outcomes[index] = error
    if ready:
        found = read([state for state, _ in ready.values()], [prepared for _, prepared in ready.values()])
        outcomes |= dict(zip(ready, found, strict=True))
    return [outcomes[index] for index in range(len(states))]

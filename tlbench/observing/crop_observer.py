"""The common part of observers of one crop of :mod:`tlbench.media.crops`: the face, or the whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tlbench.media.crops import CROP_IDS, CROPS
from tlbench.media.views import View
from tlbench.observing.cropping import crop_needs
from tlbench.observing.observer import Needs, Observer


class CropObserver(Observer):
    """An observer whose views are the crops, one of them a run."""

    views: ClassVar[dict[str, str]] = CROP_IDS

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """The class's ``needs``, with the boxes of the crop; none for the whole frame."""
        return crop_needs(cls.needs, CROPS[views[0]])

    @classmethod
    def recipe(cls, view: str) -> View:
        """The steps of the crop."""
        return CROPS[view]

"""How faces are found and which one is followed, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tlbench.checkpoints.weights import Weights
from tlbench.observing.face_boxes import BoxRule, GuideSource, choose_rule


@dataclass(frozen=True)
class FaceOptions:
    """The options that decide where the face is in each frame.

    Attributes
    ----------
    detector : str
        ``s3fd``, ``blazeface``, ``haar``, or ``auto``: s3fd if its checkpoint is there, else blazeface.
    smooth : int
        Width in frames of a running median over detected boxes, 0 or odd; 0 as published.
    face : str
        Which face `sound` numbers follow where there are several: ``largest``, ``central``, or its number from the
        left; see :func:`tlbench.media.people.find_people`.
    boxes_from : "reference" or "generated"
        The video in which faces and landmarks are searched. With ``reference`` a bad generated face can't move its own
        crop; every published number is made that way.
    """

    detector: str = "auto"
    smooth: int = 0
    face: str = "largest"
    boxes_from: GuideSource = "reference"

    def rule(
        self, fixed_box: tuple[int, int, int, int] | None, weights: Mapping[str, Path]
    ) -> tuple[BoxRule, Weights | None]:
        """The rule of a run, and the detector's checkpoint if it has one; see :func:`choose_rule`."""
        return choose_rule(fixed_box, self.detector, self.smooth, weights, self.boxes_from, self.face)


DEFAULT_FACES = FaceOptions()

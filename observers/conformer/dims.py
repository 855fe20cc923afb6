"""The dimensions of a Conformer: the published ones, or those of a network trained with tlbench."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.observing.espnet_dims import EspnetDims


@dataclass(frozen=True)
class Dims(EspnetDims):
    """The defaults are the published network's: ``evaluation/conformer_arg.txt`` and ``models/visual_frontend.py`` of
    Sxjdwang/TalkLip, and espnet 0.10.6 where these state nothing."""

    @property
    def features(self) -> int:
        """Width of the visual front end's output, 512 as published."""
        return 8 * self.visual_width


PUBLISHED = Dims()

"""The dimensions of an I3D: the published ones, or those of a small network for tests."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.checkpoints.dims import NetworkDims


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The defaults are the published network's.

    Attributes
    ----------
    frames : int
        Of a window.
    side : int
        Height and width of a picture, in pixels.
    divisor : int
        All numbers of channels are divided by it, but those of pictures and logits: 1 as published.
    classes : int
        Number of logits.

    Raises
    ------
    ValueError
        If the frames are no multiple of 8, the side none of 32, or the divisor is none of 1, 2, 4, 8, 16.
    """

    frames: int = 16
    side: int = 224
    divisor: int = 1
    classes: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.frames or self.frames % 8 or not self.side or self.side % 32:
            raise ValueError(f"windows of {self.frames} frames of side {self.side}: multiples of 8 and 32 are needed")
        if self.divisor not in (1, 2, 4, 8, 16) or not self.classes:
            raise ValueError(f"divisor {self.divisor} is none of 1, 2, 4, 8, 16, or there are no classes")


PUBLISHED = Dims()

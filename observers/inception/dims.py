"""The dimensions of an Inception-v3: the published ones, or those of a small network for tests."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.checkpoints.dims import NetworkDims

SMALLEST_SIDE = 75  # pixels: with fewer, the last layers have no pixel left


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The defaults are the published network's.

    Attributes
    ----------
    side : int
        Height and width of the picture that the network takes, in pixels.
    divisor : int
        All numbers of channels are divided by it: 1 as published.

    Raises
    ------
    ValueError
        If the side is below 75 pixels, or the divisor is none of 1, 2, 4, 8, 16.
    """

    side: int = 299
    divisor: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side < SMALLEST_SIDE:
            raise ValueError(f"side {self.side} is below {SMALLEST_SIDE} pixels")
        if self.divisor not in (1, 2, 4, 8, 16):
            raise ValueError(f"divisor {self.divisor} is none of 1, 2, 4, 8, 16")

    @property
    def features(self) -> int:
        """Number of features of a picture: 2,048 as published."""
        return 2048 // self.divisor


PUBLISHED = Dims()

"""The dimensions of an MVM: the published ones, or those of a network trained with tlbench."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.checkpoints.dims import LipReaderDims


@dataclass(frozen=True)
class Dims(LipReaderDims):
    """The defaults are the published network's: ``src/models`` and ``train.py`` of
    ms-dot-k/Multi-head-Visual-Audio-Memory.

    Attributes
    ----------
    hearing_width : int
        Channels of the audio front end's first layer; the other layers have twice as many.
    features : int
        Width of a frame's visual and audio features, and of a memory slot's value.
    slots, heads : int
        Slots and heads of each memory.
    branch : int
        Channels of each of the three branches of a temporal layer.
    words : int
        Number of words that the network classifies.

    Raises
    ------
    ValueError
        If a dimension is not a whole number above 0, or the dimensions do not fit together.
    """

    hearing_width: int = 128
    features: int = 512
    slots: int = 112
    heads: int = 8
    branch: int = 256
    words: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features % self.heads:
            raise ValueError(f"features {self.features} must be divisible by the {self.heads} heads")

    @property
    def rest(self) -> int:
        """Height and width of the last feature map of the visual front end, 4 as published."""
        return -(-self.side // 32)


PUBLISHED = Dims()

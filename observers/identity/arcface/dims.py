"""The dimensions of an ArcFace network: those of its ResNet-50, or of a small network for tests."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.checkpoints.dims import NetworkDims

STAGES = 4
SIDE = 112  # pixels of an aligned face


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The defaults are those of ResNet-50 as insightface counts it.

    Attributes
    ----------
    blocks : tuple of int
        Of each of the four stages.
    channels : tuple of int
        Of each stage.
    features : int
        Of an embedding.

    Raises
    ------
    ValueError
        If there are not four stages, or one of them is empty.
    """

    blocks: tuple[int, ...] = (3, 4, 14, 3)
    channels: tuple[int, ...] = (64, 128, 256, 512)
    features: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.blocks) != STAGES or len(self.channels) != STAGES:
            raise ValueError(f"{len(self.blocks)} stages with {len(self.channels)} numbers of channels, not {STAGES}")
        if not (self.features and all(self.blocks) and all(self.channels)):
            raise ValueError(f"stages of {self.blocks} blocks, {self.channels} channels, {self.features} features")

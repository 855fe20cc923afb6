"""The dimensions of an auto_avsr network: the published ones, or those of a network trained with tlbench."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tlbench.checkpoints.dims import NetworkDims

NARROWEST = 8  # channels of the first stage


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The defaults are the published networks' (mpc001/auto_avsr ``espnet/nets/pytorch_backend/e2e_asr_conformer.py``).

    Attributes
    ----------
    side : int
        Height and width of a crop, in pixels.
    visual_width : int
        Channels of the visual front end's first stage, 8 or more; the last stage has 8 times as many.
    width, heads : int
        Features and attention heads of encoder and decoder.
    hidden : int
        Width of the feed-forward layers.
    kernel : int
        Kernel of the encoder's convolutions in frames, an odd number.
    encoder_blocks, decoder_blocks : int
    vocabulary : int
        Tokens: the blank, the pieces, and the mark of both ends.

    Raises
    ------
    ValueError
        If a dimension is not a whole number above 0, or the dimensions do not fit together.
    """

    side: int = 88
    visual_width: int = 64
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    kernel: int = 31
    encoder_blocks: int = 12
    decoder_blocks: int = 6
    vocabulary: int = 5049

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(asdict(self).values()):
            raise ValueError(f"every dimension must be a whole number above 0; got {asdict(self)}")
        if self.visual_width < NARROWEST:
            raise ValueError(f"visual_width {self.visual_width} is too small; use {NARROWEST} or more")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width {self.width} must be even and divisible by the {self.heads} heads")
        if not self.kernel % 2:
            raise ValueError(f"kernel {self.kernel} must be an odd number of frames")
        if self.vocabulary < 3:
            raise ValueError(f"vocabulary {self.vocabulary} must have a blank, a piece and the end mark")


PUBLISHED = Dims()

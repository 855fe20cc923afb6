"""The dimensions of the networks that :mod:`tlbench.observing.espnet_layers` has the layers of."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.checkpoints.dims import LipReaderDims


@dataclass(frozen=True)
class EspnetDims(LipReaderDims):
    """A visual front end, a Conformer encoder and a Transformer decoder. The defaults are those of TalkLip's Conformer.

    Attributes
    ----------
    width, heads : int
        Features and attention heads of encoder and decoder (``adim``, ``aheads``).
    hidden : int
        Width of the feed-forward layers (``eunits``).
    kernel : int
        Kernel of the encoder's convolutions in frames, an odd number (``cnn_module_kernel``).
    encoder_blocks, decoder_blocks : int
        ``elayers``, ``dlayers``.

    Raises
    ------
    ValueError
        If a dimension can't be used, or the dimensions do not fit together.
    """

    width: int = 256
    heads: int = 4
    hidden: int = 2048
    kernel: int = 31
    encoder_blocks: int = 12
    decoder_blocks: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width {self.width} must be even and divisible by the {self.heads} heads")
        if not self.kernel % 2:
            raise ValueError(f"kernel {self.kernel} must be an odd number of frames")

"""The dimensions of a Conformer: the published ones, or those of a network trained with tlbench."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tlbench.checkpoints.dims import NetworkDims

# Channels. In the backward pass of a narrower strided 1x1 convolution in channels-last memory, PyTorch 2.13 on a CPU
# writes beyond its buffer.
NARROWEST = 8


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The defaults are the published network's: ``evaluation/conformer_arg.txt`` and ``models/visual_frontend.py`` of
    Sxjdwang/TalkLip, and espnet 0.10.6 where these state nothing.

    Attributes
    ----------
    side : int
        Height and width of a crop, in pixels.
    visual_width : int
        Channels of the visual front end's first stage, 8 or more; the last stage has 8 times as many.
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
        If a dimension is not a whole number above 0, or the dimensions do not fit together.
    """

    side: int = 112
    visual_width: int = 64
    width: int = 256
    heads: int = 4
    hidden: int = 2048
    kernel: int = 31
    encoder_blocks: int = 12
    decoder_blocks: int = 6

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

    @property
    def features(self) -> int:
        """Width of the visual front end's output, 512 as published."""
        return 8 * self.visual_width


PUBLISHED = Dims()

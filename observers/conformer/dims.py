"""The sizes of a Conformer: as published, or of our own small networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# Of channels. On the way back through a narrower 1x1 convolution with a stride, channels last in memory, PyTorch 2.13
# on a CPU writes beyond its memory.
NARROWEST = 8


@dataclass(frozen=True)
class Dims:
    """Sizes that decide the arithmetic. The defaults are those of ``evaluation/conformer_arg.txt`` and
    ``models/visual_frontend.py`` (Sxjdwang/TalkLip), and of espnet 0.10.6 where these say nothing.

    Attributes
    ----------
    side : int
        Pixels of the square pictures.
    visual_width : int
        Channels of the visual front end's first stage, 8 or more; the last has 8 times those.
    width, heads : int
        ``adim``, ``aheads``: of encoder and decoder.
    hidden : int
        ``eunits``: of the feed-forward layers.
    kernel : int
        Frames that the encoder's convolutions see at once, an odd number (``cnn_module_kernel``).
    encoder_blocks, decoder_blocks : int
        ``elayers``, ``dlayers``.

    Raises
    ------
    ValueError
        If a size is not a whole number above 0, or some do not fit together.
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
        if not all(type(size) is int and size > 0 for size in asdict(self).values()):
            raise ValueError(f"sizes are whole numbers above 0; got {asdict(self)}")
        if self.visual_width < NARROWEST:
            raise ValueError(f"a visual width of {self.visual_width} is too narrow; take {NARROWEST} or more")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"a width of {self.width} has to be even and to be shared by {self.heads} heads")
        if not self.kernel % 2:
            raise ValueError(f"a kernel of {self.kernel} frames has no middle; take an odd number")

    @property
    def features(self) -> int:
        """What the visual front end says of a frame: 512 numbers as published."""
        return 8 * self.visual_width

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dims:
        """The inverse of :meth:`to_json`; what is left out is as published.

        Raises TypeError on unknown fields, ValueError on sizes that can't be.
        """
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        if unknown:
            raise TypeError(f"unknown size {unknown[0]!r}")
        return cls(**data)


PUBLISHED = Dims()

"""The sizes of an MVM: as published, or of our own small networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# Of channels. On the way back through a narrower 1x1 convolution with a stride, channels last in memory, PyTorch 2.13
# on a CPU writes beyond its memory.
NARROWEST = 8


@dataclass(frozen=True)
class Dims:
    """Sizes that decide the arithmetic. The defaults are those of ms-dot-k/Multi-head-Visual-Audio-Memory
    (``src/models``, ``train.py``).

    Attributes
    ----------
    side : int
        Pixels of the square pictures.
    visual_width : int
        Channels of the visual front end's first stage, 8 or more; the last has 8 times those.
    hearing_width : int
        Channels of the audio front end's first layer; the others have twice those.
    features : int
        Of a frame, seen or heard, and of a slot's value.
    slots, heads : int
        Of each memory.
    branch : int
        Channels of each of the three branches of the classifier's layers.
    words : int
        How many there are to choose from.

    Raises
    ------
    ValueError
        If a size is not a whole number above 0, or some do not fit together.
    """

    side: int = 112
    visual_width: int = 64
    hearing_width: int = 128
    features: int = 512
    slots: int = 112
    heads: int = 8
    branch: int = 256
    words: int = 500

    def __post_init__(self) -> None:
        if not all(type(size) is int and size > 0 for size in asdict(self).values()):
            raise ValueError(f"sizes are whole numbers above 0; got {asdict(self)}")
        if self.visual_width < NARROWEST:
            raise ValueError(f"a visual width of {self.visual_width} is too narrow; take {NARROWEST} or more")
        if self.features % self.heads:
            raise ValueError(f"{self.features} features can't be shared by {self.heads} heads")

    @property
    def rest(self) -> int:
        """Pixels a side that are left where the visual front end ends: 4 as published."""
        return -(-self.side // 32)

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

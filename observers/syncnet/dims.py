"""The sizes of a SyncNet: as published, or of our own small networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

LAYERS = 6  # convolutions of each tower


@dataclass(frozen=True)
class Dims:
    """Sizes that decide the arithmetic. The defaults are those of joonson/syncnet_python ``SyncNetModel.py``.

    Attributes
    ----------
    side : int
        Pixels of the square pictures.
    colours : int
        3: blue, green and red from 0 to 255, as published. 1: grey, as its view normalises it.
    lips, speech : tuple of 6 int
        Channels of the convolutions of each tower.
    second_stride : int
        Of the lip tower's second convolution: 2 as published, 1 where pictures are small.
    hidden : int
        Width of the layer before the embedding.
    embedding : int
        Width of the embedding.
    norm : float
        Length that every embedding is brought to; 0 leaves it as it comes, as published. With a length, two embeddings
        that have nothing to do with each other lie ``sqrt(2) * norm`` apart.

    Raises
    ------
    ValueError
        If a size is not positive, a tower has not six layers, or nothing would be left of the pictures.
    """

    side: int = 224
    colours: int = 3
    lips: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    speech: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    second_stride: int = 2
    hidden: int = 512
    embedding: int = 1024
    norm: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.side, self.colours, self.second_stride, self.hidden, self.embedding, *self.lips, *self.speech)
        if not all(isinstance(size, int) and size > 0 for size in sizes) or self.norm < 0:
            raise ValueError(f"sizes are whole numbers above 0; got {asdict(self)}")
        if self.colours not in (1, 3):
            raise ValueError(f"pictures are grey (1) or coloured (3), not of {self.colours} colours")
        if len(self.lips) != LAYERS or len(self.speech) != LAYERS:
            raise ValueError(f"towers have {LAYERS} layers; got {len(self.lips)} and {len(self.speech)}")
        if self.rest < 1:
            raise ValueError(f"of pictures of {self.side} pixels nothing is left for the last layer; take larger ones")

    @property
    def rest(self) -> int:
        """Pixels a side that the last convolution of the lip tower covers at once: 6 as published."""
        side = (self.side - 7) // 2 + 1  # first convolution
        side = (side - 3) // 2 + 1  # pooling
        side = (side + 2 - 5) // self.second_stride + 1
        side = (side + 2 - 3) // 2 + 1
        return (side - 3) // 2 + 1

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dims:
        """The inverse of :meth:`to_json`; what is left out is as published.

        Raises TypeError on unknown fields or other kinds of values, ValueError on sizes that can't be.
        """
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        if unknown:
            raise TypeError(f"unknown size {unknown[0]!r}")
        given: dict[str, Any] = {**data, **{name: tuple(data[name]) for name in ("lips", "speech") if name in data}}
        return cls(**given)


PUBLISHED = Dims()

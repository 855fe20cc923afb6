"""The base classes of every network's ``Dims``: its dimensions as a dataclass, checked, to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from tlbench.errors import quoted

if TYPE_CHECKING:
    from typing_extensions import Self

# Far above the largest of any network that tlbench builds, a dictionary of 65,536 entries or so.
LARGEST_SIZE = 2**20
LONGEST_LIST = 64  # sizes in a list, such as the channels of a tower's layers


@dataclass(frozen=True)
class NetworkDims:
    """The dimensions that decide a network's arithmetic. Packages store them as JSON.

    Raises
    ------
    ValueError
        If a dimension is not of its type, a count not a whole number from 0 to :data:`LARGEST_SIZE`, or a factor not
        finite. The message names the dimension.
    """

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if wanted := _misfit(kind, getattr(self, name)):
                raise ValueError(f"size {name} is {quoted(getattr(self, name))}, not {wanted}")

    def to_json(self) -> dict[str, Any]:
        """A JSON object with every dimension."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`; what is missing has its default.

        Raises
        ------
        TypeError
            If a dimension is unknown, or one without a default is missing.
        ValueError
            If a dimension can't be used, or the dimensions do not fit together.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"sizes are a JSON object, not {quoted(data)}")
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        if unknown:
            raise TypeError(f"unknown size {quoted(unknown[0])}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})


@dataclass(frozen=True)
class LipReaderDims(NetworkDims):
    """Those of a network that begins with a ResNet-18 over crops of a mouth, as published. All are above 0.

    Attributes
    ----------
    side : int
        Height and width of a crop, in pixels.
    visual_width : int
        Channels of the visual front end's first stage; the last stage has 8 times as many.

    Raises
    ------
    ValueError
        If a dimension is not a whole number above 0.
    """

    side: int = 112
    visual_width: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(asdict(self).values()):
            raise ValueError(f"every dimension must be a whole number above 0; got {asdict(self)}")


def _misfit(kind: Any, value: object) -> str:
    """What a dimension of this type should be, if it is not; "" if it is."""
    if kind is int:
        fits = type(value) is int and 0 <= value <= LARGEST_SIZE
        return "" if fits else f"a whole number from 0 to {LARGEST_SIZE:,}"
    if kind is float:
        finite = isinstance(value, float) and math.isfinite(value)
        whole = type(value) is int and abs(value) <= LARGEST_SIZE
        return "" if finite or whole else "a finite number"
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else f"one of {', '.join(map(str, get_args(kind)))}"
    counts = isinstance(value, tuple) and len(value) <= LONGEST_LIST and not any(_misfit(int, one) for one in value)
    return "" if counts else f"a list of at most {LONGEST_LIST} whole numbers from 0 to {LARGEST_SIZE:,}"

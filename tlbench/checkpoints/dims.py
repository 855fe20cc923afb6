"""The base class of every network's ``Dims``: its dimensions as a dataclass, to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class NetworkDims:
    """The dimensions that decide a network's arithmetic. Packages store them as JSON."""

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
            If the dimensions do not fit together.
        """
        unknown = sorted(set(data) - {field.name for field in fields(cls)})
        if unknown:
            raise TypeError(f"unknown size {unknown[0]!r}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})

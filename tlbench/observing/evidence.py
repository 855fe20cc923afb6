"""Evidence: what one observer says of one clip, complete enough that no model is needed again."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np

Value: TypeAlias = "float | int | str | bool | list[str] | np.ndarray | None"


@dataclass(frozen=True)
class Evidence:
    """What one observer saw in one clip.

    Attributes
    ----------
    observer : str
        Name of the observer, as in the registry.
    values : mapping of str to number, text, list of text, or array
        The findings. Arrays keep one number a frame or window (float32, float64 or integer).
    """

    observer: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """The scalar finding ``name`` as a float. Raises KeyError if the observer did not report it."""
        return float(self.values[name])  # type: ignore[arg-type]

    def array(self, name: str) -> np.ndarray:
        """The array finding ``name``. Raises KeyError if the observer did not report it."""
        return np.asarray(self.values[name])

    def to_json(self) -> dict[str, Any]:
        """A JSON object; arrays as ``{"dtype", "shape", "base64"}`` in little-endian bytes, exact.

        Raises ValueError on a value of another kind: it would not come back as it was.
        """
        return {"observer": self.observer, "values": {k: _encode(k, v) for k, v in self.values.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """The inverse of :meth:`to_json`. Raises KeyError or ValueError on a malformed object."""
        return cls(str(data["observer"]), {str(k): _decode(v) for k, v in data["values"].items()})


def _encode(name: str, value: Value | np.generic) -> Any:
    if isinstance(value, np.ndarray):
        array = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"evidence {name!r}: arrays of {array.dtype} can't be stored")
        return {
            "dtype": array.dtype.str.lstrip("<|="),
            "shape": list(array.shape),
            "base64": base64.b64encode(array.tobytes()).decode("ascii"),
        }
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}  # inf and nan are not JSON
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    if texts or value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"evidence {name!r}: a {type(value).__name__} can't be stored; give numbers, texts or an array")


def _decode(value: Any) -> Value:
    if isinstance(value, dict) and "float" in value:
        return float(value["float"])
    if isinstance(value, dict):
        dtype = np.dtype("<" + value["dtype"])
        if dtype.kind not in "fiub":
            raise ValueError(f"evidence of dtype {dtype} is not read")
        array: np.ndarray = np.frombuffer(base64.b64decode(value["base64"]), dtype=dtype)
        return np.array(array.reshape(value["shape"]))
    return cast(Value, value)

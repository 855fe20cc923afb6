"""Evidence: what an observer returns for a clip, complete enough that no model is needed again."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, quoted
from tlbench.json_fields import count, entries_of, fields_of, name_text, text
from tlbench.observing.clip_info import ClipInfo
from tlbench.preflight.findings import Finding

MOST_DIMENSIONS = 8
# Numbers of arrays: floats, whole numbers with and without a sign, truth values, by their bytes.
DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
MOST_TEXTS = 1_000_000  # of a list of texts

NOT_FINITE = "not-finite"  # code of the error of a clip for which an observer gives NaN or infinities

Value: TypeAlias = "float | int | str | bool | list[str] | np.ndarray | None"


@dataclass(frozen=True)
class Evidence:
    """What one observer returned for one clip.

    Attributes
    ----------
    observer : str
        Name of the observer, as in the registry.
    values : mapping of str to number, text, list of text, or array
        The numbers, texts and arrays. Arrays hold one number per frame or window (float32, float64 or integer).
    finite : bool
        Whether what the values were decoded from was finite. An observer whose words or ranks are made of logits says
        so here; in values that are numbers themselves it is seen (:func:`first_not_finite`). Not in files:
        evidence that is not finite is not kept.
    """

    observer: str
    values: Mapping[str, Value] = field(default_factory=dict)
    finite: bool = field(default=True, compare=False)

    def number(self, name: str) -> float:
        """The number ``name`` as a float. Raises KeyError if the observer did not return it."""
        return float(self.values[name])  # type: ignore[arg-type]

    def array(self, name: str) -> np.ndarray:
        """The array ``name``. Raises KeyError if the observer did not return it."""
        return np.asarray(self.values[name])

    def to_json(self) -> dict[str, Any]:
        """A JSON object; arrays as ``{"dtype", "shape", "base64"}`` in little-endian bytes, exact.

        Raises ValueError for a value of another kind, which could not be read back unchanged.
        """
        return {"observer": self.observer, "values": {k: _encode(k, v) for k, v in self.values.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """The inverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError on a malformed object."""
        observer = name_text(data["observer"], "observer")
        return cls(observer, {key: _decode(key, value) for key, value in fields_of(data["values"], "values").items()})


@dataclass(frozen=True)
class Observation:
    """The result of all observers for one clip: evidence, or the reason why there is none.

    Attributes
    ----------
    clip : Clip
        With the paths of its files.
    info : ClipInfo
        Without paths. ``frames`` is None if the generated video was not decoded to the end.
    evidence : dict of observer name to Evidence
    failures : dict of observer name to ClipError
        Each observer of the plan is in one of the two.
    findings : tuple of Finding
        Of the checks, each with the observers it concerns.
    cached : int
        How many observers' evidence came from the cache.
    processor : str
        The type of the processor, if another machine may have computed for the clip; empty if it was this one, or if
        nothing was computed.
    real : Observation or None
        Of the clip's real video as a clip of its own, by the observers of sets, if the plan names it.
    """

    clip: Clip
    info: ClipInfo
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: dict[str, ClipError] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    cached: int = 0
    processor: str = ""
    real: Observation | None = None

    @property
    def from_cache(self) -> bool:
        """Whether all of its evidence came from the cache, so that the clip took no time."""
        return 0 < self.cached == len(self.evidence)


def check_finite(evidence: Evidence, clip_id: str) -> None:
    """Raises ClipError ``not-finite`` if a number of the evidence, or one that it was decoded from, is NaN or infinite.

    The message names the first such value.
    """
    name = first_not_finite(evidence)
    if name is not None:
        raise ClipError(
            NOT_FINITE,
            f"clip {clip_id}: {evidence.observer} gives a {name} that is NaN or infinite; its checkpoint is "
            "damaged, or does not fit such videos",
        )


def first_not_finite(evidence: Evidence) -> str | None:
    """Name of the first value that is not finite, or that it is the network's output; None if all are finite."""
    if not evidence.finite:
        return "network output"
    return next((name for name, value in evidence.values.items() if not _is_finite(value)), None)


def _is_finite(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    return not isinstance(value, (float, np.floating)) or math.isfinite(value)


def _encode(name: str, value: Value | np.generic) -> Any:
    if isinstance(value, np.ndarray):
        array = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
        dtype = array.dtype.str.lstrip("<|=")
        if dtype not in DTYPES:
            raise ValueError(f"evidence {name!r}: arrays of {array.dtype} can't be stored")
        return {
            "dtype": dtype,
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


def _decode(name: str, value: Any) -> Value:
    if isinstance(value, dict) and "float" in value:
        return float(value["float"])
    if isinstance(value, dict):
        if value["dtype"] not in DTYPES:
            raise ValueError(f"evidence of dtype {quoted(value['dtype'])} is not read")
        dtype = np.dtype("<" + value["dtype"])
        shape = tuple(count(size, "shape") for size in entries_of(value["shape"], "shape", most=MOST_DIMENSIONS))
        array: np.ndarray = np.frombuffer(base64.b64decode(value["base64"], validate=True), dtype=dtype)
        return np.array(array.reshape(shape))
    if isinstance(value, list):
        return [_decode_text(name, item) for item in entries_of(value, name, most=MOST_TEXTS)]
    return value if value is None or isinstance(value, (bool, int, float)) else _decode_text(name, value)


def _decode_text(name: str, value: Any) -> str:
    """A text, which may be empty: nothing was read."""
    return "" if value == "" else text(value, f"evidence {quoted(name)}")

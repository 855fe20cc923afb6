"""Protocols: how a number was made, as an id that is kept with the number.

Two rows of a table are ranked together only if their ids are equal. People can read the id, and :meth:`Protocol.parse`
can parse it::

    lse_c[lrs2:test/syncnet-whole@1/pyav-25fps@1/clips/paper/w:961e8696f888]@1
    psnr[lrs2:test#limit=20/face-96@1/pyav-25fps@1/b:blazeface/frames/paper]@1

that is
``metric[data set:split#selection/view/decoding/b:boxes/aggregation/arithmetic/r:rule/n:numbers/w:weights]@version``,
where ``#selection``, ``b:boxes``, ``r:rule``, ``n:numbers`` and ``w:weights`` are left out if there are none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from urllib.parse import quote, unquote

from tlbench.errors import quoted
from tlbench.metrics.metric import Metric

WEIGHTS_DIGITS = 12  # of the SHA-256: 48 bits are enough to tell checkpoints apart
_SAFE = "@+~=,._-"  # characters that are not escaped in an id, besides letters and digits
_ID = re.compile(r"(?P<metric>[^\[\]/]+)\[(?P<body>[^\[\]]+)\]@(?P<version>0|[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Protocol:
    """How one number was made.

    Attributes
    ----------
    metric : str
        The metric's name, without its arithmetic.
    version : int
        The metric's version.
    dataset, split : str
    view : str
        Id of the observer's view, such as ``syncnet-whole@1``.
    decoding : str
        Id of the decoding of files to frames and samples.
    aggregation, arithmetic : str
        Of the metric: what the mean is taken over, and ``paper`` or ``sound``.
    selection : str or None
        The part of the split, as :func:`selection_mark` writes it; None for all of it.
    boxes : str or None
        Where face boxes come from: ``blazeface``, ``haar``, ``s3fd:<hash>``, ``given``, ``fixed:...``; None if none are
        used.
    weights : str or None
        The first twelve hex digits of the checkpoint's SHA-256; None without a checkpoint.
    numbers : str or None
        The number type of the network if it is not float32: ``bfloat16``.
    rule : str or None
        The metric's limits, such as the range of shifts; None if it has none.

    Raises
    ------
    ValueError
        If a field is empty or not of its form.
    """

    metric: str
    version: int
    dataset: str
    split: str
    view: str
    decoding: str
    aggregation: str
    arithmetic: str
    selection: str | None = None
    boxes: str | None = None
    weights: str | None = None
    numbers: str | None = None
    rule: str | None = None

    def __post_init__(self) -> None:
        for name in ("metric", "dataset", "split", "view", "decoding", "aggregation", "arithmetic"):
            if not getattr(self, name):
                raise ValueError(f"protocol: {name} is empty")
        if "" in (self.selection, self.boxes, self.numbers, self.rule):
            raise ValueError("protocol: no selection, boxes or rule and full precision are None, not an empty text")
        if not 0 <= self.version < 10**9:
            raise ValueError(f"protocol: version {self.version} is not a small whole number")
        if self.weights is not None and not re.fullmatch(rf"[0-9a-f]{{{WEIGHTS_DIGITS}}}", self.weights):
            raise ValueError(f"protocol: weights {quoted(self.weights)} are not {WEIGHTS_DIGITS} hex digits")

    @classmethod
    def of(
        cls,
        metric: Metric,
        *,
        dataset: str,
        split: str,
        view: str,
        decoding: str,
        selection: str | None = None,
        boxes: str | None = None,
        weights_sha256: str | None = None,
        numbers: str | None = None,
    ) -> Protocol:
        """The protocol of a metric in a run. ``weights_sha256`` is the hash or its first 12 digits or more."""
        return cls(
            metric.name,
            metric.version,
            dataset,
            split,
            view,
            decoding,
            metric.aggregation,
            metric.arithmetic,
            selection,
            boxes,
            None if weights_sha256 is None else weights_sha256[:WEIGHTS_DIGITS],
            numbers,
            metric.rule or None,
        )

    @property
    def id(self) -> str:
        """The protocol as one line of text without spaces."""
        selection = "" if self.selection is None else "#" + _escape(self.selection)
        parts = [
            f"{_escape(self.dataset)}:{_escape(self.split)}{selection}",
            _escape(self.view),
            _escape(self.decoding),
        ]
        if self.boxes is not None:
            parts.append("b:" + quote(self.boxes, safe=_SAFE + ":"))
        parts += [_escape(self.aggregation), _escape(self.arithmetic)]
        if self.rule is not None:
            parts.append("r:" + _escape(self.rule))
        if self.numbers is not None:
            parts.append("n:" + _escape(self.numbers))
        if self.weights is not None:
            parts.append("w:" + self.weights)
        return f"{_escape(self.metric)}[{'/'.join(parts)}]@{self.version}"

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """The inverse of :attr:`id`. Raises ValueError if ``text`` is not exactly what ``id`` writes."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"not a protocol id: {quoted(text)}")
        parts = match["body"].split("/")
        weights = parts.pop().removeprefix("w:") if parts[-1].startswith("w:") else None
        numbers = unquote(parts.pop().removeprefix("n:")) if parts[-1:] and parts[-1].startswith("n:") else None
        rule = unquote(parts.pop().removeprefix("r:")) if parts[-1:] and parts[-1].startswith("r:") else None
        boxes = unquote(parts.pop(3).removeprefix("b:")) if len(parts) > 3 and parts[3].startswith("b:") else None
        if len(parts) != 5:
            raise ValueError(f"not a protocol id: {quoted(text)}")
        where, marked, selection = parts[0].partition("#")
        dataset, _, split = where.partition(":")
        view, decoding, aggregation, arithmetic = (unquote(part) for part in parts[1:])
        protocol = cls(
            metric=unquote(match["metric"]),
            version=int(match["version"]),
            dataset=unquote(dataset),
            split=unquote(split),
            view=view,
            decoding=decoding,
            aggregation=aggregation,
            arithmetic=arithmetic,
            selection=unquote(selection) if marked else None,
            boxes=boxes,
            weights=weights,
            numbers=numbers,
            rule=rule,
        )
        if protocol.id != text:  # otherwise two spellings of one protocol would count as different
            raise ValueError(f"not a protocol id: {quoted(text)}; it should read {quoted(protocol.id)}")
        return protocol


def differing_fields(protocols: Iterable[Protocol]) -> list[str]:
    """Names of the fields in which protocols differ, in the order of :class:`Protocol`."""
    given = list(protocols)
    return [f.name for f in fields(Protocol) if len({getattr(protocol, f.name) for protocol in given}) > 1]


def _escape(text: str) -> str:
    return quote(text, safe=_SAFE)


SHORT = "short"  # videos that stop early were scored (--allow-short)


def selection_mark(
    subset: Iterable[str] | None = None, limit: int | None = None, *, short: bool = False, drive: str | None = None
) -> str | None:
    """Short text for the selected part of a split; None for the whole split.

    Parameters
    ----------
    subset : iterable of clip ids or None
        Written as a hash of the sorted ids, so that the same list in another file gives the same protocol.
    limit : int or None
        Number of clips that were kept, from the first, after ``subset``.
    short : bool
        Whether videos that stop early were scored (``--allow-short``).
    drive : str or None
        SHA-256 of the drive whose clips they are, which says which clips and what sound; its first 12 digits are kept.
    """
    marks = [] if drive is None else [f"drive={drive[:WEIGHTS_DIGITS]}"]
    if subset is not None:
        marks.append("subset=" + hashlib.sha256("\n".join(sorted(subset)).encode()).hexdigest()[:WEIGHTS_DIGITS])
    if limit is not None:
        marks.append(f"limit={limit}")
    if short:
        marks.append(SHORT)
    return ",".join(marks) or None

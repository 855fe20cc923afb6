"""Small results with known numbers, for tests of the results room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from tlbench.metrics.metric import Arithmetic, Direction, Metric, as_is
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import ErrorTally, HitTally, MeanTally, Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.record import ClipRecord
from tlbench.scoring.result import Result, Role
from tlbench.statistics import IntervalSettings

QUICK = IntervalSettings(resamples=200)


def decibels(mse: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(255**2 / mse))


def mean_of(name: str) -> Callable[[Evidence], Tally]:
    def tally(evidence: Evidence) -> Tally:
        values = np.atleast_1d(evidence.array(name))
        return MeanTally(float(values.sum()), len(values))

    return tally


def _errors(evidence: Evidence) -> Tally:
    return ErrorTally(*(int(number) for number in evidence.array("edits")))


def _hit(evidence: Evidence) -> Tally:
    return HitTally(int(evidence.number("hit")), 1)


def metric(
    name: str = "level",
    arithmetic: Arithmetic = "sound",
    *,
    tally: Callable[[Evidence], Tally] | None = None,
    better: Direction = "higher",
    label: str | None = None,
    unit: str = "",
    digits: int = 2,
    scale: float = 1.0,
    version: int = 1,
    headline: bool = True,
    finish: Callable[[np.ndarray], np.ndarray] = as_is,
) -> Metric:
    return Metric(
        name=name,
        arithmetic=arithmetic,
        label=label or name,
        observer="eye",
        view="whole",
        unit=unit,
        better=better,
        version=version,
        tally=tally or mean_of(name),
        description="for tests",
        aggregation="clips",
        scale=scale,
        headline=headline,
        digits=digits,
        finish=finish,
    )


LEVEL = metric()
PSNR = metric("mse", tally=mean_of("mse"), label="PSNR", unit="dB", finish=decibels)
WER = metric("wer", "paper", tally=_errors, better="lower", label="WER1", unit="%", scale=100.0, digits=1)
ACC = metric("acc", "paper", tally=_hit, label="ACC", unit="%", scale=100.0, digits=1)


def protocol_of(of: Metric, *, dataset: str = "toy", boxes: str | None = None) -> Protocol:
    return Protocol.of(of, dataset=dataset, split="test", view="whole@1", decoding="pyav-25fps@1", boxes=boxes)


def record(clip_id: str, values: Mapping[str, object], speaker: str | None = None) -> ClipRecord:
    own = sha256(clip_id.encode()).hexdigest()
    return ClipRecord(
        ClipInfo(clip_id, speaker, generated_sha256=own, reference_sha256="b" * 64),
        {"eye": Evidence("eye", values)},
    )  # type: ignore[arg-type]


def levels(numbers: Sequence[float], speakers: Sequence[str | None] | None = None) -> list[ClipRecord]:
    """One clip a number, observed as ``level``."""
    names = speakers or [None] * len(numbers)
    return [record(f"c{i:05d}", {"level": x}, s) for i, (x, s) in enumerate(zip(numbers, names, strict=True))]


def result(
    records: Sequence[ClipRecord],
    metrics: Sequence[Metric] = (LEVEL,),
    *,
    name: str = "wav2lip",
    role: Role = "system",
    expected: int | None = None,
    boxes: str | None = None,
    selection: str | None = None,
    settings: IntervalSettings = QUICK,
) -> Result:
    return aggregate(
        records,
        metrics,
        {m.key: protocol_of(m, boxes=boxes) for m in metrics},
        name=name,
        dataset="toy",
        split="test",
        expected=len(records) if expected is None else expected,
        selection=selection,
        role=role,
        interval=settings,
    )

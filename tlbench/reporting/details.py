"""Details of a clip from its record: transcripts word by word, and curves over time or offset.

All details come from stored evidence, without a model. Curves are stored with one byte a point: on a chart a hundred
pixels high, 254 steps between the least and the greatest value look exact, and 25,000 clips take only a few megabytes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import TypeAlias

import numpy as np

from tlbench.errors import ClipError, TlbenchError, shortened
from tlbench.json_fields import count
from tlbench.metrics.text import align_words, as_published
from tlbench.observing.evidence import Evidence
from tlbench.scoring.record import ClipRecord
from tlbench.scoring.result import ClipScore, Result

# A step of an alignment: a word that is equal in both texts, or [transcript, hypothesis] with 0 for no word.
Step: TypeAlias = "str | list[str | int]"
# Least value, greatest value, and base64 of one byte a point: 0 to 254 between the two, 255 for no value.
Curve: TypeAlias = "list[float | str]"

MOST_SHIFT = 10_000  # frames; SyncNet compares 15
LEVELS = 254
GAP = 255
IDENTICAL_DB = 100.0  # PSNR of identical frames in the mean of the metrics, and so the top of the chart
AGREEMENT = 1e-9  # relative, as between the values of a result and its tallies
_PEAK_SQUARED = 255.0**2


@dataclass(frozen=True)
class Chart:
    """A kind of curve: its ``name`` in details, its title, and its axis ``along`` (``frame`` or ``offset``)."""

    name: str
    title: str
    along: str
    unit: str = ""


_ARITHMETICS = {"common": "", "paper": " (published view)"}  # prefixes of the names in SyncNet's evidence
_REGIONS = ("face", "mouth", "frame")
CHARTS: tuple[Chart, ...] = (
    *(
        chart
        for arithmetic, mark in _ARITHMETICS.items()
        for chart in (
            Chart(f"{arithmetic}_mean_distance", f"Sync distance over offset{mark}", "offset"),
            Chart(f"{arithmetic}_window_confidence", f"Sync confidence{mark}", "frame"),
        )
    ),
    *(
        chart
        for region in _REGIONS
        for chart in (
            Chart(f"{region}_psnr", f"PSNR, {region}", "frame", "dB"),
            Chart(f"{region}_ssim", f"SSIM, {region}", "frame"),
        )
    ),
)

# Texts in evidence that are aligned with the transcript, and how they were decoded.
_HYPOTHESES = {
    "hypothesis": "",
    "free_hypothesis": "free beam search",
    "ctc_hypothesis": "CTC, greedy",
}
_FORCED = "teacher forcing"


@dataclass(frozen=True)
class Transcript:
    """A transcript aligned with the hypothesis of one observer. ``way`` says how it was decoded."""

    observer: str
    way: str
    steps: list[Step]


@dataclass(frozen=True)
class Detail:
    """Transcripts and curves of one clip."""

    readings: tuple[Transcript, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)


def details_of(records: Iterable[ClipRecord], result: Result) -> dict[str, Detail]:
    """The details of a result's clips by id.

    The records must be those that the result was made from. Each is tallied again and compared, so that no text is
    shown next to a number that it does not give.

    Raises
    ------
    TlbenchError
        If the records are of another run, a record was changed, or evidence is damaged; names the clip.
    """
    found: dict[str, Detail] = {}
    forced: dict[str, list[tuple[str, str, list[int]]]] = {}
    letters: dict[int, str] = {}
    for record in records:
        clip = result.by_id.get(record.id)
        if clip is None or record.id in found:
            raise TlbenchError(
                f"clip {shortened(record.id)}: {'not in the result' if clip is None else 'in the records twice'}; "
                f"{_REMEDY}"
            )
        check_record(record, clip, result)
        try:
            found[record.id] = Detail(
                tuple(reading for evidence in record.evidence.values() for reading in _readings(evidence)),
                {name: curve for evidence in record.evidence.values() for name, curve in _curves(evidence)},
            )
            forced[record.id] = list(_forced(record, letters))
        except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
            raise TlbenchError(
                f"clip {shortened(record.id)}: its evidence is damaged ({error}); score again"
            ) from error
    if len(found) < len(result.clips):
        absent = next(clip.id for clip in result.clips if clip.id not in found)
        raise TlbenchError(f"clip {absent}: in the result, but not in its records; {_REMEDY}")
    # All records are needed to know all letters.
    return {
        clip_id: Detail(
            (*detail.readings, *(_forced_transcript(*one, letters=letters) for one in forced[clip_id])),
            detail.curves,
        )
        for clip_id, detail in found.items()
    }


_REMEDY = "records and result are of different runs: `tlbench aggregate` makes the result again from the records"


def check_record(record: ClipRecord, clip: ClipScore, result: Result) -> None:
    """Raises TlbenchError if a record does not give the tallies of its clip in the result."""
    of_record, of_result = record.info, clip.info
    if (of_record.generated_sha256, of_record.reference_sha256) != (
        of_result.generated_sha256,
        of_result.reference_sha256,
    ):
        raise TlbenchError(f"clip {shortened(record.id)}: its record and its result are of different videos; {_REMEDY}")
    for metric in result.metrics:
        if metric.outdated:
            continue  # the evidence gives the newer version's number
        there, kept = record.evidence.keys() >= set(metric.evidence_names), clip.tallies.get(metric.key)
        try:
            tally = metric.tally(metric.of_parts(record.evidence)) if there else None
        except ClipError:
            tally = None
        except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
            raise TlbenchError(
                f"clip {shortened(record.id)}: its evidence for {metric.key} is damaged ({error}); score again"
            ) from error
        numbers = (0.0, 0.0) if tally is None else (tally.numerator, tally.denominator)
        stored = (0.0, 0.0) if kept is None else (kept.numerator, kept.denominator)
        if not all(isclose(x, y, rel_tol=AGREEMENT, abs_tol=1e-12) for x, y in zip(numbers, stored, strict=True)):
            raise TlbenchError(f"clip {shortened(record.id)}: record and result differ in {metric.key}; {_REMEDY}")


def steps_of(transcript: str, hypothesis: str) -> list[Step]:
    """Two texts aligned word by word, split into words as the published word error rate does."""
    return [
        step.reference if step.operation == "equal" and step.reference else [step.reference or 0, step.hypothesis or 0]
        for step in align_words(as_published(transcript), as_published(hypothesis))
    ]


def encode_curve(values: Sequence[float] | np.ndarray) -> Curve | None:
    """A curve (N,) for the page; None without a finite value."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"a curve has one number a point, got shape {numbers.shape}")
    finite = np.isfinite(numbers)
    if not finite.any():
        return None
    low, high = float(numbers[finite].min()), float(numbers[finite].max())
    span = high - low or 1.0
    levels = np.full(len(numbers), GAP, np.uint8)
    levels[finite] = np.rint((numbers[finite] - low) / span * LEVELS).astype(np.uint8)
    return [_short(low), _short(high), base64.b64encode(levels.tobytes()).decode("ascii")]


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _readings(evidence: Evidence) -> Iterable[Transcript]:
    values = evidence.values
    said = values.get("reference")
    if isinstance(said, str):
        for name, way in _HYPOTHESES.items():
            read = values.get(name)
            if isinstance(read, str):
                yield Transcript(evidence.observer, way, steps_of(said, read))
    words, named = values.get("words"), values.get("predicted")
    if isinstance(words, list) and isinstance(named, list) and len(words) == len(named):
        yield Transcript(
            evidence.observer,
            "",
            [word if word == other else [word, other] for word, other in zip(words, named, strict=True)],
        )
    word, predicted = values.get("word"), values.get("predicted")
    if isinstance(word, str) and isinstance(predicted, str):
        best = values.get("top5")
        others = ", ".join(best[1:]) if isinstance(best, list) else ""
        step: Step = word if word == predicted else [word, predicted]
        yield Transcript(evidence.observer, f"then {others}" if others else "", [step])


def _curves(evidence: Evidence) -> Iterable[tuple[str, Curve]]:
    for chart in CHARTS:
        name = chart.name
        if chart.unit == "dB":
            name = name.replace("_psnr", "_mse")
        if name not in evidence.values:
            continue
        values = evidence.array(name).astype(np.float64)
        if chart.unit == "dB":
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.minimum(10 * np.log10(_PEAK_SQUARED / values), IDENTICAL_DB)
        if chart.along == "offset":
            values = values[::-1]  # evidence starts with the greatest offset, charts with the least
        if name == "common_window_confidence":  # the windows at both ends were not compared
            shift = count(int(evidence.number("common_max_shift_frames")), "common_max_shift_frames", most=MOST_SHIFT)
            values = np.pad(values, shift, constant_values=np.nan)
        curve = encode_curve(values)
        if curve is not None:
            yield chart.name, curve


def _forced(record: ClipRecord, letters: dict[int, str]) -> Iterable[tuple[str, str, list[int]]]:
    """Observer, transcript, and the token ids of the letters that it predicted under teacher forcing.

    Also fills ``letters``, the letter of each token id: the record has the transcript both as text and as token ids.
    """
    for evidence in record.evidence.values():
        said = evidence.values.get("reference")
        if not isinstance(said, str) or not {"reference_ids", "forced_ids"} <= evidence.values.keys():
            continue
        ids = evidence.array("reference_ids").astype(np.int64).tolist()
        if len(ids) == len(said):
            letters.update(zip(ids, said.lower(), strict=True))
        yield evidence.observer, said, evidence.array("forced_ids").astype(np.int64).tolist()


def _forced_transcript(observer: str, said: str, ids: Sequence[int], letters: Mapping[int, str]) -> Transcript:
    """The predicted letters as a transcript. Token ids without a known letter, such as the end mark, are left out."""
    return Transcript(observer, _FORCED, steps_of(said, "".join(letters.get(number, "") for number in ids)))

"""Runs of invented clips with real metrics, as folders on disk, for tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlbench.metrics.blind import BlindReading
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import ErrorTally
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.blind_rows import probe_findings, probe_of, with_blind
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, Failure, RecordWriter
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.scoring.result_file import load_result
from tlbench.statistics import IntervalSettings

METRICS = ("wer1", "lse_c/sound", "lse_d/sound", "psnr", "ssim")
WORDS = ("bin", "lay", "place", "set", "blue", "green", "red", "white", "at", "by", "now", "please", "again", "soon")
# Names as no well-meaning person gives them: ends of elements, quotes, letters from right to left.
NASTY = (
    "</script><script>document.title='run'</script>",
    '"><img src=x onerror="document.title=\'run\'">',
    "أحمد/clip",
    "it's <b>bold</b> & 'quoted'",
    "__proto__",
)
# Texts may also turn the direction of reading and separate lines, which no name may.
NASTY_TEXTS = (*NASTY, "أحمد\u202e/clip", "it's <b>bold</b> & \u2028 'quoted'")


def evidence(seed: int, said: str, *, frames: int = 29, wrong: int = 1) -> dict[str, Evidence]:
    """What three observers say of a clip in which ``wrong`` words are read as others."""
    rng = np.random.default_rng(seed)
    read = said.split()
    for place in range(min(wrong, len(read))):
        read[place] = f"not-{read[place]}"
    distances = (9 + 3 * (np.abs(np.arange(31) - 15) / 15) + rng.normal(0, 0.2, 31)).astype(np.float32)
    best = int(distances.argmin())
    median, windows = float(np.median(distances)), max(1, frames - 5)
    at_best = rng.normal(distances[best], 0.5, windows).astype(np.float32)
    return {
        "avhubert": Evidence("avhubert", {"reference": said, "hypothesis": " ".join(read)}),
        "syncnet": Evidence(
            "syncnet",
            {
                "common_max_shift_frames": 15,
                "common_lse_d": float(distances[best]),
                "common_lse_c": median - float(distances[best]),
                "common_offset_frames": 15 - best,
                "common_mean_distance": distances,
                "common_window_confidence": (median - at_best).astype(np.float32),
            },
        ),
        "pixels": Evidence(
            "pixels",
            {
                "face_psnr_wrapped": rng.uniform(28, 36, frames),
                "face_mse": rng.uniform(20, 90, frames),
                "face_ssim": rng.uniform(0.7, 1.0, frames),
            },
        ),
    }


def make_records(
    count: int, *, seed: int = 0, frames: int = 29, names: Sequence[str] = (), texts: Sequence[str] = ()
) -> list[ClipRecord]:
    """``count`` clips, the first called ``names``, in which ``texts`` are said; the last of three or more failed."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        name = names[i] if i < len(names) else f"s{i % 7}/clip{i:05d}"
        said = " ".join([*rng.choice(WORDS, 4), texts[i] if i < len(texts) else "now"])
        found = evidence(seed + i, said, frames=frames, wrong=int(rng.integers(0, 5)))
        failures = {}
        if i == count - 1 and count > 2:
            found.pop("avhubert")
            failures["avhubert"] = Failure("no-face", "clip.mp4: no face <i>anywhere</i>")
        made.append(
            ClipRecord(ClipInfo(name, f"s{i % 7}", None, f"{i:064x}", "b" * 64, frames=frames), found, failures)
        )
    return made


def make_run(
    folder: Path,
    records: Sequence[ClipRecord],
    *,
    name: str = "mine",
    remarks: Sequence[str] = (),
    resamples: int = 200,
    role: Role = "system",
) -> Result:
    """Writes ``result.json`` and ``records.jsonl`` as `tlbench score` does."""
    with RecordWriter(folder / RECORDS_NAME) as writer:
        for record in records:
            writer.write(record)
    metrics = find_metrics(METRICS)
    protocols = {
        metric.key: Protocol.of(metric, dataset="toy", split="test", view="whole@1", decoding="pyav-25fps@1")
        for metric in metrics
    }
    result = aggregate(
        records,
        metrics,
        protocols,
        name=name,
        dataset="toy",
        split="test",
        expected=len(records),
        role=role,
        interval=IntervalSettings(resamples=resamples),
        remarks=remarks,
    )
    result.write(folder / FILE_NAME)
    return result


def add_blind_rows(folder: Path, name: str, source: str, *, unreadable: bool) -> Result:
    """Puts readers that do not look into a written run: one as good as the system, one that misses every word.

    ``unreadable``: whether the observer reads real clips no better either.
    """
    own = load_result(folder)
    wrong = {clip.id: clip.tallies["wer1/sound"] for clip in own.clips if "wer1/sound" in clip.tallies}
    every = {clip: ErrorTally(int(tally.denominator), 0, 0, int(tally.denominator)) for clip, tally in wrong.items()}
    readings = [BlindReading(name, {"wer1/sound": wrong}), BlindReading("sentence by chance", {"wer1/sound": every})]
    with_rows = with_blind(own, readings, [source])
    told = with_blind(own, readings, [source], probe_of(with_rows, "probe")) if unreadable else with_rows
    assert told.blind is not None
    if told.blind.probe is not None:
        told = replace(told, findings=tuple(probe_findings(told.blind.probe)))
    told.write(folder / FILE_NAME)
    return told

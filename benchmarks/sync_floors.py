"""How many clips are in sync by each rule: as published, over the same speech, and with a confidence above the floor.

    tlbench score FOLDER --dataset grid --data-root grid/ --metrics in_sync --controls all --out scores
    python -m benchmarks.sync_floors scores/controls/*

Reads the ``records.jsonl`` of each run, nothing is decoded. "padded" is the published arithmetic through the view of
the run, with zero vectors before and after the speech: what `in_sync` said in its version 1. "same speech" compares the
same windows of speech at every shift. "in sync" is that with a confidence of at least the floor, which is `in_sync` of
now. Chance is 3 of 31 shifts, 9.7 %. Wilson's intervals, 95 %.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.sync import IN_SYNC_FRAMES
from tlbench.scoring.record import RECORDS_NAME, read_records


@dataclass(frozen=True)
class Clip:
    """What each rule says of one clip, and the confidence of both arithmetics."""

    padded: bool
    same_speech: bool
    in_sync: bool
    padded_confidence: float
    confidence: float


def clips_of(run: Path) -> tuple[list[Clip], int]:
    """The clips of a run that SyncNet has seen and that are long enough, and how many are left out."""
    metric = find_metric("in_sync/sound")
    clips, without = [], 0
    for record in read_records(run / RECORDS_NAME):
        evidence = record.evidence.get("syncnet")
        if evidence is None:
            without += 1
            continue
        try:
            hit = metric.tally(evidence)
        except ClipError:
            without += 1
            continue
        except KeyError as error:
            raise TlbenchError(f"{run}: its evidence lacks {error}; score again with this tlbench") from error
        clips.append(
            Clip(
                padded=abs(evidence.number("sound_offset_frames")) <= IN_SYNC_FRAMES,
                same_speech=abs(evidence.number("common_offset_frames")) <= IN_SYNC_FRAMES,
                in_sync=hit.numerator > 0,
                padded_confidence=evidence.number("sound_lse_c"),
                confidence=evidence.number("common_lse_c"),
            )
        )
    if not clips:
        raise TlbenchError(f"{run}: SyncNet has seen none of its clips; score with --metrics in_sync")
    return clips, without


def share(hits: list[bool]) -> str:
    """Percent, with its interval."""
    ends = binomtest(sum(hits), len(hits)).proportion_ci(0.95, "wilson")
    return f"{100 * sum(hits) / len(hits):5.1f} [{100 * ends.low:.1f}, {100 * ends.high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help=f"folders with a {RECORDS_NAME}")
    arguments = parser.parse_args()
    print("| run | clips | padded (%) | same speech (%) | in sync (%) | LSE-C padded | LSE-C at 5, 50, 95 % |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    try:
        for run in arguments.runs:
            clips, without = clips_of(run)
            shares = [share([getattr(clip, rule) for clip in clips]) for rule in ("padded", "same_speech", "in_sync")]
            padded = np.mean([clip.padded_confidence for clip in clips])
            confidence = ", ".join(f"{x:.2f}" for x in np.percentile([clip.confidence for clip in clips], (5, 50, 95)))
            count = f"{len(clips)}" + (f", {without} left out" if without else "")
            print(f"| {run.name} | {count} | {' | '.join(shares)} | {padded:.2f} | {confidence} |")
    except TlbenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

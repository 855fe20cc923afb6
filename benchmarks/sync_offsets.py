"""Does a SyncNet find offsets that are known? For networks that `tlbench train-observer syncnet` made.

    python -m benchmarks.sync_offsets PACKAGE --dataset grid --data-root FOLDER [--split val] [--limit N] [--json FILE]

Real recordings count as in sync. Each is shifted by -5 to 5 frames by cutting the beginning off its pictures or off its
sound, so that no frame or sample is invented at the ends, and is also scored with the sound of another clip.
Shown are the share of clips whose offset is found to within one frame, for each shift (Wilson intervals: a bootstrap of
100 % has no width), and LSE with its own and with the other sound (95 %, BCa bootstrap over clips). A guess is right in
3 of 31 cases.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

from tlbench.checkpoints.package import view_of
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.generation.other_clips import donors
from tlbench.observers.syncnet.checkpoint import FORMAT
from tlbench.observers.syncnet.decode import (
    SAMPLES_A_FRAME,
    Sync,
    common_distances,
    read_sync,
    widest_shift,
    window_count,
)
from tlbench.observers.syncnet.fast_model import FRAMES_A_WINDOW, FastSyncNet
from tlbench.observers.syncnet.inference import Lips, Passes, speech_embeddings
from tlbench.observers.syncnet.train import as_shown
from tlbench.observers.syncnet.view import VIEWS
from tlbench.observing.cache import default_cache
from tlbench.observing.face_boxes import choose_rule
from tlbench.statistics import IntervalSettings, Ratio, bootstrap_intervals
from tlbench.training.sample_dataset import SampleDataset, SampleSpec
from tlbench.training.trainable import TrainingSample

SHIFTS = range(-5, 6)  # frames; the sound comes so much later
TOLERANCE_FRAMES = 1


@dataclass(frozen=True)
class ScoredClip:
    """One clip: at each shift with its own sound, and unshifted with another's."""

    clip_id: str
    own: dict[int, Sync]
    other: Sync

    def errors(self) -> dict[int, int]:
        """Of the offset found, in frames, by shift: sound that comes later is an offset below 0."""
        return {shift: sync.offset_frames + shift for shift, sync in self.own.items()}


class Listener:
    """A network at work on samples."""

    def __init__(self, package: Path) -> None:
        self._net = FastSyncNet(FORMAT.load(package))
        self._passes = Passes(self._net, torch.device("cpu"))

    def lips(self, sample: TrainingSample) -> torch.Tensor:
        """(T - 4, embedding): of every window there is."""
        seen = Lips(self._passes, self._net.dims)
        seen.take(as_shown(sample.pictures))
        return seen.embeddings(len(sample.pictures) - FRAMES_A_WINDOW + 1)

    def sync(self, lips: torch.Tensor, samples: np.ndarray) -> Sync:
        """What scoring says in ``sound`` of pictures with these lips and this sound."""
        windows = window_count(len(lips) + FRAMES_A_WINDOW - 1, len(samples))
        speech = speech_embeddings(self._passes, samples, windows)
        return read_sync(common_distances(lips[:windows], speech, widest_shift(windows)))


def lessons_of(arguments: argparse.Namespace) -> SampleDataset:
    """The clips, decoded and framed as for training."""
    selection = load_dataset(arguments.dataset, arguments.data_root, split=arguments.split, limit=arguments.limit)
    trained = view_of(arguments.package)
    view = next(view for name, view in VIEWS.items() if trained in (name, view.id))
    boxes, _ = choose_rule(
        None if selection.dataset.boxes == "detected" else selection.dataset.boxes, "blazeface", 0, {}
    )
    book = SampleDataset(selection, SampleSpec(view, boxes, needs_audio=True), arguments.cache or default_cache())
    book.prepare(lambda done, total: None)
    return book


def listen(listener: Listener, book: SampleDataset) -> Iterator[ScoredClip]:
    """Each clip in turn."""
    places = {clip.id: place for place, clip in enumerate(book.clips)}
    donor = donors(list(places))
    for sample in book:
        other = book[places[donor[sample.clip.id]]]
        assert sample.samples is not None
        assert other.samples is not None
        lips = listener.lips(sample)
        own = {}
        for shift in SHIFTS:
            early = max(-shift, 0) * SAMPLES_A_FRAME
            own[shift] = listener.sync(lips[max(shift, 0) :], sample.samples[early:])
        yield ScoredClip(sample.clip.id, own, listener.sync(lips, other.samples))


def share(hits: list[bool]) -> dict[str, float]:
    """Percent, with Wilson's interval."""
    ends = binomtest(sum(hits), len(hits)).proportion_ci(0.95, "wilson")
    return {"value": 100 * sum(hits) / len(hits), "low": 100 * ends.low, "high": 100 * ends.high}


def mean(values: list[float]) -> dict[str, float]:
    """With the bootstrap's interval over clips."""
    ratio = Ratio(np.array(values), np.ones(len(values)), lambda ratios: ratios, 1.0)
    (interval,) = bootstrap_intervals([ratio], "clips", IntervalSettings())
    assert interval is not None
    return {"value": ratio.total, "low": interval.low, "high": interval.high}


def report(scored: list[ScoredClip]) -> dict[str, Any]:
    """All that is shown, by name."""
    errors = [clip.errors() for clip in scored]
    right = [{shift: abs(error) <= TOLERANCE_FRAMES for shift, error in of.items()} for of in errors]
    worst = [
        {"clip": clip.clip_id, "errors": of}
        for clip, of, good in zip(scored, errors, right, strict=True)
        if not all(good.values())
    ]
    return {
        "clips": len(scored),
        "within_1_frame": {shift: share([good[shift] for good in right]) for shift in SHIFTS},
        "within_1_frame_at_every_shift": share([all(good.values()) for good in right]),
        "exact": share([of[0] == 0 for of in errors]),
        "lse_c": mean([clip.own[0].lse_c for clip in scored]),
        "lse_d": mean([clip.own[0].lse_d for clip in scored]),
        "lse_c_of_other_sound": mean([clip.other.lse_c for clip in scored]),
        "lse_d_of_other_sound": mean([clip.other.lse_d for clip in scored]),
        "lse_c_drop": mean([clip.own[0].lse_c - clip.other.lse_c for clip in scored]),
        "own_above_other": share([clip.own[0].lse_c > clip.other.lse_c for clip in scored]),
        "not_found": worst,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", type=Path, help="write all of it there as well")
    arguments = parser.parse_args()
    try:
        found = report(list(listen(Listener(arguments.package), lessons_of(arguments))))
    except TlbenchError as error:
        sys.exit(str(error))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{arguments.dataset} {arguments.split}, {found['clips']} clips; offset within {TOLERANCE_FRAMES} frame:")
    for shift, value in found["within_1_frame"].items():
        print(f"  sound {shift:+d} frames  {_shown(value, 1)} %")
    for name in ("within_1_frame_at_every_shift", "exact", "own_above_other"):
        print(f"{name:32}{_shown(found[name], 1)} %")
    for name in ("lse_c", "lse_d", "lse_c_of_other_sound", "lse_d_of_other_sound", "lse_c_drop"):
        print(f"{name:32}{_shown(found[name], 2)}")


def _shown(value: dict[str, float], digits: int) -> str:
    return f"{value['value']:6.{digits}f}  [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


if __name__ == "__main__":
    main()

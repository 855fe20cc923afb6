"""What half precision changes of the bundled observers' readings: clips, symbols, and points of their metric.

    python -m benchmarks.half_precision [--grid FOLDER] [--clips 40] [--product torch onednn]

Reads real videos in float32 and in bfloat16, with each matrix product: GRID's test part, if a folder is given, and the
test part of the synthetic talker, which is rendered for it. `python -m benchmarks.avhubert --half` measures speed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tlbench.checkpoints.catalogue import find_card
from tlbench.checkpoints.weights import find_weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.datasets.synthetic.corpus import Sizes, render_corpus
from tlbench.datasets.word_times import with_word_times
from tlbench.generation.write_controls import control_clips
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.text import distance
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Evidence
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class, trained_view
from tlbench.verify import symbols

READERS = {  # checkpoint: data set, metric
    "avhubert-grid": ("grid", "wer1/sound"),
    "conformer-grid": ("grid", "wer2/sound"),
    "autoavsr-grid": ("grid", "wer3/sound"),
    "mvm-grid": ("grid", "acc_aligned/sound"),
    "avhubert-synthetic": ("synthetic", "wer1/sound"),
    "conformer-synthetic": ("synthetic", "wer2/sound"),
    "mvm-synthetic": ("synthetic-words", "acc/sound"),
}


def read(plan: ObserverPlan, clips: Sequence[Clip], cache: Path) -> dict[str, Evidence]:
    seen = observe(Plan((plan,), BoxRule(), cache), clips)
    return {one.clip.id: one.evidence[plan.name] for one in seen if plan.name in one.evidence}


def percent(metric_key: str, found: dict[str, Evidence]) -> float:
    (metric,) = find_metrics([metric_key])
    tallies = [metric.tally(evidence) for evidence in found.values()]
    total = tallies[0]
    for tally in tallies[1:]:
        total = total + tally  # type: ignore[operator]
    assert total.value is not None
    return 100 * total.value


def lines(checkpoint: str, clips: Sequence[Clip], cache: Path, products: Sequence[str]) -> Iterator[str]:
    card = find_card(checkpoint)
    weights = find_weights([card], {}, READERS[checkpoint][0])
    assert weights is not None, f"{checkpoint} is not bundled"
    kind = observer_class(card.observer)
    plan = ObserverPlan(kind.name, (trained_view(kind, weights.view),), weights.path, weights.sha256)
    answer: str = kind.answer  # type: ignore[attr-defined]
    metric = READERS[checkpoint][1]
    full = read(plan, clips, cache)
    for product in products:
        half = read(replace(plan, half=True, packed=product == "onednn"), clips, cache)
        pairs = [(symbols(full[name].values[answer]), symbols(half[name].values[answer])) for name in full]
        differing = sum(one != other for one, other in pairs)
        edits = sum(distance(one, other) for one, other in pairs)
        before, after = percent(metric, full), percent(metric, half)
        yield (
            f"{checkpoint:20} {product:7} {differing} of {len(pairs)} clips read differently, {edits} of "
            f"{sum(len(one) for one, _ in pairs)} symbols; {metric} {before:.2f} -> {after:.2f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", type=Path, help="GRID as `tlbench` reads it; left out without it")
    parser.add_argument("--clips", type=int, default=40, help="of each data set, the first")
    parser.add_argument("--product", nargs="+", choices=["torch", "onednn"], default=["torch", "onednn"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = Sizes(train=0, val=0, test=given.clips, word_train=0, word_val=0, word_test=1)
        render_corpus(folder / "synthetic", sizes=sizes)
        roots = {"grid": given.grid, "synthetic": folder / "synthetic", "synthetic-words": folder / "synthetic"}
        for checkpoint, (dataset, _) in READERS.items():
            if roots[dataset] is None:
                continue
            selection = with_word_times(load_dataset(dataset, roots[dataset], limit=given.clips))
            clips = control_clips(selection.clips, "ground-truth", None)
            for line in lines(checkpoint, clips, folder / "cache", given.product):
                print(line, flush=True)


if __name__ == "__main__":
    main()

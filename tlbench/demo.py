"""The whole chain on data made on the spot: talking faces are rendered, spoiled, generated anew, and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.controls import make_controls
from tlbench.datasets.dataset import load_dataset
from tlbench.datasets.synthetic.corpus import Count, Sizes, render_corpus
from tlbench.errors import TlbenchError
from tlbench.generating import generate_dataset
from tlbench.metrics.catalogue import all_metrics
from tlbench.observing.known import known_cards
from tlbench.reporting import report
from tlbench.results.result import Result
from tlbench.scoring import Progress, score_all

CORPUS_NAME = "corpus"
GROUND_TRUTH = "ground-truth"
RESULTS_NAME = "results"
REENCODED = "reencoded"
# The ceiling, and what it is spoiled by, from what no reader should mind to what none can read.
CONTROLS = (GROUND_TRUTH, REENCODED, "blurred", "shifted", "frozen-mouth", "static", "swapped-audio")
_PARTS = {"synthetic": "sentences", "synthetic-words": "words"}
_FOLDERS = {"synthetic": "main", "synthetic-words": "words"}
GENERATOR = "talklip-gc-synthetic"  # the bundled one
SPOKEN = "synthetic"  # the data set that it speaks
GENERATED_NAME = "generated"
SHOWN_BESIDE = "frozen-mouth"  # whom the page of words compares ground truth with: everybody sees what is wrong there


@dataclass(frozen=True)
class Shown:
    """A table of the demo: a data set, its rows, the system first, and a page of ground truth beside another row."""

    dataset: str
    results: list[Result]
    page: Path


def render_demo(
    out: Path,
    *,
    sentences: int = 40,
    words: int = 1,
    seed: int = 0,
    workers: int | None = None,
    progress: Count | None = None,
) -> None:
    """The first part of the demo: render the synthetic test part into ``out``.

    Parameters
    ----------
    out : Path
        Folder of the corpus, the controls and the results; one that was interrupted is continued.
    sentences, words : int
        Clips of the sentence part, and of each word of the word part, which is left out at 0 and if no bundled observer
        reads words.
    seed : int
        Of the corpus.
    workers : int or None
        Processes; None for one a core.

    Raises
    ------
    TlbenchError
        If the extra ``demo`` is not installed, the folder is something else's, or the disk is full.
    """
    sizes = Sizes(train=0, val=0, test=sentences, word_train=0, word_val=0, word_test=words)
    parts = [_PARTS[name] for name in _shown() if words or _PARTS[name] != "words"]
    render_corpus(out / CORPUS_NAME, seed=seed, sizes=sizes, parts=parts, workers=workers, progress=progress)


def generate_demo(out: Path, *, cache: Path | None = None, progress: Count | None = None) -> None:
    """The second part: the bundled generator speaks the sentences.

    Raises TlbenchError if :func:`render_demo` was not there before, or a clip can't be generated.
    """
    made = generate_dataset(
        Path(GENERATOR),
        out / GENERATED_NAME / GENERATOR,
        SPOKEN,
        out / CORPUS_NAME,
        split="test",
        device="cpu",
        cache=cache,
        progress=progress,
    )
    for clip, error in made.failures.items():
        raise TlbenchError(f"clip {clip} of the demo can't be generated ({error}); do report this")


def score_demo(
    out: Path, *, workers: int | None = None, cache: Path | None = None, progress: Progress | None = None
) -> list[Shown]:
    """The third part: spoil ground truth, score it, the spoiled and the generated, and write the pages.

    Ground truth is the control of that name, not a system: a system that is the real videos carries a warning.

    Raises TlbenchError if the other parts were not there before.
    """
    tables = []
    for name in _shown():
        truth = out / CORPUS_NAME / _FOLDERS[name]
        if not truth.is_dir():
            continue  # no words were asked for
        folder = out / RESULTS_NAME / name
        system = GENERATOR if name == SPOKEN else REENCODED  # nobody speaks words: there a control is the system
        videos = out / GENERATED_NAME / system
        if system == REENCODED:
            clips = load_dataset(name, out / CORPUS_NAME, split="test").clips
            make_controls(clips, videos.parent, [REENCODED], boxes_of=_no_boxes)
        rows = score_all(
            [videos],
            name,
            out / CORPUS_NAME,
            split="test",
            metrics=[*reading_metrics(name), "psnr", "ssim"],
            controls=[kind for kind in CONTROLS if kind != system],
            name=system,
            out=folder,
            workers=workers,
            cache=cache,
            progress=progress,
        )
        page = report(
            folder / "controls" / GROUND_TRUTH,
            folder / GENERATOR if system == GENERATOR else folder / "controls" / SHOWN_BESIDE,
            out=out / f"report-{name}.html",
            videos=[truth, videos],
        )
        tables.append(Shown(name, rows, page))
    return tables


def _no_boxes(clip: Clip) -> np.ndarray:
    raise AssertionError(f"{clip.id}: writing a clip again needs no box")


def _shown() -> list[str]:
    """Sentences always, for their pixels at least; words where somebody reads them."""
    return [name for name in _PARTS if name == "synthetic" or reading_metrics(name)]


def reading_metrics(dataset: str) -> Sequence[str]:
    """Names of the headline metrics of observers that are bundled for a data set, pixels not among them."""
    readers = {card.observer for card in known_cards() if card.package is not None and dataset in card.datasets}
    return list(dict.fromkeys(m.name for m in all_metrics() if m.headline and m.observer in readers))

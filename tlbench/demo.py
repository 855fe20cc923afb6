"""The demo: talking faces are rendered, given known faults, generated again by a small TalkLip, and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench.arguments import CountCallback
from tlbench.checkpoints.catalogue import known_cards
from tlbench.datasets.grid_sample import FETCH, sample_root
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import load_dataset
from tlbench.datasets.synthetic.corpus import Sizes, render_corpus
from tlbench.document import number_text
from tlbench.errors import TlbenchError
from tlbench.generation.generate_dataset import WriteOptions, generate_dataset
from tlbench.generation.generator import GenerateOptions
from tlbench.generation.registry import generator_cards
from tlbench.generation.write_controls import make_controls
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Metric
from tlbench.owner import owned
from tlbench.reporting.report import report
from tlbench.scoring.result import Result
from tlbench.scoring.run import Progress
from tlbench.scoring.score import score_all
from tlbench.scoring.system_names import CONTROLS_NAME
from tlbench.scoring.trained_with import judged_by_relative, overlaps_of

CORPUS_NAME = "corpus"
GROUND_TRUTH = "ground-truth"
RESULTS_NAME = "results"
REENCODED = "reencoded"
# Ground truth, and faults put into it, from one that no reader should notice to one that none can read.
CONTROLS = (GROUND_TRUTH, REENCODED, "blurred", "shifted", "frozen-mouth", "static", "swapped-audio")
REAL = "grid-sample"  # a data set of real faces, shown first where its clips are there
# What real faces are compared with: lips that stand still, and lips of other words that sounded alike.
REAL_CONTROLS = (GROUND_TRUTH, "frozen-mouth", "nearest-mouth")
_PARTS = {"synthetic": "sentences", "synthetic-words": "words"}
_FOLDERS = {"synthetic": "main", "synthetic-words": "words"}
GENERATOR = "talklip-gc-synthetic"  # the bundled one
SPOKEN = "synthetic"  # the data set it generates
GENERATED_NAME = "generated"
SHOWN_BESIDE = "frozen-mouth"  # what the page of words compares ground truth with: its fault is easy to see


@dataclass(frozen=True)
class Shown:
    """A table of the demo: a data set, its rows with the system first, and a page that compares two of them."""

    dataset: str
    results: list[Result]
    page: Path


def render_demo(
    out: Path,
    *,
    sentences: int = 20,
    words: int = 1,
    seed: int = 0,
    workers: int | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> None:
    """The first part of the demo: render synthetic clips into ``out``.

    Parameters
    ----------
    out : Path
        Folder of the corpus, the controls and the results. An interrupted demo goes on where it stopped.
    sentences, words : int
        Number of clips of sentences, and of clips of each word. There are no words if it is 0, or if no bundled
        observer reads words.
    seed : int
        Of the corpus.
    workers : int or None
        Number of processes; None for one for each core.
    take_over : bool
        Take the folders at once from another run that writes to them; see :func:`tlbench.owner.owned`.

    Raises
    ------
    TlbenchError
        If the extra ``demo`` is not installed, the folder has other files, or the disk is full.
    """
    sizes = Sizes(train=0, val=0, test=sentences, word_train=0, word_val=0, word_test=words)
    parts = [_PARTS[name] for name in _shown() if words or _PARTS[name] != "words"]
    corpus = out / CORPUS_NAME
    render_corpus(corpus, seed=seed, sizes=sizes, parts=parts, workers=workers, take_over=take_over, progress=progress)


def generate_demo(
    out: Path, *, cache: Path | None = None, take_over: bool = False, progress: CountCallback | None = None
) -> None:
    """The second part: the bundled generator speaks the sentences. ``take_over`` as in :func:`render_demo`.

    Raises TlbenchError if :func:`render_demo` has not run, or a clip can't be generated.
    """
    data = DataOptions(SPOKEN, out / CORPUS_NAME, split="test")
    _generate(GENERATOR, out / GENERATED_NAME / GENERATOR, data, cache, take_over, progress)


def _generate(
    generator: str,
    folder: Path,
    data: DataOptions,
    cache: Path | None,
    take_over: bool,
    progress: CountCallback | None = None,
) -> None:
    """Write the videos of a bundled generator. Raises TlbenchError if one can't be made."""
    writing = WriteOptions(cache=cache, take_over=take_over)
    done = generate_dataset(
        generator, folder, data, options=GenerateOptions(device="cpu"), writing=writing, progress=progress
    )
    for clip, error in done.failures.items():
        raise TlbenchError(f"clip {clip} of the demo can't be generated ({error}); please report this")


def real_generators() -> list[str]:
    """Names of the bundled generators of the real faces, first those that were trained with a lip reader."""
    cards = [card for card in generator_cards() if card.package is not None and REAL in card.datasets]
    return [card.name for card in sorted(cards, key=lambda card: not card.relatives)]


def score_demo(
    out: Path,
    *,
    workers: int | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: Progress | None = None,
) -> list[Shown]:
    """The third part: put faults into ground truth, score all of it, and write the pages.

    Ground truth is the control of that name, not a system: real videos that are scored as a system give a warning.
    ``take_over`` as in :func:`render_demo`.

    Raises TlbenchError if the other parts have not run.
    """
    with owned(out, take_over=take_over):
        real = _score_real_faces(out, workers, cache, take_over, progress)
        shown = (_score_data_set(name, out, workers, cache, take_over, progress) for name in _shown())
        return [table for table in (real, *shown) if table is not None]


def _score_data_set(
    name: str, out: Path, workers: int | None, cache: Path | None, take_over: bool, progress: Progress | None
) -> Shown | None:
    """The table and the page of one data set; None if there are no clips of it."""
    truth = out / CORPUS_NAME / _FOLDERS[name]
    if not truth.is_dir():
        return None  # there are no words
    folder = out / RESULTS_NAME / name
    system = GENERATOR if name == SPOKEN else REENCODED  # no bundled generator makes words
    videos = out / GENERATED_NAME / system
    if system == REENCODED:
        clips = load_dataset(name, out / CORPUS_NAME, split="test").clips
        make_controls(clips, videos.parent, [REENCODED])
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
        take_over=take_over,
        overwrite=True,  # the folder is the demo's own
        progress=progress,
    )
    page = report(
        folder / "controls" / GROUND_TRUTH,
        folder / GENERATOR if system == GENERATOR else folder / "controls" / SHOWN_BESIDE,
        out=out / f"report-{name}.html",
        videos=[truth, videos],
    )
    return Shown(name, rows, page)


def what_was_seen(shown: Shown) -> str:
    """The sentence that a table of the demo comes down to: how well the lips of each kind of faces are read.

    The reader is one that no generator of the table was trained with, if there is one. Empty if the table has no number
    of reading for one of them.
    """
    by_name = {result.name: result for result in shown.results}
    made = [result for result in shown.results if result.role == "system"]
    own = "the real faces" if shown.dataset == REAL else "the drawn faces"
    faces = {GROUND_TRUTH: own, **{result.name: _faces_of(result) for result in made}, SHOWN_BESIDE: "frozen mouths"}
    reading = _independent_reader(made)
    if reading is None or not all(name in by_name for name in faces):
        return ""
    values = {name: by_name[name].row(reading.key).value for name in faces}
    if None in values.values():
        return ""
    numbers = (f"{number_text(values[name], reading.digits)} {reading.unit}".rstrip() for name in faces)
    said = ", ".join(f"{number} on {name}" for number, name in zip(numbers, faces.values(), strict=True))
    return f"{reading.label} of a lip reader: {said}"


def _faces_of(made: Result) -> str:
    return "the same faces, encoded again" if made.name == REENCODED else f"those of {made.name}"


def _independent_reader(made: Sequence[Result]) -> Metric | None:
    """The first metric of reading whose network none of the systems was trained with; else the first; None if none."""
    related = {result.name: overlaps_of(result, known_cards()) for result in made}
    readers = [m for m in made[0].metrics if m.rates_reading and m.arithmetic == "sound"]
    for metric in readers:
        if not any(judged_by_relative(of, of.row(metric.key).protocol, related[of.name]) for of in made):
            return metric
    return next(iter(readers), None)


def _score_real_faces(
    out: Path, workers: int | None, cache: Path | None, take_over: bool, progress: Progress | None
) -> Shown | None:
    """The table and the page of the real faces; None if their clips are not there."""
    root = sample_root()
    if root is None:
        return None
    videos, folder, systems = out / GENERATED_NAME / REAL, out / RESULTS_NAME / REAL, real_generators()
    if not systems:  # the real videos, written again, are the row on top
        systems = [REENCODED]
        make_controls(load_dataset(REAL, root).clips, videos, systems)
    else:
        for system in systems:
            _generate(system, videos / system, DataOptions(REAL, root), cache, take_over)
    rows = score_all(
        [videos / system for system in systems],
        REAL,
        root,
        metrics=reading_metrics(REAL),
        controls=REAL_CONTROLS,
        out=folder,
        workers=workers,
        cache=cache,
        take_over=take_over,
        progress=progress,
    )
    page = out / f"report-{REAL}.html"
    page.unlink(missing_ok=True)  # of an earlier run
    truth, still = (folder / CONTROLS_NAME / kind for kind in (GROUND_TRUTH, SHOWN_BESIDE))
    if systems == [REENCODED]:
        run, other = truth, still
    else:
        run, other = folder / systems[0], folder / systems[-1] if systems[1:] else truth
    report(run, other, out=page, videos=[root, still, *(videos / system for system in systems)])
    return Shown(REAL, rows, page)


def what_is_missing(shown: Sequence[Shown]) -> str:
    """How to get the real faces where they are not there; else empty."""
    if shown[0].dataset == REAL:
        return ""
    return f"real faces: not here; `{FETCH}`, `tlbench data set grid FOLDER`, and this command again"


def _shown() -> list[str]:
    """The data sets of the demo: sentences, and words if a bundled observer reads them."""
    return [name for name in _PARTS if name == "synthetic" or reading_metrics(name)]


def reading_metrics(dataset: str) -> Sequence[str]:
    """Names of the headline metrics of the observers that are bundled for a data set, without pixels."""
    readers = {card.observer for card in known_cards() if card.package is not None and dataset in card.datasets}
    return list(dict.fromkeys(m.name for m in all_metrics() if m.headline and not m.parts and m.observer in readers))

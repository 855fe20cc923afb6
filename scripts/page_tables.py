"""Tables of documentation pages that are made from the records of the leaderboards, or from other pages' tables.

    python scripts/page_tables.py            # writes them
    python scripts/page_tables.py --check    # exit code 1 if one is not current

A page has ``<!-- table: NAME -->`` and ``<!-- end -->`` around each of them. A test holds them to where they come from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tlbench.comparison.compare import MetricComparison, compare
from tlbench.document import label_with_arrow, number_text
from tlbench.leaderboard.build import read_dataset
from tlbench.leaderboard.submission import Computed, Published, Submission
from tlbench.metrics.catalogue import find_metric
from tlbench.scoring.result import Result

ROOT = Path(__file__).parents[1]
PAGES = ("docs/good-number.md", "docs/miniature.md", "docs/proof.md")
FAULTS = ("ground-truth", "reencoded", "blurred", "shifted", "swapped-audio", "nearest-mouth", "frozen-mouth")
UNREADABLE = ("greyed-mouth", "static")
# Faults of the calibration of two readers, with the size that both pages have.
BOTH_READ = (
    ("picture shift (frames)", "5"),
    ("blur (px)", "4"),
    ("mouth frozen (of the clip)", "1"),
    ("other words (of the clip)", "1"),
)
STRONGER_BLURS = ("4", "8")  # pixels; the records have `blurred`, of 2
OF_PIXELS = ("psnr/sound", "ssim/sound")
# Names in the records to those of docs/miniature.md, in its order.
VARIANTS = {
    "ground-truth": "ground truth",
    "TalkLip (g+c), miniature": "g+c",
    "TalkLip (g), miniature": "g",
    "TalkLip (l), miniature": "l",
    "Base without lip loss, miniature": "base-no-lip",
    "Base without lip and GAN loss, miniature": "base-no-lip-gan",
    "TalkLip (l+c), miniature": "l+c",
}
ON_GRID = {
    "ground-truth": "real videos",
    "TalkLip (g+c), miniature": "TalkLip (g+c)",
    "TalkLip before the lip reader's loss, miniature": "the same before the lip reader's loss",
    "Wav2Lip, miniature": "Wav2Lip",
}
WITH_EQUAL_STEPS = {
    "ground-truth": "real videos",
    "TalkLip (g+c), equal steps": "g+c",
    "TalkLip (g), equal steps": "g",
    "TalkLip (g) before the lip reader's loss, 4,800 steps": "g before the lip reader's loss",
    "TalkLip (l), equal steps": "l",
    "TalkLip (l+c), equal steps": "l+c",
    "Base without lip loss, equal steps": "base-no-lip",
    "Base without lip and GAN loss, equal steps": "base-no-lip-gan",
    "Wav2Lip, equal steps": "Wav2Lip",
    "Faceformer, equal steps": "Faceformer",
}


class Ordering(NamedTuple):
    """A row of the paper's orderings; without ``a`` it has words only.

    Attributes
    ----------
    ordering, here : str
        The two columns of words; ``{also}`` is the difference by WER2, with its p.
    a, b : str
        Systems, by their titles in the table above the row's; the difference is a - b.
    key : str
        The metric of the difference.
    """

    ordering: str
    here: str
    a: str = ""
    b: str = ""
    key: str = ""


OF_SYNTHETIC = (
    Ordering("ground truth is read best", "yes"),
    Ordering("g+c below base-no-lip", "yes, by WER2 too ({also})", "g+c", "base-no-lip", "wer1/sound"),
    Ordering("g below base-no-lip", "yes, by WER2 too ({also})", "g", "base-no-lip", "wer1/sound"),
    Ordering("g+c below l+c", "yes, by WER2 too ({also})", "g+c", "l+c", "wer1/sound"),
    Ordering("g+c below g", "not shown", "g+c", "g", "wer1/sound"),
    Ordering("l below base-no-lip", "not shown", "l", "base-no-lip", "wer1/sound"),
    Ordering("l+c below base-no-lip", "not shown, and the other way round", "l+c", "base-no-lip", "wer1/sound"),
    Ordering("base-no-lip-gan is read worst", "not shown: l+c is, and not significantly"),
    Ordering("sync does not imply intelligibility", "yes: every generator is in sync in all 120 clips"),
)
TALKLIP, BEFORE = "TalkLip (g+c)", "the same before the lip reader's loss"
OF_GRID = (
    Ordering("TalkLip is read better than Wav2Lip", "yes, WER2", TALKLIP, "Wav2Lip", "wer2/sound"),
    Ordering("", "yes, WER3", TALKLIP, "Wav2Lip", "wer3/sound"),
    Ordering("", "yes, ACC aligned", TALKLIP, "Wav2Lip", "acc_aligned/sound"),
    Ordering("Wav2Lip is in better sync than TalkLip", "yes, LSE-C", "Wav2Lip", TALKLIP, "lse_c/sound"),
    Ordering("", "yes, LSE-D", "Wav2Lip", TALKLIP, "lse_d/sound"),
    Ordering("the best sync is Wav2Lip's", "no: that of TalkLip before the lip reader's loss is better"),
    Ordering("the lip reader's loss makes lips more readable", "yes, WER2", TALKLIP, BEFORE, "wer2/sound"),
    Ordering("", "not shown, WER3", TALKLIP, BEFORE, "wer3/sound"),
    Ordering("", "not shown, ACC aligned", TALKLIP, BEFORE, "acc_aligned/sound"),
    Ordering(
        "sync does not predict reading",
        "yes: the loss that lowers WER2 lowers LSE-C too",
        TALKLIP,
        BEFORE,
        "lse_c/sound",
    ),
)
G_BEFORE = "g before the lip reader's loss"
OF_EQUAL_STEPS = (
    Ordering("TalkLip (g+c) is read better than Wav2Lip", "yes, WER2", "g+c", "Wav2Lip", "wer2/sound"),
    Ordering("", "yes, WER3", "g+c", "Wav2Lip", "wer3/sound"),
    Ordering("Wav2Lip is in better sync than TalkLip (l)", "no: worse, LSE-C", "Wav2Lip", "l", "lse_c/sound"),
    Ordering("Wav2Lip is read better than Faceformer", "yes, WER2", "Wav2Lip", "Faceformer", "wer2/sound"),
    Ordering("", "yes, WER3", "Wav2Lip", "Faceformer", "wer3/sound"),
    Ordering("Wav2Lip is in better sync than Faceformer", "yes, LSE-C", "Wav2Lip", "Faceformer", "lse_c/sound"),
    Ordering("", "yes, LSE-D", "Wav2Lip", "Faceformer", "lse_d/sound"),
    Ordering("g is read better than base-no-lip", "yes, WER2", "g", "base-no-lip", "wer2/sound"),
    Ordering("", "yes, WER3", "g", "base-no-lip", "wer3/sound"),
    Ordering("", "not shown, ACC aligned", "g", "base-no-lip", "acc_aligned/sound"),
    Ordering("g is read better than l", "yes, WER2", "g", "l", "wer2/sound"),
    Ordering("base-no-lip is in better sync than g", "yes, LSE-C", "base-no-lip", "g", "lse_c/sound"),
    Ordering("", "yes, LSE-D", "base-no-lip", "g", "lse_d/sound"),
    Ordering(
        "the lip reader's loss makes lips more readable (g after and before it)",
        "not shown, WER2",
        "g",
        G_BEFORE,
        "wer2/sound",
    ),
    Ordering("", "not shown, WER3", "g", G_BEFORE, "wer3/sound"),
    Ordering("(l and base-no-lip)", "not shown, WER2", "l", "base-no-lip", "wer2/sound"),
    Ordering("", "not shown, WER3", "l", "base-no-lip", "wer3/sound"),
    Ordering("the loss changes sync (g after and before it)", "for the worse, LSE-C", "g", G_BEFORE, "lse_c/sound"),
    Ordering("g+c is read better than g", "not shown, WER2", "g+c", "g", "wer2/sound"),
    Ordering("g+c is read better than base-no-lip", "not shown, WER2", "g+c", "base-no-lip", "wer2/sound"),
    Ordering("", "yes, WER3", "g+c", "base-no-lip", "wer3/sound"),
    Ordering("base-no-lip is in better sync than g+c", "yes, LSE-C", "base-no-lip", "g+c", "lse_c/sound"),
    Ordering("+c helps sync (g+c and g)", "no, LSE-D is worse", "g+c", "g", "lse_d/sound"),
    Ordering("(l+c and l)", "no, LSE-C is worse", "l+c", "l", "lse_c/sound"),
    Ordering("l+c is read better than l", "not shown, WER2", "l+c", "l", "wer2/sound"),
    Ordering("the GAN loss changes reading", "not shown, WER2", "base-no-lip", "base-no-lip-gan", "wer2/sound"),
)
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)


def published_ranges() -> str:
    """Ground truth, the best and the worst generator of each published table, and how many there are."""
    rows = []
    for dataset in ("lrs2", "lrw"):
        figures: dict[str, dict[str, float]] = {}
        for record in _records(dataset):
            if isinstance(record, Published):
                for figure in record.figures:
                    figures.setdefault(figure.metric, {})[record.name] = figure.value
        for key in sorted(figures, key=_order):
            metric, values = find_metric(key), dict(figures[key])
            truth = values.pop("Ground Truth", None)
            ranked = sorted(values, key=lambda name: values[name], reverse=metric.better == "higher")
            best, worst = (f"{_shown(key, values[name])} ({name})" for name in (ranked[0], ranked[-1]))
            rows.append((dataset, _label(key), _shown(key, truth), best, worst, str(len(values))))
    return _table(("data set", "metric", "real videos", "best generator", "worst", "generators"), rows)


def ceilings_and_floors() -> str:
    """What real videos and known faults get from the bundled observers."""
    rows = []
    for dataset, keys in (
        (
            "grid",
            (
                "wer1/sound",
                "wer2/sound",
                "wer3/sound",
                "acc_aligned/sound",
                "lse_c/sound",
                "lse_d/sound",
                "psnr/sound",
                "ssim/sound",
            ),
        ),
        ("synthetic", ("wer1/sound", "wer2/sound", "lse_c/sound", "lse_d/sound", "psnr/sound", "ssim/sound")),
        ("synthetic-words", ("acc/sound",)),
    ):
        found = _computed(dataset)
        for key in keys:
            metric = find_metric(key)
            floors = [found[name].row(key).value for name in ("static", "frozen-mouth")]
            known = [value for value in floors if value is not None]
            floor = (max if metric.better == "lower" else min)(known)
            ceiling = found["ground-truth"].row(key).value
            mouth, generated = found["nearest-mouth"].row(key).value, _best(found, key)
            cells = (_shown(key, value) for value in (ceiling, mouth, floor))
            rows.append((dataset, _label(key), *cells, generated))
    head = ("data set", "metric", "real videos", "mouths of other clips", "no moving mouth", "best generator here")
    return _table(head, rows)


def faults_of_grid() -> str:
    """Reading and sync of each known fault on GRID."""
    keys = (
        "wer1/sound",
        "wer2/sound",
        "wer3/sound",
        "lse_c/sound",
        "lse_d/sound",
        "lse_d_zero/sound",
        "in_sync/sound",
        "offset_size/sound",
    )
    found = _computed("grid")
    rows = [
        (name, *(_with_interval(found[name], key) for key in keys), f"{found[name].row(keys[0]).scored} of 98")
        for name in (*FAULTS, *UNREADABLE)
    ]
    return _table(("system", *map(_label, keys), "scored"), rows)


def pixels_of_grid() -> str:
    """PSNR and SSIM of each known fault on GRID, and of stronger blurs, which only the calibration has."""
    keys = ("psnr/paper", "psnr/sound", "ssim/paper", "ssim/sound")
    found = _computed("grid")
    rows = [
        (name, *(_with_interval(found[name], key) for key in keys), f"{found[name].row(keys[0]).scored} of 98")
        for name in (*FAULTS, *UNREADABLE)
    ]
    page, blur = (ROOT / "docs" / "calibration" / "grid.md").read_text("utf-8"), "blur (px)"
    for size in STRONGER_BLURS:
        cells = (_calibrated(page, blur, size, key).removesuffix(" worse") for key in keys)
        rows.append((f"blur of {size} pixels", *cells, f"{_clips_of(page)} of {_clips_of(page)}"))
    heads = (f"{_label(key)}, `{key.partition('/')[2]}`" for key in keys)
    return _table(("system", *heads, "scored"), rows)


def second_reader() -> str:
    """What two readers of different families and an embedding of one say of the same faults, from the calibration."""
    one, other = (
        (ROOT / "docs" / "calibration" / f"{name}.md").read_text("utf-8") for name in ("grid", "grid-columns")
    )
    columns = ((one, "wer1/sound"), (other, "wer3/sound"), (other, "lip_score/paper"))
    none = BOTH_READ[0][0]
    rows = [("no fault", *(_calibrated(page, none, "0", key) for page, key in columns))]
    rows += [
        (f"{fault}: {size}", *(_calibrated(page, fault, size, key) for page, key in columns))
        for fault, size in BOTH_READ
    ]
    return _table(("fault", *(f"{_label(key)}, {_clips_of(page)} clips" for page, key in columns)), rows)


def miniature_of_synthetic() -> str:
    """The six variants on the synthetic set, best read first."""
    intervals, values = ("wer1/sound", "wer2/sound"), ("lse_c/sound", "lse_d/sound", "psnr/sound", "ssim/sound")
    found = _computed("synthetic")
    rows = [_miniature(title, found[name], intervals, values) for name, title in VARIANTS.items()]
    return _table(("system", *map(_label, (*intervals, *values))), rows)


def miniature_of_grid() -> str:
    """The first generators of GRID's speaker s1: the bundled Wav2Lip, and a TalkLip that began with drawn faces."""
    return _of_grid(ON_GRID)


def equal_steps_of_grid() -> str:
    """The eight systems of the paper that can be trained, from nothing on GRID's speaker s1, all by as many steps."""
    return _of_grid(WITH_EQUAL_STEPS)


def orderings_of_synthetic() -> str:
    """The paper's orderings of its variants by WER1, on the synthetic set."""
    return _orderings("synthetic", VARIANTS, OF_SYNTHETIC, "WER1, difference")


def orderings_of_grid() -> str:
    """The paper's contrast of TalkLip and Wav2Lip, with the first generators of GRID's speaker s1."""
    return _orderings("grid", ON_GRID, OF_GRID, "difference")


def orderings_of_equal_steps() -> str:
    """The paper's orderings of its eight systems, with equal steps on GRID's speaker s1."""
    return _orderings("grid", WITH_EQUAL_STEPS, OF_EQUAL_STEPS, "difference")


def _orderings(dataset: str, titles: Mapping[str, str], listed: Iterable[Ordering], head: str) -> str:
    names = {title: name for name, title in titles.items()}
    rows = []
    for ordering, here, a, b, key in listed:
        difference = p = also = ""
        if a:
            pair = paired(dataset, names[a], names[b])
            difference, p = difference_text(pair[key]), p_text(pair[key])
            wer2 = pair["wer2/sound"]
            also = f"{difference_text(wer2).partition(' ')[0]}, p {p_text(wer2)}"
        rows.append((ordering, here.format(also=also), difference, p))
    return _table(("the paper's ordering", "here", head, "p"), rows, words=2)


@cache
def paired(dataset: str, a: str, b: str) -> dict[str, MetricComparison]:
    """The metrics of two systems of a board by their keys, as `tlbench compare` has them."""
    found = _computed(dataset)
    return {row.metric.key: row for row in compare(found[a], found[b]).rows}


def difference_text(row: MetricComparison) -> str:
    """``+0.32 [0.19, 0.45]``."""
    delta, low, high = (
        _shown(row.metric.key, x) for x in (row.difference.delta, row.difference.low, row.difference.high)
    )
    plus = "+" if (row.difference.delta or 0) > 0 and delta.strip("0.") else ""
    return f"{plus}{delta} [{low}, {high}]"


def p_text(row: MetricComparison) -> str:
    """Corrected by Holm; two figures from 0.01."""
    p = row.p_adjusted
    assert p is not None
    return f"{p:.4f}" if p < 0.01 else f"{p:.2g}"


def _of_grid(titles: Mapping[str, str]) -> str:
    """A dagger where WER1's reader is the network that the system was trained with."""
    keys = ("wer1/sound", "wer2/sound", "wer3/sound", "acc_aligned/sound")
    others = ("lse_c/sound", "lse_d/sound", "psnr/sound", "ssim/sound")
    found = _computed("grid")
    rows = []
    for name, title in titles.items():
        _, wer1, *cells = _miniature(title, found[name], (), (*keys, *others))
        rows.append((title, f"{wer1}†" if "avhubert-grid" in found[name].trained_with else wer1, *cells))
    return _table(("system", *map(_label, (*keys, *others))), rows)


def _miniature(title: str, result: Result, intervals: Sequence[str], values: Sequence[str]) -> tuple[str, ...]:
    """A row: values with intervals, then values alone; none of pixels for the real videos, which are their own."""
    real = result.name == "ground-truth"
    alone = ("" if real and key in OF_PIXELS else _shown(key, result.row(key).value) for key in values)
    return (title, *(_with_interval(result, key) for key in intervals), *alone)


def _clips_of(page: str) -> int:
    """The number of clips in the title of a calibration page."""
    found = re.match(r"# .*, (\d+) clips\n", page)
    assert found is not None
    return int(found[1])


def _calibrated(page: str, fault: str, size: str, key: str) -> str:
    """A cell of a table of a calibration page: its value, interval and verdict."""
    table = page.partition(f"\n### {fault}\n\n")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    place = cells[0].index(size)
    return next(line[place] for line in cells if line[0] == f"`{key}`")


TABLES: dict[str, Callable[[], str]] = {
    "published-ranges": published_ranges,
    "ceilings-and-floors": ceilings_and_floors,
    "equal-steps-of-grid": equal_steps_of_grid,
    "faults-of-grid": faults_of_grid,
    "miniature-of-grid": miniature_of_grid,
    "miniature-of-synthetic": miniature_of_synthetic,
    "orderings-of-equal-steps": orderings_of_equal_steps,
    "orderings-of-grid": orderings_of_grid,
    "orderings-of-synthetic": orderings_of_synthetic,
    "pixels-of-grid": pixels_of_grid,
    "second-reader": second_reader,
}


@cache
def _records(dataset: str) -> list[Submission]:
    """The records of a board, each checked when it is read."""
    return [entry.submission for entry in read_dataset(ROOT / "leaderboards" / dataset)]


def _computed(dataset: str) -> dict[str, Result]:
    return {record.result.name: record.result for record in _records(dataset) if isinstance(record, Computed)}


def _best(found: dict[str, Result], key: str) -> str:
    """The best system of a board, with its name; a dash if there is none."""
    values = {
        name: value
        for name, result in found.items()
        if result.role == "system" and (value := result.row(key).value) is not None
    }
    if not values:
        return "-"
    choose = max if find_metric(key).better == "higher" else min
    name = choose(values, key=lambda name: values[name])
    return f"{_shown(key, values[name])} ({name})"


def _order(key: str) -> int:
    order = ("wer1/paper", "wer2/paper", "acc/paper", "lse_c/paper", "lse_d/paper", "psnr/paper", "ssim/paper")
    return order.index(key)


def _label(key: str) -> str:
    metric = find_metric(key)
    unit = f" ({metric.unit})" if metric.unit else ""
    return label_with_arrow(metric.label.replace("|", "\\|"), metric.better) + unit


def _shown(key: str, value: float | None) -> str:
    return number_text(value, find_metric(key).digits)


def _with_interval(result: Result, key: str) -> str:
    row = result.row(key)
    ends = "" if row.low is None or row.high is None else f" [{_shown(key, row.low)}, {_shown(key, row.high)}]"
    return _shown(key, row.value) + ends


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose first columns, as many as ``words``, are on the left."""
    sides = [":---"] * words + ["---:"] * (len(head) - words)
    lines = [" | ".join(head), " | ".join(sides), *(" | ".join(row) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def current(text: str) -> str:
    """A page with its tables as the records have them now."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main(words: list[str]) -> None:
    """Write the tables, or compare them."""
    if words not in ([], ["--check"]):
        sys.exit("usage: python scripts/page_tables.py [--check]")
    for name in PAGES:
        before = (ROOT / name).read_text("utf-8")
        after = current(before)
        if words and after != before:
            sys.exit(f"{name} is not current; run: python scripts/page_tables.py")
        (ROOT / name).write_text(after, "utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The picture and the table at the top of README.md and docs/index.md, made from the records of the leaderboards.

    python scripts/front_page.py            # writes both
    python scripts/front_page.py --check    # exit code 1 if one is not current

The picture has its numbers as text in it, so that a test can compare them with the records without drawing it again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tlbench.document import label_with_arrow, number_text
from tlbench.leaderboard.build import read_dataset
from tlbench.leaderboard.site.charts import FONT, folded, place_labels
from tlbench.leaderboard.submission import Computed, Published
from tlbench.metrics.catalogue import find_metric

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "in-sync-is-not-readable.png"
PAGES = ("README.md", "docs/index.md")
MARKED = re.compile(r"(<!-- table: front-page -->\n).*?(<!-- end -->)", re.S)
ACROSS, UP = "lse_c/paper", "wer1/paper"
PIXELS = (480, 360)  # of the picture as it is shown: its letters can still be read on a phone
SCALE = 3  # it is drawn with three times as many
NUMBERS = "numbers"  # the key of the text in the picture
# Rows of the table: the record of GRID, and what it is.
ROWS = (
    ("ground-truth", "real videos (ceiling)"),
    ("talklip-g-c-equal-steps", "TalkLip (g+c), miniature"),
    ("base-without-lip-loss-equal-steps", "its base without lip loss"),
    ("wav2lip-equal-steps", "Wav2Lip, miniature"),
    ("frozen-mouth", "a mouth that does not move (floor)"),
)
COLUMNS = ("wer2/sound", "wer3/sound", "lse_c/sound", "psnr/sound")


def points() -> list[tuple[str, float, float, bool]]:
    """Name, LSE-C, WER1 and whether it is real video, of each system of the paper's Table 1 that has both."""
    found = []
    for entry in read_dataset(ROOT / "leaderboards" / "lrs2"):
        record = entry.submission
        if isinstance(record, Published):
            figures = {figure.metric: figure.value for figure in record.figures}
            if ACROSS in figures and UP in figures:
                found.append((record.name, figures[ACROSS], figures[UP], record.role == "control"))
    return found


def table() -> str:
    """What readers and pixels say of four rows of GRID, as Markdown."""
    records = {
        entry.file.removesuffix(".json"): entry.submission for entry in read_dataset(ROOT / "leaderboards" / "grid")
    }
    metrics = [find_metric(key) for key in COLUMNS]
    heads = [
        f"{label_with_arrow(m.label, m.better)} ({m.unit or 'no unit'}), {m.arithmetic}".replace(" (no unit)", "")
        for m in metrics
    ]
    lines = [["system", *heads], [":---", *["---:"] * len(heads)]]
    for file, said in ROWS:
        record = records[file]
        assert isinstance(record, Computed)
        cells = []
        for metric in metrics:
            row = record.result.row(metric.key)
            ends = (
                ""
                if row.low is None or row.high is None
                else f" [{_shown(row.low, metric.digits)}, {_shown(row.high, metric.digits)}]"
            )
            cells.append(_shown(row.value, metric.digits) + ends)
        lines.append([said, *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: float | None, digits: int) -> str:
    return number_text(value, digits)


def draw(path: Path) -> None:
    """Write the picture: sync over readability, better is right and up."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = points()
    wide, high = PIXELS
    left, right, top, bottom = 66.0, wide - 14.0, 12.0, high - 52.0
    low_x, high_x, low_y, high_y = 4.7, 9.7, 126.0, 10.0  # LSE-C from left to right, WER1 from bottom to top

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low_x) / (high_x - low_x) * (right - left)
        return across, bottom - (y - low_y) / (high_y - low_y) * (bottom - top)

    points_per_pixel = 72 / 100
    with rc_context({"font.family": "DejaVu Sans", "font.size": FONT * points_per_pixel, "text.parse_math": False}):
        figure = Figure(figsize=(wide / 100, high / 100), dpi=100 * SCALE, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, wide), ylim=(high, 0))
        axes.set_axis_off()
        for tick in range(5, 10):
            x = at(tick, 0)[0]
            axes.plot([x, x], [top, bottom], color="0.88", linewidth=0.6, zorder=0)
            axes.text(x, bottom + 16, str(tick), ha="center", color="0.35")
        for tick in range(20, 121, 20):
            y = at(0, tick)[1]
            axes.plot([left, right], [y, y], color="0.88", linewidth=0.6, zorder=0)
            axes.text(left - 8, y, str(tick), ha="right", va="center", color="0.35")
        axes.text((left + right) / 2, high - 10, "in sync with the speech: LSE-C, better →", ha="center", color="0.2")
        axes.text(
            16,
            (top + bottom) / 2,
            "read from the lips: WER1 (%), better →",
            rotation=90,
            va="center",
            ha="center",
            color="0.2",
        )
        places = [at(x, y) for _, x, y, _ in shown]
        names = [folded(name, 22) for name, *_ in shown]
        for name, (x, y, anchor), (px, py), (*_, control) in zip(
            names, place_labels(names, places, (left, top, right, bottom)), places, shown, strict=True
        ):
            axes.plot(px, py, marker="D" if control else "o", markersize=6, color="#b0561a" if control else "#2f5d8a")
            side = {"start": "left", "middle": "center", "end": "right"}[anchor]
            for number, line in enumerate(name.split("\n")):
                axes.text(x, y + 15 * number, line, ha=side, color="0.1")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100 * SCALE, metadata={"Software": "tlbench", NUMBERS: json.dumps(shown)})


def numbers_in(path: Path) -> list[list[object]]:
    """The numbers that a picture was drawn from. Raises KeyError if it was not drawn by this script."""
    with Image.open(path) as picture:
        return list(json.loads(picture.info[NUMBERS]))


def current(text: str) -> str:
    """A page with its table as the records have it now."""
    return MARKED.sub(lambda found: found[1] + table() + found[2], text)


def stale() -> list[str]:
    """The files that differ from the records."""
    pages = [name for name in PAGES if (text := (ROOT / name).read_text("utf-8")) != current(text)]
    drawn = PICTURE.is_file() and numbers_in(PICTURE) == [list(point) for point in points()]
    return pages if drawn else [*pages, str(PICTURE.relative_to(ROOT))]


def main(words: Sequence[str]) -> None:
    """Write what is stale, or name it."""
    if list(words) not in ([], ["--check"]):
        sys.exit("usage: python scripts/front_page.py [--check]")
    if words:
        if found := stale():
            sys.exit(f"not current: {', '.join(found)}; run: python scripts/front_page.py")
        return
    draw(PICTURE)
    for name in PAGES:
        text = (ROOT / name).read_text("utf-8")
        (ROOT / name).write_text(current(text), "utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])

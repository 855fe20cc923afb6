"""Draws how losses of trainings fell, from the logs in their folders: the picture of docs/miniature.md.

    python scripts/training_curves.py PICTURE KEY: RUN ... [KEY: RUN ...]

Each KEY, such as ``val_l1``, begins a panel with a line for each RUN after it, named like its folder. The numbers that
are drawn are text in a PNG too (``numbers_in``), so that a picture can be compared with logs, or drawn again without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

LOG_NAME = "log.jsonl"
LABELS = {"val_l1": "validation L1", "val_lip_per_token": "nats a token, validation"}
NUMBERS = "numbers"  # the key of the text in the picture

Curves: TypeAlias = "dict[str, list[tuple[int, float]]]"  # by name of the run: step and loss


def panels(words: Sequence[str]) -> list[tuple[str, Curves]]:
    """Key and curves of each panel. Ends the program with one line if there is none, or a run has no such loss."""
    found: list[tuple[str, Curves]] = []
    for word in words:
        if word.endswith(":"):
            found.append((word[:-1], {}))
        elif not found:
            sys.exit(f"{word}: stands before the first key; begin with one, such as val_l1:")
        else:
            key, curves = found[-1]
            curves[Path(word).name] = _curve(Path(word), key)
    if not all(curves for _, curves in found) or not found:
        sys.exit("usage: python scripts/training_curves.py PICTURE KEY: RUN ... [KEY: RUN ...]")
    return found


def _curve(run: Path, key: str) -> list[tuple[int, float]]:
    try:
        lines = [json.loads(line) for line in (run / LOG_NAME).read_text("utf-8").splitlines()]
    except FileNotFoundError:
        sys.exit(f"{run}: has no {LOG_NAME}, so no training was done there")
    curve = [(int(line["step"]), float(line[key])) for line in lines if key in line]
    if not curve:
        known = sorted({name for line in lines for name in line} - {"step"})
        sys.exit(f"{run / LOG_NAME}: has no {key}; it has {', '.join(known)}")
    return curve


def draw(path: Path, drawn: Sequence[tuple[str, Curves]]) -> None:
    """Write the picture: a panel for each key, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * len(drawn), 4), layout="constrained")
    for axes, (key, curves) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        for name, curve in curves.items():
            axes.plot(*zip(*curve, strict=True), marker=".", label=name)
        axes.set(xlabel="step", ylabel=LABELS.get(key, key))
        axes.grid(alpha=0.3)
        axes.legend()
    about = {NUMBERS: json.dumps(drawn)} if path.suffix == ".png" else None
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata=about)


def numbers_in(path: Path) -> list[tuple[str, Curves]]:
    """What a picture was drawn from. Raises KeyError if it was not drawn by this script."""
    with Image.open(path) as picture:
        read = json.loads(picture.info[NUMBERS])
    return [
        (key, {run: [(step, loss) for step, loss in curve] for run, curve in curves.items()}) for key, curves in read
    ]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python scripts/training_curves.py PICTURE KEY: RUN ... [KEY: RUN ...]")
    draw(Path(sys.argv[1]), panels(sys.argv[2:]))

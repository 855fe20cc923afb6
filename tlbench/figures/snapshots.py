"""Draws frames of one clip as Fig. 4 of the paper: one row a system, one column a moment, the real video on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlbench.figures.figure_files import check_png, save_png

FRAME_INCHES = 0.95  # height of a frame
NAME_INCHES = 1.1
HEAD_INCHES = 0.62
GAP = 0.03  # of a frame, between frames


@dataclass(frozen=True)
class Moment:
    """A column.

    Attributes
    ----------
    seconds : float
        Time since the start of the clip.
    sound, word : str
        The phoneme spoken at that time and the word it belongs to. "" if unknown or silent.
    """

    seconds: float
    sound: str = ""
    word: str = ""


@dataclass(frozen=True)
class SnapshotRow:
    """A system's frames.

    Attributes
    ----------
    name : str
    frames : tuple of (H, W, 3) uint8 RGB or None
        One a moment; None after the end of the video.
    note : str
        Written instead of the frames if there are none.
    """

    name: str
    frames: tuple[np.ndarray | None, ...] = ()
    note: str = ""


def draw_snapshots(title: str, moments: Sequence[Moment], rows: Sequence[SnapshotRow], path: Path) -> None:
    """Write the rows of frames as a PNG.

    Raises TlbenchError if ``path`` does not end in .png or can't be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_png(path)
    shapes = [frame.shape for row in rows for frame in row.frames if frame is not None]
    aspect = shapes[0][1] / shapes[0][0] if shapes else 1.0
    wide = NAME_INCHES + FRAME_INCHES * aspect * len(moments)
    high = HEAD_INCHES + FRAME_INCHES * len(rows)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 7.0, "text.parse_math": False}):
        figure = Figure(figsize=(wide, high), facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(0.02 / wide, 1 - 0.05 / high, title, va="top", ha="left", fontsize=7.5)
        step = FRAME_INCHES * aspect
        for column, moment in enumerate(moments):
            x = (NAME_INCHES + (column + 0.5) * step) / wide
            said = moment.sound or moment.word
            figure.text(x, 1 - 0.33 / high, said, ha="center", va="center", fontsize=8.5, fontweight="bold")
            below = (
                f"{moment.word}  {moment.seconds:.2f} s" if moment.sound and moment.word else f"{moment.seconds:.2f} s"
            )
            figure.text(x, 1 - 0.51 / high, below, ha="center", va="center", fontsize=5.5, color="0.35")
        for number, row in enumerate(rows):
            bottom = FRAME_INCHES * (len(rows) - 1 - number)
            y = (bottom + FRAME_INCHES / 2) / high
            figure.text(
                (NAME_INCHES - 0.08) / wide, y, _folded(row.name), ha="right", va="center", fontsize=7.5,
                fontweight="bold" if number == 0 else "normal",
            )  # fmt: skip
            if not row.frames:
                figure.text((NAME_INCHES + 0.1) / wide, y, row.note, ha="left", va="center", color="0.4")
            for column, frame in enumerate(row.frames):
                left = NAME_INCHES + column * step
                place = (
                    (left + step * GAP / 2) / wide,
                    (bottom + FRAME_INCHES * GAP / 2) / high,
                    step * (1 - GAP) / wide,
                    FRAME_INCHES * (1 - GAP) / high,
                )
                axes = figure.add_axes(place)
                axes.set_axis_off()
                if frame is None:
                    axes.text(0.5, 0.5, "ended", ha="center", va="center", color="0.5", fontsize=6.5)
                else:
                    axes.imshow(frame, interpolation="lanczos")  # a frame of another shape gets margins
        save_png(figure, path)


def _folded(name: str) -> str:
    """A name in at most three lines that fit the margin."""
    import textwrap

    return "\n".join(textwrap.wrap(name, 15)[:3])

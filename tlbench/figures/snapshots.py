"""Draws frames of one clip as Fig. 4 of the paper: one row a system, one column a moment, the real video on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.figures.figure_files import WIDTH_INCHES, Width, check_figure, save_figure

FRAME_INCHES = 0.95  # height of a frame
NAME_INCHES = 1.1
NARROW_NAME_INCHES = 0.7  # in a column
LEAST_INCHES = 0.3  # width of a frame; the time below it needs as much
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


def draw_snapshots(
    title: str, moments: Sequence[Moment], rows: Sequence[SnapshotRow], path: Path, width: Width | None = None
) -> None:
    """Write the rows of frames as a figure.

    ``width``: that of a column or a page of a paper; frames become as large as fits. None for frames of
    ``FRAME_INCHES``.

    Raises TlbenchError if ``path`` is no name of a figure or can't be written, or more frames are asked for than fit.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_figure(path)
    shapes = [frame.shape for row in rows for frame in row.frames if frame is not None]
    aspect = shapes[0][1] / shapes[0][0] if shapes else 1.0
    tall, margin = FRAME_INCHES, NAME_INCHES
    if width is not None:
        margin = NARROW_NAME_INCHES if width == "column" else NAME_INCHES
        tall = (WIDTH_INCHES[width] - margin) / (aspect * len(moments))
        if tall * aspect < LEAST_INCHES:
            most = int((WIDTH_INCHES[width] - margin) / LEAST_INCHES)
            raise TlbenchError(
                f"--frames {len(moments)}: a {width} of {WIDTH_INCHES[width]:g} in has room for {most}; ask for fewer"
            )
    wide = margin + tall * aspect * len(moments)
    high = HEAD_INCHES + tall * len(rows)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 7.0, "text.parse_math": False}):
        figure = Figure(figsize=(wide, high), facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(0.02 / wide, 1 - 0.05 / high, title, va="top", ha="left", fontsize=7.5)
        step = tall * aspect
        for column, moment in enumerate(moments):
            x = (margin + (column + 0.5) * step) / wide
            said = moment.sound or moment.word
            figure.text(x, 1 - 0.33 / high, said, ha="center", va="center", fontsize=8.5, fontweight="bold")
            below = (
                f"{moment.word}  {moment.seconds:.2f} s" if moment.sound and moment.word else f"{moment.seconds:.2f} s"
            )
            figure.text(x, 1 - 0.51 / high, below, ha="center", va="center", fontsize=5.5, color="0.35")
        for number, row in enumerate(rows):
            bottom = tall * (len(rows) - 1 - number)
            y = (bottom + tall / 2) / high
            figure.text(
                (margin - 0.08) / wide, y, _folded(row.name, int(margin * 14)), ha="right", va="center", fontsize=7.5,
                fontweight="bold" if number == 0 else "normal",
            )  # fmt: skip
            if not row.frames:
                figure.text((margin + 0.1) / wide, y, row.note, ha="left", va="center", color="0.4")
            for column, frame in enumerate(row.frames):
                left = margin + column * step
                place = (
                    (left + step * GAP / 2) / wide,
                    (bottom + tall * GAP / 2) / high,
                    step * (1 - GAP) / wide,
                    tall * (1 - GAP) / high,
                )
                axes = figure.add_axes(place)
                axes.set_axis_off()
                if frame is None:
                    axes.text(0.5, 0.5, "ended", ha="center", va="center", color="0.5", fontsize=6.5)
                else:
                    axes.imshow(frame, interpolation="lanczos")  # a frame of another shape gets margins
        save_figure(figure, path)


def _folded(name: str, letters: int) -> str:
    """A name in at most three lines that fit the margin."""
    import textwrap

    return "\n".join(textwrap.wrap(name, letters)[:3])

"""Draws audio embeddings of two words in the plane, one panel a generator, as Fig. 3, 5 and 7 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlbench.figures.figure_files import WIDTH_INCHES, Width, check_figure, save_figure

# Okabe and Ito's vermilion and blue (the paper has red and blue). The markers differ for readers who see no colours.
COLOURS = ("#D55E00", "#0072B2")
MARKERS = ("o", "^")
PANEL_INCHES = 2.5


@dataclass(frozen=True)
class EmbeddingPanel:
    """One generator's embeddings.

    Attributes
    ----------
    title : str
    places : (N, 2) float
        Positions of the embeddings in the plane.
    labels : (N,) int
        0 for the first word, 1 for the second.
    same_word_share : float
        Share of embeddings whose nearest neighbour in the full space is of the same word.
    """

    title: str
    places: np.ndarray
    labels: np.ndarray
    same_word_share: float


def draw_embeddings(
    words: tuple[str, str], panels: Sequence[EmbeddingPanel], path: Path, width: Width | None = None
) -> None:
    """Write the panels as a figure, one below the other in a column.

    ``width``: that of a column or a page of a paper; None for panels of ``PANEL_INCHES`` side by side.

    Axes have no ticks, since t-SNE keeps neighbours but not distances.

    Raises TlbenchError if ``path`` is no name of a figure or can't be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_figure(path)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 7.0, "axes.linewidth": 0.5, "text.parse_math": False}):
        down = len(panels) if width == "column" else 1
        across = len(panels) // down
        side = PANEL_INCHES if width is None else WIDTH_INCHES[width] / across
        size = (side * across, min(side, PANEL_INCHES) * down + 0.45)
        figure = Figure(figsize=size, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for panel, axes in zip(panels, grid, strict=True):
            for label, word in enumerate(words):
                chosen = panel.places[panel.labels == label]
                axes.scatter(
                    chosen[:, 0], chosen[:, 1], s=11, c=COLOURS[label], marker=MARKERS[label], alpha=0.75,
                    linewidths=0, label=f"{word} ({len(chosen)})",
                )  # fmt: skip
            axes.set_title(panel.title, fontsize=8, fontweight="bold")
            axes.set_xlabel(
                f"{100 * panel.same_word_share:.0f} % have a nearest neighbour of the same word", fontsize=6.5
            )
            axes.set_xticks([])
            axes.set_yticks([])
            axes.margins(0.08)
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=7.5)
        save_figure(figure, path)

"""The static site: every page as text. The same records give the same text, and a page loads nothing else.

Each page contains its style and scripts, so that a page saved on its own still works. The content security policy in
its head allows nothing else to run or to load. Names come from strangers: Jinja2 escapes what it writes, the charts
escape their text (:func:`tlbench.leaderboard.site.charts.tag`), and the scripts write text only as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from tlbench.files import csp_hash
from tlbench.html_pages import template_environment
from tlbench.leaderboard.site.dataset import board_context, head, numbers_csv, system_page
from tlbench.leaderboard.site.front import front_card, front_panel
from tlbench.leaderboard.site.project import project_address
from tlbench.leaderboard.site.submit import submit_context
from tlbench.leaderboard.site.system import system_context
from tlbench.leaderboard.standings import Board
from tlbench.leaderboard.submission import Column
from tlbench.metrics.catalogue import all_metrics

FRONT, ARITHMETIC, SUBMIT, BOARDS = "index.html", "paper-and-sound.html", "submit.html", "boards"
MARK = '<meta name="generator" content="tlbench leaderboard">'  # tells pages of this site from other files


def site_pages(boards: Sequence[Board]) -> dict[str, str]:
    """The text of every page by its path below the folder of the site.

    A data set has ``boards/<data set>.html`` and ``.csv``, and a system ``boards/<data set>/<system>.html``, so that no
    two pages have the same path whatever their names are.
    """
    environment = template_environment("tlbench.leaderboard.site")
    shell = _shell([board.dataset for board in boards])
    pages = {}

    def draw(path: str, template: str, script: str, **context: Any) -> None:
        root = "../" * path.count("/")
        pages[path] = environment.get_template(template).render(
            **shell, **_script(script), root=root, path=path, **context
        )

    panel = front_panel(boards, f"{BOARDS}/")
    draw(FRONT, "front.html", "", boards=[front_card(board, f"{BOARDS}/") for board in boards], telling=panel)
    draw(SUBMIT, "submit.html", "", **submit_context())
    draw(ARITHMETIC, "arithmetic.html", "live.js", metrics=_both_arithmetics())
    for board in boards:
        draw(f"{BOARDS}/{board.dataset}.html", "dataset.html", "table.js", board=board_context(board))
        pages[f"{BOARDS}/{board.dataset}.csv"] = numbers_csv(board)
        for entry in board.entries:
            path = f"{BOARDS}/{system_page(board.dataset, entry)}"
            draw(path, "system.html", "table.js", system=system_context(board, entry))
    return pages


def _shell(datasets: Sequence[str]) -> dict[str, Any]:
    """The part of the context that all pages share."""
    style, theme = _static("site.css"), _static("theme.js")
    return {
        "datasets": datasets,
        "project": {label: project_address(label) for label in ("Documentation", "Repository")},
        "style": Markup(style),
        "style_hash": csp_hash(style),
        "theme": Markup(theme),
        "theme_hash": csp_hash(theme),
    }


def _script(name: str) -> dict[str, Any]:
    text = _static(name) if name else ""
    return {"script": Markup(text), "script_hash": csp_hash(text)}


def _static(name: str) -> str:
    return (files("tlbench.leaderboard.site") / "static" / name).read_text("utf-8")


def _both_arithmetics() -> list[dict[str, Any]]:
    """Every headline metric but those of drives, with its description in each arithmetic; "" where it has none."""
    found: dict[str, dict[str, Any]] = {}
    for metric in all_metrics():
        if metric.headline and not metric.parts:
            column = Column(metric.label, metric.unit, metric.better, metric.digits)
            both = found.setdefault(
                metric.name, {**head(metric.key, column, {metric.key: ""}), "paper": "", "sound": ""}
            )
            both[metric.arithmetic] = metric.description
    return list(found.values())

"""The scatter charts of the site: no leader runs through a name, which nobody could read then."""

from __future__ import annotations

import random
import re
from html import unescape
from pathlib import Path

import pytest

from tlbench.leaderboard import build as leaderboard
from tlbench.leaderboard.site.charts import Axis, ChartPoint, crowded, scatter
from tlbench.leaderboard.site.dataset import DESK, PHONE, pictures
from tlbench.leaderboard.standings import make_board

ROOT = Path(__file__).parents[2]
AXIS = Axis("SSIM", "", "higher", 2)


def names_of(chart: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the names (or numbers) in the plot, a pixel inside their edges."""
    boxes = []
    for anchor, inside in re.findall(r'<text class="name" text-anchor="(\w+)">(<tspan.*?)</text>', chart):
        lines = re.findall(r'<tspan x="(.*?)" y="(.*?)">(.*?)</tspan>', inside)
        x, y = float(lines[0][0]), float(lines[0][1])
        width = 13 * 0.57 * max(len(unescape(text)) for _, _, text in lines)
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        boxes.append((left + 1, y - 9, left + width - 1, y + 2 + 15 * (len(lines) - 1)))
    return boxes


def leaders_of(chart: str) -> list[list[tuple[float, float]]]:
    """Points on each leader of a chart, from the mark to the name."""
    found = re.findall(r'<line class="leader" x1="(.*?)" y1="(.*?)" x2="(.*?)" y2="(.*?)">', chart)
    ends = [tuple(map(float, one)) for one in found]
    steps = [step / 200 for step in range(201)]
    return [[(x1 + (x2 - x1) * step, y1 + (y2 - y1) * step) for step in steps] for x1, y1, x2, y2 in ends]


def crossings(chart: str) -> int:
    """How often a leader runs through a name; of its own name it only touches the edge."""
    return sum(
        any(left < x < right and top < y < bottom for x, y in leader)
        for leader in leaders_of(chart)
        for left, top, right, bottom in names_of(chart)
    )


def test_no_leader_runs_through_a_name_in_the_charts_of_this_repository() -> None:
    boards = [make_board(name, entries) for name, entries in leaderboard.read_board(ROOT / "leaderboards").items()]
    charts = [
        (board.dataset, panel.title, chart)
        for board in boards
        for table in board.tables
        for picture in pictures(board, table)
        for panel in picture["panels"]
        for chart in (panel.wide, panel.narrow)
    ]
    assert any(leaders_of(chart) for _, _, chart in charts)
    assert [(dataset, title) for dataset, title, chart in charts if crossings(chart)] == []


@pytest.mark.parametrize("seed", range(16))
def test_no_leader_runs_through_a_name_in_charts_of_random_points(seed: int) -> None:
    chance = random.Random(seed)
    words = ["Base", "TalkLip", "without", "lip", "loss", "miniature"]
    part = chance.choice([1.0, 0.3, 0.1])  # of the chart, in which every second point is
    points = []
    for place in range(chance.randint(2, 20)):
        name = " ".join(chance.choices(words, k=chance.randint(1, 5)))
        x, y = (chance.random() * (part if place % 2 else 1) for _ in range(2))
        points.append(ChartPoint(name, "a", x, y))
    for size in (DESK, PHONE):
        assert crossings(scatter(points, AXIS, AXIS, *size)) == 0


def test_a_chart_is_crowded_if_a_leader_crosses_a_name() -> None:
    names, places = ["far", "between"], [(100.0, 100.0), (100.0, 160.0)]
    between = (105.0, 164.0, "end")
    assert not crowded(names, places, [(109.0, 104.0, "start"), between])
    assert crowded(names, places, [(95.0, 220.0, "middle"), between])

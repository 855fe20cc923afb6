"""Charts as SVG text. Names come from strangers, so :func:`tag` escapes everything that is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import ceil, floor, log10
from textwrap import wrap

import numpy as np
from markupsafe import Markup, escape

from tlbench.document import counted
from tlbench.metrics.metric import Direction

FONT = 13  # pixels; charts are shown at the size at which they are drawn
LETTER = 0.57  # average width of a letter, in font sizes, on the wide side
LINE = 15  # pixels between the lines of a name
NARROW = 500  # pixels; in narrower charts names are folded earlier
BINS = 24
ROUNDS = 6  # of placing names; more rounds change nothing visible
COVERED = 12.0  # square pixels that two names may share: no letter is hidden
OVERLAP = 40.0  # cost of a square pixel that two names, or a name and a mark, share
CROSSED = 300.0  # cost of a leader over a name or a mark
NEAR = 12  # pixels; a name further away from its point gets a line to it
Box = tuple[float, float, float, float]  # left, top, right, bottom
Place = tuple[float, float]
Line = tuple[float, float, float, float]  # x and y of the begin, then of the end
Label = tuple[float, float, str]  # x, y of the first line's baseline, and the anchor of the text


@dataclass(frozen=True)
class Axis:
    """An axis of a chart. Better values are to the right or above, also for metrics where lower is better."""

    label: str
    unit: str
    better: Direction
    digits: int

    @property
    def name(self) -> str:
        """The label with its unit."""
        return self.label + (f" ({self.unit})" if self.unit else "")

    def scale(self, values: Sequence[float], begin: float, end: float) -> Scale:
        """The scale from values to pixels, the worst at ``begin`` and the best at ``end``, with a margin."""
        low, high = span(values)
        return Scale(low, high, end, begin) if self.better == "lower" else Scale(low, high, begin, end)


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to pixels."""

    low: float
    high: float
    at_low: float
    at_high: float

    def __call__(self, value: float) -> float:
        return round(self.at_low + (value - self.low) / (self.high - self.low) * (self.at_high - self.at_low), 1)


@dataclass(frozen=True)
class ChartPoint:
    """One system: its two values with intervals, and the address of its page. ``control`` is a ceiling or floor."""

    name: str
    href: str
    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    control: bool = False


def tag(name: str, attributes: Mapping[str, object], *children: str) -> Markup:
    """One element. Attributes and children are escaped, except for children that are Markup."""
    given = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in attributes.items())
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, given, inside)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``wanted`` of them, in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(place * step, 10) for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def span(values: Sequence[float], margin: float = 0.08) -> tuple[float, float]:
    """Least and greatest value with a margin; never an empty range."""
    low, high = min(values), max(values)
    extra = margin * (high - low) or abs(low) * 0.05 or 1.0
    return low - extra, high + extra


def scatter(points: Sequence[ChartPoint], x: Axis, y: Axis, width: int, height: int) -> Markup:
    """A scatter plot of named points, each a link to a page, with whiskers for intervals. Better is right and up.

    Where the names do not fit next to each other, points have numbers, and the names are listed below.

    Parameters
    ----------
    points : sequence of ChartPoint
        At least one, with finite numbers.
    x, y : Axis
    width, height : int
        In pixels.
    """
    left, top, right, bottom = 56.0, 26.0, width - 18.0, height - 48.0
    across = x.scale([value for p in points for value in (p.x, *(p.x_ends or ()))], left, right)
    up = y.scale([value for p in points for value in (p.y, *(p.y_ends or ()))], bottom, top)
    drawn = []
    for value in ticks(across.low, across.high, width // 80):
        at = across(value)
        drawn.append(tag("line", {"class": "grid", "x1": at, "x2": at, "y1": top, "y2": bottom}))
        drawn.append(_text(f"{value:g}", at, bottom + 17, "middle", "tick"))
    for value in ticks(up.low, up.high, 7):
        at = up(value)
        drawn.append(tag("line", {"class": "grid", "x1": left, "x2": right, "y1": at, "y2": at}))
        drawn.append(_text(f"{value:g}", left - 6, at + 4, "end", "tick"))
    drawn.append(_text(f"{x.name}{_towards_better(x)}", (left + right) / 2, height - 10, "middle", "axis"))
    turned = f"translate(14 {(top + bottom) / 2:g}) rotate(-90)"
    name = f"{y.name}{_towards_better(y)}"
    drawn.append(tag("text", {"class": "axis", "text-anchor": "middle", "transform": turned}, name))
    places = [(across(p.x), up(p.y)) for p in points]
    names = [folded(p.name, 16 if width < NARROW else 26) for p in points]
    frame = (left, 2.0, width - 2.0, bottom)
    labels = place_labels(names, places, frame)
    key: list[Markup] = []
    if crowded(names, places, labels):
        names = [str(number) for number in range(1, len(points) + 1)]
        labels = place_labels(names, places, frame)
        key, height = _key(points, width, height)
    drawn += [_whiskers(p, place, across, up) for p, place in zip(points, places, strict=True)]
    leaders = [_leader(place, _extent(name, at)) for name, place, at in zip(names, places, labels, strict=True)]
    drawn += [
        tag("line", {"class": "leader", "x1": x1, "y1": y1, "x2": f"{x2:g}", "y2": f"{y2:g}"})
        for x1, y1, x2, y2 in filter(None, leaders)
    ]
    drawn += [_point(*one, x, y) for one in zip(points, names, places, labels, strict=True)] + key
    said = f"{y.name} over {x.name}, {counted(len(points), 'system')}. The data set's table has the same numbers."
    return _svg(width, height, said, drawn, role="group")


def crowded(names: Sequence[str], places: Sequence[Place], labels: Sequence[Label]) -> bool:
    """Whether some names cover each other by more than a few pixels, or the leader of one crosses another."""
    boxes = [_extent(name, label) for name, label in zip(names, labels, strict=True)]
    leaders = [_leader(place, box) for place, box in zip(places, boxes, strict=True)]
    return any(
        _common(boxes[i], boxes[j]) > COVERED or _crosses(leaders[i], boxes[j])
        for i, j in permutations(range(len(boxes)), 2)
    )


def _key(points: Sequence[ChartPoint], width: int, height: int) -> tuple[list[Markup], int]:
    """The names of numbered points as lines below a chart, and the height of the chart with them."""
    drawn, y = [], height + 8
    letters = int((width - 40) / (FONT * LETTER))
    for number, point in enumerate(points, start=1):
        y += 4
        drawn.append(_text(str(number), 26, y + LINE, "end", "tick"))
        for line in folded(point.name, letters).split("\n"):
            y += LINE
            drawn.append(tag("a", {"href": point.href, "tabindex": "-1"}, _text(line, 34, y, "start", "name")))
    return drawn, y + 10


def _towards_better(axis: Axis) -> str:
    return "" if axis.better == "none" else ", better →"


def _whiskers(point: ChartPoint, place: Place, across: Scale, up: Scale) -> Markup:
    lines = []
    if point.x_ends is not None:
        ends = {"x1": across(point.x_ends[0]), "x2": across(point.x_ends[1]), "y1": place[1], "y2": place[1]}
        lines.append(tag("line", {"class": "whisker", **ends}))
    if point.y_ends is not None:
        ends = {"x1": place[0], "x2": place[0], "y1": up(point.y_ends[0]), "y2": up(point.y_ends[1])}
        lines.append(tag("line", {"class": "whisker", **ends}))
    return Markup("").join(lines)


def _leader(place: Place, box: Box) -> Line | None:
    """The line from a point to the nearest point of its name; None for a name that is next to its point."""
    (x, y), (left, top, right, bottom) = place, box
    near = min(max(x, left), right), min(max(y, top), bottom)
    return (x, y, *near) if (near[0] - x) ** 2 + (near[1] - y) ** 2 >= NEAR**2 else None


def _crosses(line: Line | None, box: Box) -> bool:
    """Whether a part of a line is in a box."""
    if line is None:
        return False
    begin, end = 0.0, 1.0  # of the part, in lengths of the line
    for side in (0, 1):
        at, step = line[side], line[side + 2] - line[side]
        if step:
            enter, leave = sorted(((box[side] - at) / step, (box[side + 2] - at) / step))
            begin, end = max(begin, enter), min(end, leave)
        elif not box[side] < at < box[side + 2]:
            return False
        if begin >= end:
            return False
    return True


def _point(point: ChartPoint, name: str, place: Place, label: Label, x: Axis, y: Axis) -> Markup:
    said = f"{point.name}: {x.name} {point.x:.{x.digits}f}, {y.name} {point.y:.{y.digits}f}"
    size = 5.5
    mark = tag("circle", {"class": "mark", "cx": place[0], "cy": place[1], "r": size})
    if point.control:
        corners = [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)]
        outline = " ".join(f"{place[0] + size * dx:.1f},{place[1] + size * dy:.1f}" for dx, dy in corners)
        mark = tag("polygon", {"class": "mark control", "points": outline})
    title = tag("title", {}, said)
    x_text, y_text, anchor = label
    lines = [
        tag("tspan", {"x": f"{x_text:g}", "y": f"{y_text + LINE * number:g}"}, line)
        for number, line in enumerate(name.split("\n"))
    ]
    text = tag("text", {"class": "name", "text-anchor": anchor}, *lines)
    return tag("a", {"href": point.href, "aria-label": said}, title, mark, text)


def place_labels(names: Sequence[str], places: Sequence[Place], frame: Box) -> list[Label]:
    """The position of each name near its point, with as little overlap as possible, also of leaders with names.

    Each name in turn takes the position with the least overlap. This is repeated with the positions of all others until
    no name moves. Positions further away cost a little, and leaving the frame costs most. A leader must cross no other
    name, or nobody could read it, and pass no other mark, or it would seem to begin there. A name may have several
    lines.
    """
    points = [(x - 7, y - 7, x + 7, y + 7) for x, y in places]
    chosen: list[Label | None] = [None] * len(names)
    boxes: list[Box | None] = [None] * len(names)
    leaders: list[Line | None] = [None] * len(names)
    for _ in range(ROUNDS):
        before = list(chosen)
        for i, (name, (x, y)) in enumerate(zip(names, places, strict=True)):
            taken = [box for j, box in enumerate(boxes) if j != i and box is not None]
            taken += [point for j, point in enumerate(points) if j != i]
            lines = [line for j, line in enumerate(leaders) if j != i]
            best = float("inf")
            for distance, label in enumerate(_choices(x, y, name.count("\n"))):
                box = _extent(name, label)
                cost = 1000 * sum(max(0.0, over) for over in _over(box, frame)) + 2 * distance
                if cost >= best:
                    continue
                line = _leader((x, y), box)
                crossed = sum(_crosses(line, other) for other in taken) + sum(_crosses(other, box) for other in lines)
                cost += OVERLAP * sum(_common(box, other) for other in taken) + CROSSED * crossed
                if cost < best - 1e-9:
                    best, chosen[i], boxes[i], leaders[i] = cost, label, box, line
        if chosen == before:
            break
    return [label for label in chosen if label is not None]


def _choices(x: float, y: float, more: int) -> list[Label]:
    """Possible positions, the best first: next to the point, above, below, at its corners, then further away.

    ``more``: lines of the name after its first.
    """
    middle, up = 4 - more * LINE / 2, -more * LINE  # of the first line's baseline, so that all lines are there
    near: list[Label] = [
        (x + 9, y + middle, "start"),
        (x - 9, y + middle, "end"),
        (x, y - 10 + up, "middle"),
        (x, y + 19, "middle"),
    ]
    near += [
        (x + 6 * sx, y + 4 + 11 * sy + (up if sy < 0 else 0), "start" if sx > 0 else "end")
        for sy in (-1, 1)
        for sx in (1, -1)
    ]
    far: list[Label] = [
        (x + shift, y + 4 + sy * off + (up if sy < 0 else 0), anchor)
        for off in (26, 40, 54, 70, 90, 112)
        for sy in (-1, 1)
        for anchor, shift in (("middle", 0), ("start", 4), ("end", -4), ("start", off), ("end", -off))
    ]
    wide: list[Label] = [
        (x + sx * off, y + middle + shift, "start" if sx > 0 else "end")
        for off in (24, 44, 70)
        for sx in (1, -1)
        for shift in (0, -12, 12)
    ]
    return near + wide + far


def _extent(name: str, label: Label) -> Box:
    x, y, anchor = label
    lines = name.split("\n")
    width = max(map(len, lines)) * FONT * LETTER
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
    return left, y - 0.8 * FONT, left + width, y + 0.25 * FONT + LINE * (len(lines) - 1)


def _over(box: Box, frame: Box) -> tuple[float, float, float, float]:
    """How far a box extends beyond each side of a frame; negative if it does not."""
    return frame[0] - box[0], frame[1] - box[1], box[2] - frame[2], box[3] - frame[3]


def _common(a: Box, b: Box) -> float:
    """The area of the intersection of two boxes."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, high)


def folded(name: str, most: int) -> str:
    """The whole name in lines of at most ``most`` letters.

    >>> folded("Base without lip and GAN loss", 16)
    'Base without lip\\nand GAN loss'
    """
    return "\n".join(wrap(name, most)) or name


def strip(values: Sequence[tuple[float, bool]], own: float, axis: Axis, said: str) -> Markup:
    """The numbers of all systems as ticks on a line, the own number as a dot. Better is right.

    Parameters
    ----------
    values : sequence of (value, control)
        Finite numbers of the other systems.
    own : float
    axis : Axis
    said : str
        Description for screen readers.
    """
    at = axis.scale([own, *(value for value, _ in values)], 4, 156)
    drawn = [tag("line", {"class": "grid", "x1": 0, "x2": 160, "y1": 12, "y2": 12})]
    for value, control in values:
        place = {"x1": at(value), "x2": at(value), "y1": 5, "y2": 19}
        drawn.append(tag("line", {"class": "tick control" if control else "tick", **place}))
    drawn.append(tag("circle", {"class": "mark", "cx": at(own), "cy": 12, "r": 5}))
    return _svg(160, 24, said, drawn)


def histogram(values: Sequence[float], axis: Axis, shown: Callable[[float], str], mark: float | None) -> Markup:
    """A histogram of the numbers of single clips, on an axis in the order of numbers, with the total number marked.

    Parameters
    ----------
    values : sequence of float
        Finite, one a clip.
    axis : Axis
    shown : float -> str
        Formats a number.
    mark : float or None
        The number over all clips; None if it is not finite.
    """
    width, height, left, right, top, bottom = 340, 170, 40.0, 330.0, 12.0, 122.0
    found = np.asarray(values, dtype=np.float64)
    low, high = float(found.min()), float(found.max())
    if high - low <= 1e-12 * max(1.0, abs(low)):
        low, high = span([low])
    counts, edges = np.histogram(found, bins=BINS, range=(low, high))
    at = Scale(low, high, left, right)
    up = Scale(0, float(counts.max()), bottom, top)
    drawn = []
    for value in ticks(low, high, 4):
        drawn.append(_text(f"{value:g}", at(value), bottom + 17, "middle", "tick"))
        place = {"x1": at(value), "x2": at(value), "y1": bottom, "y2": bottom + 4}
        drawn.append(tag("line", {"class": "grid", **place}))
    for count in {0, int(counts.max())}:
        drawn.append(_text(f"{count:,}", left - 6, up(count) + 4, "end", "tick"))
    for count, begin, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            said = f"{shown(begin)} to {shown(end)}: {count:,} clips"
            place = {"x": at(begin), "y": up(count), "width": round(at(end) - at(begin) - 0.8, 1)}
            drawn.append(
                tag("rect", {"class": "bar", **place, "height": round(bottom - up(count), 1)}, tag("title", {}, said))
            )
    drawn.append(tag("line", {"class": "grid", "x1": left, "x2": right, "y1": bottom, "y2": bottom}))
    if mark is not None and low <= mark <= high:
        place = {"x1": at(mark), "x2": at(mark), "y1": top - 8, "y2": bottom}
        drawn.append(tag("line", {"class": "quoted", **place}, tag("title", {}, f"all clips: {shown(mark)}")))
    drawn.append(_text(f"{axis.name} of a clip", (left + right) / 2, height - 8, "middle", "axis"))
    quartiles = [shown(float(q)) for q in np.quantile(found, [0, 0.25, 0.5, 0.75, 1])]
    said = f"{axis.name} of {len(found):,} clips: from {quartiles[0]} to {quartiles[4]}, half of them within "
    said += f"{quartiles[1]} and {quartiles[3]}, the middle one {quartiles[2]}"
    return _svg(width, height, said, drawn)


def bar(share: float) -> Markup:
    """A bar in a table: ``share`` of the widest bar, from 0 to 1. The number next to it has the same value."""
    rest = {"class": "rest", "x": 0, "y": 3, "width": 100, "height": 8}
    full = {"class": "bar", "x": 0, "y": 3, "width": round(100 * min(1.0, max(0.0, share)), 1), "height": 8}
    attributes = {"viewBox": "0 0 100 14", "width": 100, "height": 14, "aria-hidden": "true", "class": "bars"}
    return tag("svg", attributes, tag("rect", rest), tag("rect", full))


def _text(text: str, x: float, y: float, anchor: str, kind: str) -> Markup:
    return tag("text", {"class": kind, "x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor}, text)


def _svg(width: int, height: int, said: str, drawn: Sequence[Markup], role: str = "img") -> Markup:
    size = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    return tag("svg", {**size, "role": role, "aria-label": said}, *drawn)

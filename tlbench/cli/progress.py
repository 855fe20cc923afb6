"""Progress bars of long commands on stderr, with rate and time left. Without a terminal, a line now and then."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tlbench.cli import minute
from tlbench.cli.lines import lines_above
from tlbench.cli.pace import Pace
from tlbench.document import counted
from tlbench.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from typing_extensions import Self

    from tlbench.observing.evidence import Observation
    from tlbench.observing.ray_options import ClusterState
    from tlbench.training.loop import TrainingReport

BAR_WIDTH = 16  # leaves room for counts, time and figures in 80 columns


def _counting_bar(*, transient: bool = False) -> tuple[Console, Progress]:
    """A bar on stderr with counts, time and figures; it draws nothing without a terminal.

    ``transient``: whether it is removed at the end.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )
    return console, bar


class _Drawn:
    """A bar that is drawn inside a with block, with lines above it."""

    console: Console
    _bar: Progress

    def __enter__(self) -> Self:
        self._drawn = ExitStack()
        if self.console.is_terminal:
            self._drawn.enter_context(lines_above(self.say))
        self._drawn.enter_context(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.close()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)


class ScoreProgress(_Drawn):
    """Shows the progress of a run, and each clip that failed."""

    def __init__(self) -> None:
        self.console, self._bar = _counting_bar()
        self._task = self._bar.add_task("preparing", total=None, figures="")
        self._doing = ""
        self._pace = Pace("clips")
        self._cached = 0
        self._figures = ""
        self._cluster = ""
        self._nothing_yet = True  # of these clips

    def __call__(self, name: str, observation: Observation | None, done: int, total: int) -> None:
        doing = f"scoring {name}" if observation is not None else f"writing {name}"
        if doing != self._doing:
            self._doing = doing
            self._pace.begin_after_latest()
            self._cached = 0
            self._bar.reset(self._task, description=doing, total=total, figures="")
        self._nothing_yet = done == total
        if observation is not None:
            self._tell(observation)
        self._figures = self._pace.figures(done, total, self._cached)
        self._bar.update(self._task, completed=done, total=total, figures=self._all_figures)
        if not self.console.is_terminal and minute.is_over():
            self.say(f"{doing}: {done} of {counted(total, 'clip')}, {self._all_figures}")
        if done == total and self._cached:
            self.say(f"{name}: {self._cached} of {counted(total, 'clip')} came from the cache")

    def watch(self, cluster: ClusterState) -> None:
        """Show how many nodes of a cluster take part, and what is observed again."""
        more = f" and {len(cluster.again) - 1} more" if cluster.again[1:] else ""
        again = f"again: {cluster.again[0]}{more}" if cluster.again else ""
        self._cluster = ", ".join(filter(None, (counted(cluster.nodes, "node"), again)))
        if self._nothing_yet and cluster.workers == 1:
            self._pace.begin()  # the first worker: until now there was nobody to work
        self._bar.update(self._task, figures=self._all_figures)

    @property
    def _all_figures(self) -> str:
        return ", ".join(filter(None, (self._figures, self._cluster)))

    def _tell(self, observation: Observation) -> None:
        """Print each reason once, even if several observers have it."""
        clip = observation.clip.id
        for line in dict.fromkeys(str(error) for error in observation.failures.values()):
            self.say(f"not scored: {line}" if line.startswith(f"clip {clip}:") else f"not scored: clip {clip}: {line}")
        real = None if observation.real is None else observation.real.failures
        for line in dict.fromkeys(str(error) for error in (real or {}).values()):
            self.say(f"not in the real set: {line}")
        self._cached += observation.from_cache


class DownloadProgress(_Drawn):
    """Shows how much of a file was downloaded."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self.console = console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None)
        self._name = name
        self._pace = Pace("MB")
        self._before: int | None = None  # bytes of an earlier download, which say nothing of this one's pace

    def __call__(self, there: int, total: int | None) -> None:
        self._bar.update(self._task, completed=there, total=total)
        self._before = there if self._before is None else self._before
        if not self.console.is_terminal and minute.is_over():
            done, left = round((there - self._before) / 1e6), None if total is None else round((total - there) / 1e6)
            told = f"{self._name}: {there / 1e6:,.0f} MB" + ("" if total is None else f" of {total / 1e6:,.0f} MB")
            pace = self._pace.figures(done, None if left is None else done + left)
            self.say(f"{told}, {pace}" if pace else told)


class TrainingProgress(_Drawn):
    """Shows clips being preprocessed, then training steps; each validation is printed on a line of its own."""

    def __init__(self) -> None:
        self.console, self._bar = _counting_bar()
        self._task = self._bar.add_task("preparing", total=None, figures="")
        self._doing = ""
        self._pace = Pace("clips")
        self._before = 0

    def prepared(self, done: int, total: int) -> None:
        """How many clips are preprocessed."""
        self._show("preprocessing", done, total, "clips", "")

    def tell(self, report: TrainingReport) -> None:
        """The progress of the training run."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        figures = f"epoch {report.epoch}, {losses}, {report.frames_per_second:.0f} frames/s"
        self._show("training", report.step, report.steps, "steps", figures)
        if report.val_value is not None:
            best = "" if report.best is None else f", best {report.best:.4g}"
            self.say(f"step {report.step}: {figures}; validation {report.val_value:.4g}{best}")

    def _show(self, doing: str, done: int, total: int | None, things: str, figures: str) -> None:
        if doing != self._doing:
            self._doing = doing
            self._bar.remove_task(self._task)  # a task that is reset can't forget how much there was to do
            self._task = self._bar.add_task(doing, total=total, figures="")
            self._pace, self._before = Pace(things), done  # the steps of an earlier run say nothing of this one's
        pace = self._pace.figures(done - self._before, None if total is None else total - self._before)
        shown = ", ".join(filter(None, (figures, pace)))
        self._bar.update(self._task, completed=done, total=total, figures=shown)
        if not self.console.is_terminal and minute.is_over():
            of_all = "" if total is None else f" of {total}"
            self.say(f"{doing}: {done}{of_all}" + (f", {shown}" if shown else ""))


class CountProgress(_Drawn):
    """Shows how many of several things are done.

    Parameters
    ----------
    doing : str
    things : str
        In the plural.
    transient : bool
        Whether the bar is removed at the end.
    """

    def __init__(self, doing: str, things: str, *, transient: bool = False) -> None:
        self._doing = doing
        self._things = things
        self._pace = Pace(things)
        self.console, self._bar = _counting_bar(transient=transient)
        self._task = self._bar.add_task(doing, total=None, figures=things)

    def __call__(self, done: int, total: int) -> None:
        figures = self._pace.figures(done, total)
        self._bar.update(self._task, completed=done, total=total, figures=figures or self._things)
        if not self.console.is_terminal and minute.is_over():
            told = f", {figures}" if figures else ""
            self.say(f"{self._doing}: {done} of {total} {self._things}{told}")

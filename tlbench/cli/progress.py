"""Progress bars of long commands on stderr, with rate and time left. Without a terminal, a line now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tlbench.cli.pace import Pace
from tlbench.document import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from tlbench.observing.evidence import Observation
    from tlbench.training.loop import TrainingReport

QUIET_SECONDS = 30.0  # between lines without a terminal
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


class ScoreProgress:
    """Shows the progress of a run, and each clip that failed."""

    def __init__(self) -> None:
        self.console, self._bar = _counting_bar()
        self._task = self._bar.add_task("", total=None, figures="")
        self._doing = ""
        self._said = time.monotonic()
        self._pace = Pace("clips")
        self._cached = 0
        self._nodes: set[str] = set()

    def __enter__(self) -> ScoreProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, observation: Observation | None, done: int, total: int) -> None:
        doing = f"scoring {name}" if observation is not None else f"writing {name}"
        if doing != self._doing:
            self._doing = doing
            self._said = time.monotonic()
            self._pace.begin_after_latest()
            self._cached = 0
            self._bar.reset(self._task, description=doing, total=total, figures="")
        if observation is not None:
            self._tell(observation)
        figures = self._pace.figures(done, total, self._cached)
        if self._nodes:
            figures += f", {counted(len(self._nodes), 'node')}"
        self._bar.update(self._task, completed=done, total=total, figures=figures)
        if not self.console.is_terminal and time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            self._say(f"{doing}: {done} of {counted(total, 'clip')}, {figures}")
        if done == total and self._cached:
            self._say(f"{name}: {self._cached} of {counted(total, 'clip')} came from the cache")

    def _tell(self, observation: Observation) -> None:
        """Print each reason once, even if several observers have it."""
        clip = observation.clip.id
        if observation.node:
            self._nodes.add(observation.node)
        for line in dict.fromkeys(str(error) for error in observation.failures.values()):
            self._say(f"not scored: {line}" if line.startswith(f"clip {clip}:") else f"not scored: clip {clip}: {line}")
        self._cached += 0 < observation.cached == len(observation.evidence)

    def _say(self, line: str) -> None:
        from tlbench.errors import one_line

        self.console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)


class DownloadProgress:
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

        console = Console(stderr=True)
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

    def __enter__(self) -> DownloadProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, there: int, total: int | None) -> None:
        self._bar.update(self._task, completed=there, total=total)


class TrainingProgress:
    """Shows clips being preprocessed, then training steps; each validation is printed on a line of its own."""

    def __init__(self) -> None:
        self.console, self._bar = _counting_bar()
        self._task = self._bar.add_task("", total=None, figures="")
        self._doing = ""
        self._said = time.monotonic()
        self._pace = Pace("clips")
        self._before = 0

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

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
        if not self.console.is_terminal and time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            of_all = "" if total is None else f" of {total}"
            self.say(f"{doing}: {done}{of_all}" + (f", {shown}" if shown else ""))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class CountProgress:
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
        self._said = time.monotonic()
        self._pace = Pace(things)
        self.console, self._bar = _counting_bar(transient=transient)
        self._task = self._bar.add_task(doing, total=None, figures=things)

    def __enter__(self) -> CountProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        figures = self._pace.figures(done, total)
        self._bar.update(self._task, completed=done, total=total, figures=figures or self._things)
        if not self.console.is_terminal and time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            told = f", {figures}" if figures else ""
            self.console.print(f"{self._doing}: {done} of {total} {self._things}{told}", markup=False, highlight=False)

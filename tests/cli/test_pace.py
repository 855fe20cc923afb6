"""What long work says of its pace: clips a second and the time left, in every state of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tlbench.cli import minute
from tlbench.cli.pace import Pace
from tlbench.cli.progress import CountProgress, ScoreProgress, TrainingProgress
from tlbench.datasets.clip import Clip
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.ray_options import ClusterState
from tlbench.training.loop import TrainingReport


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(minute.time, "monotonic", made)
    minute.begin()
    monkeypatch.setattr(Pace.__init__, "__defaults__", (made,))
    return made


@pytest.mark.parametrize(
    ("done", "total", "instant", "seconds", "told"),
    [
        (0, 10, 0, 5, ""),
        (1, 10, 0, 0, ""),
        (1, 10, 0, 2, "0.5 clips/s, 0:18 left"),
        (60, 100, 0, 60, "1 clips/s, 0:40 left"),
        (8, 1000, 0, 80, "0.1 clips/s, 2:45:20 left"),
        (510, 1000, 500, 20, "0.5 clips/s, 16:20 left"),  # 500 were in the cache
        (500, 1000, 500, 2, "250 clips/s, 0:02 left"),
        (10, 10, 0, 4, "2.5 clips/s"),
        (10, None, 0, 4, "2.5 clips/s"),
        (3, 4000, 0, 1000, "0.003 clips/s, 370:05:33 left"),
    ],
)
def test_the_pace_is_that_of_the_clips_that_took_time(
    done: int, total: int | None, instant: int, seconds: float, told: str
) -> None:
    clock = Clock()
    pace = Pace("clips", clock)
    clock.seconds += seconds
    assert pace.figures(done, total, instant) == told


def observed(name: str, *, cached: bool) -> Observation:
    evidence = {"pixels": Evidence("pixels", {"frames": 1})}
    return Observation(Clip(name), ClipInfo(name), evidence, {}, (), int(cached))


def test_without_a_terminal_a_run_says_every_minute_how_long_the_rest_takes(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScoreProgress() as progress:
        for number in range(50):
            progress("made", observed(f"c{number}", cached=True), number + 1, 100)
        for number in range(50, 56):
            clock.seconds += 16
            progress("made", observed(f"c{number}", cached=False), number + 1, 100)
    assert capsys.readouterr().err.splitlines() == ["scoring made: 54 of 100 clips, 0.062 clips/s, 12:16 left"]


def test_the_first_clip_of_each_system_takes_time_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ScoreProgress() as progress:
        for name in ("one", "two"):
            for number in range(2):
                clock.seconds += 61
                progress(name, observed(f"c{number}", cached=False), number + 1, 10)
    assert capsys.readouterr().err.splitlines() == [
        f"scoring {name}: {done} of 10 clips, 0.016 clips/s, {left} left"
        for name in ("one", "two")
        for done, left in ((1, "9:09"), (2, "8:08"))
    ]


def test_systems_that_take_less_than_a_minute_each_share_the_minute(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c", "d", "e"):  # 24 seconds each, and a bar of their own
        with ScoreProgress() as progress:
            for number in range(3):
                clock.seconds += 8
                progress(name, observed(f"c{number}", cached=False), number + 1, 3)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in said] == ["scoring c: 2 of 3 clips"]
    with CountProgress("hashing", "files") as counting:
        clock.seconds += 5
        counting(1, 2)
    assert "hashing: 1 of 2 files" in capsys.readouterr().err


def test_counts_and_steps_say_it_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with CountProgress("checking", "clips") as counting:
        clock.seconds += 80
        counting(4, 16)
    with TrainingProgress() as training:
        training.tell(report(1000))  # resumed there
        clock.seconds += 80
        training.tell(report(1010))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "checking: 4 of 16 clips, 0.05 clips/s, 4:00 left"
    assert said[1].startswith("training: 1010 of 2000, epoch 3, ")
    assert said[1].endswith(", 0.12 steps/s, 2:12:00 left")


def report(step: int) -> TrainingReport:
    return TrainingReport(
        step=step, steps=2000, epoch=3, losses={"loss": 1.0}, learning_rate=1e-3, frames_per_second=9, val_value=None,
        best=None,
    )  # fmt: skip


def test_a_bar_shows_both_within_80_columns(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, legacy_windows=False, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **_: terminal)
    with ScoreProgress() as progress:
        clock.seconds += 50
        progress("talklip-gc", observed("c", cached=False), 5, 100)
    (shown,) = {line.rstrip() for line in screen.getvalue().splitlines() if "5/100" in line}
    assert "0.1 clips/s, 15:50 left" in shown


def test_the_start_of_a_clusters_workers_is_no_part_of_the_pace(clock: Clock) -> None:
    progress = ScoreProgress()
    for system in ("a", "b"):  # each with workers of its own
        clock.seconds += 40
        progress.watch(ClusterState(1, 1))
        clock.seconds += 1
        progress.watch(ClusterState(1, 2))
        clock.seconds += 1
        observation = Observation(Clip("c"), ClipInfo("c"))
        progress(system, observation, 1, 10)
        assert progress._all_figures == "0.5 clips/s, 0:18 left, 1 node"
        progress.watch(ClusterState(1, 1))  # one of them died: work goes on
        clock.seconds += 2
        progress(system, observation, 2, 10)
        assert progress._all_figures == "0.5 clips/s, 0:16 left, 1 node"
        progress(system, observation, 10, 10)

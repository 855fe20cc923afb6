"""The progress of a run: the rate, the nodes of a cluster that take part, and what is observed again."""

from __future__ import annotations

import pytest

from tlbench.cli import minute
from tlbench.cli.lines import say
from tlbench.cli.progress import CountProgress, DownloadProgress, ScoreProgress
from tlbench.datasets.clip import Clip
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Observation
from tlbench.observing.ray_options import ClusterState


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (None, "clips/s"),
        (ClusterState(2, 3), "clips/s, 2 nodes"),
        (ClusterState(1, 1, ("clip a",)), "clips/s, 1 node, again: clip a"),
        (ClusterState(1, 1, ("clip a", "clips c to d", "clip e")), "1 node, again: clip a and 2 more"),
    ],
)
def test_the_rate_is_said_with_the_nodes_that_take_part_and_what_is_observed_again(
    cluster: ClusterState | None, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minute, "QUIET_SECONDS", -1.0)
    with ScoreProgress() as shown:
        if cluster is not None:
            shown.watch(cluster)
        for done in (1, 2):
            shown("gen", Observation(Clip(str(done)), ClipInfo(str(done))), done, 2)
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_a_warning_is_written_above_the_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    monkeypatch.setenv("TERM", "xterm")
    with ScoreProgress() as shown:
        shown("gen", Observation(Clip("a"), ClipInfo("a")), 1, 2)
        say("warning: it is late", err=True)
    err = capsys.readouterr().err
    lines = [line.rpartition("\x1b[2K")[2] for line in err.replace("\r", "").split("\n")]
    assert "warning: it is late" in lines
    assert "scoring gen" in err.partition("it is late")[2]  # drawn again below
    say("after it", err=True)
    assert capsys.readouterr().err == "after it\n"


def test_without_a_terminal_a_line_is_written_every_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 7))
    monkeypatch.setattr(minute.time, "monotonic", lambda: next(seconds))
    minute.begin()
    with CountProgress("hashing", "files") as shown:
        for done in range(1, 41):
            shown(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 10
    assert all(line.startswith("hashing: ") and line.endswith(" left") for line in lines)


def test_a_download_without_a_terminal_says_so_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 10_000, 20))
    monkeypatch.setattr(minute.time, "monotonic", lambda: next(seconds))
    minute.begin()
    with DownloadProgress("syncnet_v2.model") as shown:
        for megabytes in range(100, 140, 10):  # 100 are there of before
            shown(megabytes * 10**6, 200 * 10**6)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("syncnet_v2.model: 1") and " MB of 200 MB, " in line for line in lines)
    assert lines[-1].endswith(" left")

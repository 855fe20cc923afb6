"""A command that is killed and taken up gives what one that was never stopped gives, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trouble.kill_scenarios import SCENARIOS
from tests.trouble.kill_trees import difference, tree
from tests.trouble.kills import Kill, KilledRuns, Nursery, every_kill, random_kills

QUICK = ("leaderboard build", "study new")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledRuns]:
    with Nursery(QUICK) as nursery:
        yield KilledRuns(tmp_path_factory.mktemp("kills"), nursery)


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_command_is_taken_up(runs: KilledRuns, name: str) -> None:
    points = runs.whole(name).points
    for at in sorted(random.Random(name).sample(range(1, points + 1), min(points, 4))):
        assert runs.killed(name, [Kill(at)]) == "", f"before {at} of {points}"
    assert runs.killed(name, [Kill(points, "after")]) == ""
    assert runs.killed(name, [Kill(1), Kill(points, "before"), Kill(seconds=0.1)]) == ""


def test_a_kill_that_loses_something_is_noticed(tmp_path: Path) -> None:
    """The comparison itself can fail: it names what is lacking, what is left, and what is other."""
    for name, content in (("a", "1"), ("b", "2")):
        (tmp_path / name).write_text(content)
    wanted = tree(tmp_path)
    assert difference(wanted, wanted) == ""
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("3")
    (tmp_path / ".c.tmp").touch()
    assert difference(wanted, tree(tmp_path)) == "lacks a; left: .c.tmp; other b"


@pytest.mark.slow  # a minute or more each
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_rename_of_every_command(tmp_path: Path, name: str) -> None:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
    pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")
    with Nursery([name]) as nursery:
        verdicts = list(every_kill(KilledRuns(tmp_path, nursery), name))
    assert len(verdicts) > 1
    assert [verdict for verdict in verdicts if verdict.end != "right"] == []


@pytest.mark.slow  # a few minutes
def test_random_kills(tmp_path: Path) -> None:
    verdicts = list(random_kills(tmp_path, cases=20, seed=1))
    assert [verdict for verdict in verdicts if verdict.end != "right"] == []

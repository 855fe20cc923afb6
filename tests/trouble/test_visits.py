"""A part of ``python -m benchmarks.trouble --only visits``, which has crowds and ends of every kind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="serving a study needs the extra `study` (flask, waitress)")

from tests.trouble.served_study import kept, make, served
from tests.trouble.visit_cases import served_visits, visits
from tests.trouble.visit_crowds import crowd, everything, welcome
from tests.trouble.visit_ends import Answering
from tests.trouble.visit_requests import mutated


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("study")
    return folder, make(folder, participants=12)


def test_every_odd_request_is_answered_and_none_disturbs_the_next(study: tuple[Path, tuple[str, ...]]) -> None:
    verdicts = list(served_visits(*study, mutated(20, seed=5)))
    assert len(verdicts) > 150
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []


def test_among_a_crowd_new_visitors_are_served_and_the_server_ends_in_time(
    study: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    folder = study[0] / "study"
    with served(folder) as server, crowd(everything, server, study[1][0], seed=5):
        people = Answering(server, study[1][1:5], first=1)
        found = welcome(server, study[1][5])
        assert found.fell_short == ""
        code, seconds = server.end(signal.SIGTERM)
        people.stop()
    assert code == 143
    assert seconds < 2
    assert people.missing(folder) == ""
    assert 5 in {row[0] for row in kept(folder)}


@pytest.mark.slow  # minutes: crowds, kills, damaged studies
def test_all_kinds_of_visit(tmp_path: Path) -> None:
    verdicts = list(visits(tmp_path, cases=30, seed=6))
    assert len(verdicts) > 240
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []

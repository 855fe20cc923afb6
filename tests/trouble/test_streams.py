"""A little of ``python -m benchmarks.trouble --only streams``, which tries hundreds of cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trouble.media_cases import Verdict
from tests.trouble.stream_cases import codes, lost_packets, lost_sounds, lost_streams, verdict
from tests.trouble.stream_damage import CONTAINERS, write_whole
from tlbench.datasets.clip import Clip


def fell_short(verdicts: list[Verdict]) -> list[Verdict]:
    return [one for one in verdicts if one.end == "fell short"]


def test_a_video_that_lost_a_part_is_right_or_has_a_finding(tmp_path: Path) -> None:
    real = write_whole(tmp_path, "mp4").rename(tmp_path / "real.mp4")
    wholes = {name: write_whole(tmp_path, name) for name in ("mp4-faststart", "webm", "ts")}
    assert set(wholes) < {row[0] for row in CONTAINERS}
    usual = {path: codes(Clip("whole", generated=path, reference=real)) for path in wholes.values()}
    (tmp_path / "made").mkdir()
    cases = [lost_packets(wholes, tmp_path / "made", number, 5) for number in range(20)]
    found = [codes(Clip("lost", generated=case.path, reference=real)) - usual[case.whole] for case in cases]
    assert fell_short([verdict(*pair) for pair in zip(cases, found, strict=True)]) == []


def test_a_sound_that_lost_a_part_is_right_or_has_a_finding(tmp_path: Path) -> None:
    verdicts = list(lost_sounds(tmp_path, cases=30, seed=5))
    assert len(verdicts) == 30
    assert fell_short(verdicts) == []


@pytest.mark.slow  # also scores them
def test_what_check_says_of_streams_score_says_too(tmp_path: Path) -> None:
    assert fell_short(list(lost_streams(tmp_path, cases=60, seed=6))) == []

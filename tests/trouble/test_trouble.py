"""A little of ``python -m benchmarks.trouble``, which tries hundreds of cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trouble.checkpoint_cases import hostile_checkpoints
from tests.trouble.media_cases import damaged_media
from tests.trouble.special_cases import special_files


def test_a_damaged_video_ends_in_a_right_number_or_a_finding(tmp_path: Path) -> None:
    verdicts = list(damaged_media(tmp_path, cases=16, seed=7))
    assert len(verdicts) == 16
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []


@pytest.mark.slow
def test_a_hostile_checkpoint_ends_in_a_finding_or_one_line(tmp_path: Path) -> None:
    verdicts = list(hostile_checkpoints(tmp_path, cases=60, seed=7))
    assert len(verdicts) == 60
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []


@pytest.mark.slow  # 51 commands
def test_no_command_waits_for_a_pipe_or_reads_an_endless_file(tmp_path: Path) -> None:
    verdicts = list(special_files(tmp_path, cases=0, seed=0))
    assert len(verdicts) == 51
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []

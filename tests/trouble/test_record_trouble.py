"""Damaged results, records and boards: a right number or one short line, from every reader and every command."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories.site_factory import filed_run
from tests.trouble.record_cases import LONG, damaged_records
from tests.trouble.record_damage import CHANGES, DAMAGES, changed_json
from tlbench.checkpoints.catalogue import known_cards
from tlbench.errors import TlbenchError
from tlbench.leaderboard.submission_file import digest, read_submission, submit, to_text
from tlbench.reporting.report import read_findings
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import FILE_NAME
from tlbench.scoring.result_file import load_result

TIMES = 12  # seeds of each change


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its first record, a board's record of it and a check."""
    folder = tmp_path_factory.mktemp("good")
    result = filed_run(folder, "Good", 0.3, count=4)
    line = (folder / RECORDS_NAME).read_bytes().splitlines(keepends=True)[0]
    (folder / "record").write_bytes(line)
    (folder / "board").write_text(to_text(submit(result, known_cards(), trained_with=("none",))), "utf-8")
    found = {"level": "error", "clip": "a", "code": "no-audio", "message": "no sound", "fix": "add it"}
    (folder / "check").write_text(json.dumps({"schema": "tlbench.check/1", "findings": [found]}))
    return folder


def _numbers(path: Path) -> list[Any]:
    return [(row.metric.key, row.value, row.scored) for row in load_result(path).rows()]


def _read(name: str, path: Path) -> tuple[object, str]:
    """What a reader makes of a file, and the error without the path if it refuses it."""
    try:
        return READERS[name](path), ""
    except TlbenchError as error:
        return None, str(error).replace(str(path), "")


READERS: dict[str, Callable[[Path], object]] = {
    FILE_NAME: _numbers,
    "record": lambda path: list(read_records(path)),
    "board": lambda path: read_submission(path, known_cards()),
    "check": read_findings,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_reader_gives_what_is_right_or_refuses_in_one_short_line(
    good: Path, tmp_path: Path, name: str, change: Callable[[Any, random.Random], None]
) -> None:
    content, right = (good / name).read_bytes(), set(_numbers(good / FILE_NAME))
    for seed in range(TIMES):
        data = changed_json(content, change, random.Random(f"{name}/{seed}"))
        if name == "board" and isinstance(data, dict):
            data["digest"] = digest(data) if "e+" not in json.dumps(data) else ""
        path = tmp_path / f"{seed}"
        path.write_text(json.dumps(data) + "\n")
        read, refused = _read(name, path)
        assert "\n" not in refused
        assert not LONG.search(refused), refused[:300]
        assert len(refused) < 1_000
        if name == FILE_NAME and not refused:
            assert isinstance(read, list)
            assert set(read) <= right, seed


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_reader_of_damaged_bytes_ends_in_one_line(
    good: Path, tmp_path: Path, name: str, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    content, right = (good / name).read_bytes(), set(_numbers(good / FILE_NAME))
    for seed in range(3):
        path = tmp_path / f"{seed}"
        path.write_bytes(damage(content, random.Random(seed)))
        read, refused = _read(name, path)
        assert len(refused) < 1_000
        if name == FILE_NAME and not refused:
            assert isinstance(read, list)
            assert set(read) <= right


def test_every_command_ends_in_a_right_number_or_one_line(tmp_path: Path) -> None:
    verdicts = list(damaged_records(tmp_path, cases=8, seed=7))
    assert len(verdicts) == 8
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []

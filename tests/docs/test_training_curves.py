"""The picture of falling losses is drawn from the logs of trainings, and says what it was drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.training_curves import LOG_NAME, draw, numbers_in, panels


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    for number, name in enumerate(("g", "l")):
        lines = [{"step": 50, "l1": 0.5}, *({"step": step, "val_l1": number + step / 1000} for step in (100, 200))]
        (tmp_path / name).mkdir()
        (tmp_path / name / LOG_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [str(tmp_path / name) for name in "gl"]


def test_a_picture_has_a_panel_a_key_and_the_numbers_of_each_run(runs: list[str], tmp_path: Path) -> None:
    drawn = panels(["val_l1:", *runs, "l1:", runs[0]])
    assert drawn == [
        ("val_l1", {"g": [(100, 0.1), (200, 0.2)], "l": [(100, 1.1), (200, 1.2)]}),
        ("l1", {"g": [(50, 0.5)]}),
    ]
    draw(tmp_path / "curves.png", drawn)
    assert numbers_in(tmp_path / "curves.png") == drawn


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["val_l2:", "g"], "has no val_l2; it has l1, val_l1"),
        (["val_l1:", "none"], "no training was done there"),
        (["g"], "stands before the first key"),
        (["val_l1:"], "usage: "),
    ],
)
def test_what_can_not_be_drawn_is_one_line(runs: list[str], tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(SystemExit, match=said) as ended:
        panels([word if word.endswith(":") else str(tmp_path / word) for word in words])
    assert "\n" not in str(ended.value)

"""A calibration's tables and picture are taken into its page of the documentation; what was written by hand stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.calibration_page import OF_CLIPS, PAGES, take

MADE = """# What each metric sees: grid, 12 clips

Made by `tlbench calibrate`. The curves are in `curves.png`, all digits in `calibration.json`.

**grid:test**

| metric | blur |
"""
PAGE = """# What each metric sees: grid, 10 clips

```bash
tlbench calibrate --dataset grid --data-root grid --out calibration
```

Read by [a reader](reader.md).

![A panel for each metric](grid.png)

**grid:test (limit=10 only)**

| of before |
"""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "grid.md").write_text(PAGE, "utf-8")
    return tmp_path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / "calibration.md").write_text(MADE, "utf-8")
    (folder / "curves.png").write_bytes(b"a picture")
    return folder


def test_the_text_above_the_picture_stays_and_all_below_is_the_calibrations(pages: Path, made: Path) -> None:
    for _ in range(2):  # again changes nothing
        take("grid", made, pages)
        written = (pages / "grid.md").read_text("utf-8")
        assert written == PAGE.replace("10 clips", "12 clips").partition("\n**grid")[0] + MADE[MADE.index("\n**grid") :]
        assert (pages / "grid.png").read_bytes() == b"a picture"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("lrs2", lambda made: None, "there is no such page"),
        ("grid", lambda made: (made / "calibration.md").unlink(), "no calibration was made there"),
        ("grid", lambda made: (made / "curves.png").unlink(), "the curves were not drawn"),
        ("grid", lambda made: (made / "calibration.md").write_text("empty"), "does not say how many clips"),
    ],
)
def test_what_can_not_be_taken_is_one_line_and_changes_nothing(pages, made, name, change, said) -> None:
    change(made)
    with pytest.raises(SystemExit, match=said) as ended:
        take(name, made, pages)
    assert "\n" not in str(ended.value)
    assert (pages / "grid.md").read_text("utf-8") == PAGE


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_every_page_says_what_made_it_and_shows_its_picture(page: Path) -> None:
    text = page.read_text("utf-8")
    above, found, below = text.partition(f"({page.stem}.png)\n\n")
    assert found
    assert OF_CLIPS.match(text)
    assert re.search(r"^```(bash|python)\n(?s:.*)calibrate", above, re.MULTILINE)
    assert re.match(r"\*\*\w+:\w+", below)
    assert (PAGES / f"{page.stem}.png").is_file()

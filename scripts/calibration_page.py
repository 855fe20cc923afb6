"""Takes a finished calibration into the documentation: the tables below a page's own text, and its picture.

    python scripts/calibration_page.py NAME FOLDER

NAME is a page of ``docs/calibration`` such as ``grid``, whose first block of code is what makes FOLDER. What stands
above the picture is written by hand and stays, except that the number of clips in the title is the calibration's. All
below it is replaced by the tables of FOLDER's ``calibration.md``, and the picture by its ``curves.png``.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs" / "calibration"
MADE, CURVES = "calibration.md", "curves.png"
OF_CLIPS = re.compile(r"\A# .*, (\d+) clips?\b.*\n")


def take(name: str, folder: Path, pages: Path = PAGES) -> None:
    """Replace what stands below the picture of a page, and the picture. Ends the program with one line if it can't."""
    page, made, curves = pages / f"{name}.md", folder / MADE, folder / CURVES
    for needed, why in (
        (page, "there is no such page"),
        (made, "no calibration was made there"),
        (curves, "the curves were not drawn"),
    ):
        if not needed.is_file():
            sys.exit(f"{needed}: {why}; usage: python scripts/calibration_page.py NAME FOLDER")
    text, tables = page.read_text("utf-8"), made.read_text("utf-8")
    picture = re.search(rf"^!\[[^]]*\]\({re.escape(name)}\.png\)\n", text, re.MULTILINE)
    title, clips = OF_CLIPS.match(text), OF_CLIPS.match(tables)
    if picture is None or title is None:
        sys.exit(f"{page}: has no title with a number of clips, or does not show {name}.png")
    if clips is None:
        sys.exit(f"{made}: its first line does not say how many clips there were; run `tlbench calibrate` again")
    above = text[: title.start(1)] + clips[1] + text[title.end(1) : picture.end()]
    _, _, below = tables[clips.end() :].lstrip("\n").partition("\n\n")  # after the paragraph that names the files
    page.write_text(f"{above}\n{below}", "utf-8")
    shutil.copyfile(curves, pages / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/calibration_page.py NAME FOLDER")
    take(sys.argv[1], Path(sys.argv[2]))

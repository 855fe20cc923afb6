"""Trees of empty files in the layouts of the data sets: enough for whatever only lists and matches."""

from __future__ import annotations

from pathlib import Path

LRS2_IDS = ["6331559613336179781/00002", "6331559613336179781/00010", "5535415699068794046/00001"]
LRW_IDS = ["ABOUT/test/ABOUT_00001", "ABOUT/test/ABOUT_00002", "ABUSE/test/ABUSE_00001"]
GRID_IDS = ["s1/bbaf2n", "s1/lwbs8p", "s2/bbaf2n", "s10/pgwz4s"]


def touch(folder: Path, *names: str) -> None:
    """Empty files, with the folders they need."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def make_lrs2(root: Path) -> Path:
    touch(root, *(f"main/{clip_id}.mp4" for clip_id in LRS2_IDS))
    for clip_id in LRS2_IDS:
        text = f"Text:  WORDS OF {clip_id[-5:]}\nConf:  4\n\nWORD START END ASDSCORE\nWORDS 0.10 0.50 7.1\n"
        (root / "main" / f"{clip_id}.txt").write_text(text)
    (root / "test.txt").write_text("".join(f"{clip_id} NF\n" for clip_id in LRS2_IDS))
    return root


def make_lrw(root: Path) -> Path:
    touch(root, *(f"{clip_id}.mp4" for clip_id in LRW_IDS), "ABOUT/train/ABOUT_00001.mp4", "ABOUT/test/ABOUT_00001.txt")
    return root


def make_grid(root: Path) -> Path:
    touch(root, *(f"{clip_id}.mpg" for clip_id in GRID_IDS))
    (root / "split_test.txt").write_text("s2/bbaf2n\ns1/bbaf2n\ns10/pgwz4s\n")
    return root


def make_folder(root: Path) -> Path:
    touch(root, "b.mp4", "a.mov", "deep er/c.mp4")
    (root / "a.txt").write_text("what is\nsaid\n")
    return root


def make_pairs(root: Path, list_name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / list_name).write_text("a/1 b/2\nb/2 a/1\na/1 c/3\n")
    return root

"""Trees of empty files in the layouts of the data sets: enough for whatever only lists and matches."""

from __future__ import annotations

import hashlib
import json
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


def make_grid_sample(root: Path) -> Path:
    """Three of its clips, and others of GRID."""
    touch(root, "s1/bbaf2n.mpg", "s1/bgah1s.mpg", "s1/sgbp5s.mpg", "s1/lwbs8p.mpg", "s2/bbaf2n.mpg")
    return root


def make_folder(root: Path) -> Path:
    touch(root, "b.mp4", "a.mov", "deep er/c.mp4")
    (root / "a.txt").write_text("what is\nsaid\n")
    return root


def make_pairs(root: Path, list_name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / list_name).write_text("a/1 b/2\nb/2 a/1\na/1 c/3\n")
    return root


def make_synthetic(root: Path) -> Path:
    """Both parts of a corpus that nobody rendered, with the two files about itself."""
    root.mkdir(parents=True, exist_ok=True)
    sentences = ["test000/00001", "test001/00002", "test000/00003"]
    words = ["BAKER/test/BAKER_00001", "BAKER/test/BAKER_00002", "CAPTAIN/test/CAPTAIN_00001"]
    names = [f"main/{name}" for name in sentences] + [f"words/{name}" for name in words]
    files = [f"{name}{suffix}" for name in names for suffix in (".mp4", ".txt", ".phones", ".npy")]
    touch(root, *files)
    for name in sentences:
        (root / "main" / f"{name}.txt").write_text("Text:  THE BAKER WAITS\nConf:  10\n")
    (root / "test.txt").write_text("".join(f"{name}\n" for name in sentences))
    hashes = "".join(
        f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted([*files, "test.txt"])
    )
    (root / "hashes.txt").write_text(hashes)
    about = {"form": 1, "seed": 0, "finished": True, "sha256": hashlib.sha256(hashes.encode()).hexdigest()}
    (root / "corpus.json").write_text(json.dumps(about))
    return root

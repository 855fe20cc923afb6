"""Named pipes and endless devices in every place where a command takes a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.factories.media_factory import tone, write_clip
from tests.trouble.children import run
from tests.trouble.media_cases import Verdict

SECONDS = 60.0


def special_files(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Run each command once with each special file; all of them, whatever ``cases`` and ``seed`` are."""
    real, generated = folder / "real", folder / "generated"
    for place in (real, generated):
        place.mkdir()
        write_clip(place / "a.mp4", frames=30, width=160, height=160, audio_codec="aac", samples=tone(1.2))
    score = ["score", generated, "--dataset", "folder", "--data-root", real, "--metrics", "psnr", "--out", "out"]
    for kind in ("pipe", "zeros", "socket loop"):
        special = folder / f"special {kind}"
        _make(special, kind)
        for name, words in _commands(folder, special, score):
            outcome = run(words, folder, seconds=SECONDS)
            why = outcome.fell_short
            if not why and outcome.code == 0:
                why = "exit code 0, as if the file were right"
            yield Verdict(f"special file: {kind}", name, "fell short" if why else "one line", why)


def _make(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path)


def _commands(folder: Path, special: Path, score: list[str | Path]) -> Iterator[tuple[str, list[str | Path]]]:
    """What is tried, and its words. Folders with the special file among the videos are made on the way."""
    for role in ("generated", "real"):
        place = folder / f"{role} with {special.name}"
        place.mkdir()
        (place / "a.mp4").symlink_to(special)
        words = [place if word == folder / role else word for word in score]
        yield f"score, {role} video", words
        yield f"check, {role} video", ["check", *words[1:6]]
    sync: list[str | Path] = ["lse_c" if word == "psnr" else word for word in score]
    boxes = folder / f"boxes with {special.name}"
    boxes.mkdir()
    (boxes / "a.npy").symlink_to(special)
    yield "score, boxes", [*score, "--boxes", boxes]
    yield "check, boxes", ["check", *score[1:6], "--boxes", boxes]
    yield "score, subset", [*score, "--subset", special]
    yield "score, config", [*score, "--config", special]
    yield "score, weights", [*sync, "--weights", f"syncnet={special}"]
    yield "score, manifest", [*score, "--manifest", special]
    yield "checkpoints verify", ["checkpoints", "verify", f"syncnet={special}"]
    yield "checkpoints import", ["checkpoints", "import", special, "--as", "syncnet", "--out", folder / "package"]
    yield (
        "generate",
        ["generate", "--generator", special, "--dataset", "folder", "--data-root", folder / "real", "--out", "made"],
    )
    yield "table", ["table", special]
    yield "report", ["report", special]
    yield "leaderboard add", ["leaderboard", "add", special, "--trained-with", "none"]
    package = folder / f"package with {special.name}"
    package.mkdir()
    (package / "package.json").symlink_to(special)
    yield "a package's description", [*sync, "--weights", f"syncnet={package}"]

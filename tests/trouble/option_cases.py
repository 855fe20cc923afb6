"""Every option and argument that takes a path, given what is no such file: pipes, devices, loops, noise, huge files."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tests.trouble.children import Outcome, run
from tests.trouble.kill_scenarios import script
from tests.trouble.media_cases import Verdict
from tests.trouble.surroundings_cases import BOXED, CALLS, STRANGE, make_world
from tlbench.cli.main import group

SECONDS = 300.0  # the demo takes two minutes of a core
HUGE_BYTES = 200 * 10**9  # sparse: nothing of it is on the disk
GIVEN = "given"  # the name of the file in the world

# Further right calls, so that options are tried that the calls of every command do not use.
MORE_CALLS: dict[str, tuple[str, ...]] = {
    "generate": (
        *("--generator", "command", "--recipe", "theirs.toml", "--repo", "theirs", "--out", "{out}", *BOXED),
        *("--limit", "1"),
    ),
    "score": ("driven", "--drive", "drive/drive.json", "--data-root", "real", "--metrics", "psnr", "--out", "{out}"),
}


def path_options(name: str) -> list[str]:
    """The options of a command that take a path, by their longest name."""
    command: click.Command | None = group
    for part in name.split(" "):
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), part)
    assert command is not None
    return [
        max(one.opts, key=len)
        for one in command.params
        if isinstance(one, click.Option) and (isinstance(one.type, click.Path) or _A_FILE.search(str(one.metavar)))
    ]


def cases_of(calls: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The name of a command, what is replaced, and its words with the given file in that place."""
    for name, words in calls.items():
        for option in path_options(name):
            if option in words:
                at = words.index(option) + 1
                yield name, option, (*words[:at], GIVEN, *words[at + 1 :])
            else:
                yield name, option, (*words, option, f"syncnet={GIVEN}" if option == "--weights" else GIVEN)
        for at, word in enumerate(words):
            value = at > 0 and words[at - 1].startswith("--")
            if not value and not word.startswith("--") and (word == "{out}" or "/" in word or word in _INPUTS):
                yield name, f"argument {word}", (*words[:at], GIVEN, *words[at + 1 :])


_A_FILE = re.compile("FILE|CHECKPOINT")
_INPUTS = ("made", "other", "real", "sharded", "corpus", "study", "one", "syncnet_v2.model", "driven")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # a name of a socket has at most 107 bytes


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE_BYTES)


def _bomb(path: Path) -> None:
    """A zip file of 1 MB whose only array has a gigabyte of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mu.npy", b"\x93NUMPY\x01\x00v\x00" + bytes(10**9))


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": _pipe,
    "socket": _socket,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "null device": lambda path: path.symlink_to("/dev/null"),
    "loop of links": lambda path: path.symlink_to(path.name),
    "nothing": lambda path: None,
    "empty file": lambda path: path.touch(),
    "empty folder": lambda path: path.mkdir(),
    "noise": lambda path: path.write_bytes(random.Random(0).randbytes(70_000)),
    "a long line": lambda path: path.write_bytes(b"a" * 10**7),
    "deep JSON": lambda path: path.write_text("[" * 10**5 + "]" * 10**5),
    "JSON": lambda path: path.write_text(json.dumps({"id": 1, "clips": [None, {}], "name": "\ud800"})),
    "huge file": _huge,
    "zip bomb": _bomb,
}


def wrong_files(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Run commands with a wrong file: ``cases`` of them, drawn by the seed; ``folder`` is empty."""
    world = make_world(folder / "world")
    script(world)
    _drive(world)
    tried = [(*case, kind) for calls in (CALLS, MORE_CALLS) for case in cases_of(calls) for kind in KINDS]
    random.Random(seed).shuffle(tried)
    for number, (name, place, words, kind) in enumerate(tried[:cases]):
        here = folder / f"{number:04d}"
        here.mkdir()
        for entry in world.iterdir():
            if entry.name not in ("cache", "checkpoints"):
                (here / entry.name).symlink_to(entry)
        KINDS[kind](here / GIVEN)
        outcome = run([*name.split(), *(word.format(out="out") for word in words)], here, seconds=SECONDS)
        end, why = _ending(outcome)
        yield Verdict(f"wrong file: {kind}", f"{name}, {place}", end, why)


def _ending(outcome: Outcome) -> tuple[str, str]:
    errors = [line for line in outcome.stderr.splitlines() if line.lower().startswith("error:")]
    strange = [line for line in outcome.stderr.splitlines() if any(sign in line for sign in STRANGE)]
    why = outcome.fell_short or "".join(strange[-1:])
    if not why and outcome.code not in (0, 1, 2):
        why = f"exit code {outcome.code}"
    if not why and len(errors) > 1:
        why = f"{len(errors)} lines of errors"
    if why:
        return "fell short", why
    return ("one line" if outcome.code == 2 else "right"), ""


def _drive(world: Path) -> None:
    drive = run(["data", "drive", "--dataset", "folder", "--data-root", "real", "--out", "drive"], world)
    assert drive.code == 0, drive.stderr
    for kind in ("silent", "mismatched", "matched"):
        (world / "driven").mkdir(exist_ok=True)
        (world / "driven" / kind).symlink_to(world / "made")

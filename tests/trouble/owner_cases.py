"""Dead owners, damaged owner files, and many runs that come at once."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from tests.factories.media_factory import write_clip
from tests.trouble.children import run
from tests.trouble.contenders import Contenders
from tests.trouble.media_cases import Verdict
from tlbench.owner import GONE_SECONDS, owner_path
from tlbench.owner_card import OwnerCard, new_token

DEAD_PROCESS = 2**22 + 7  # above the largest number of a process on Linux


def dead_card(*, here: bool = True) -> OwnerCard:
    """An owner whose process does not run, on this host or on another."""
    card = replace(OwnerCard.of_this_process(), process=DEAD_PROCESS, token=new_token())
    return card if here else replace(card, mark="0" * 8, host="elsewhere")


def leave(path: Path, content: bytes, age_seconds: float = 0.0) -> Path:
    """Write an owner file that was touched so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    touched = path.stat().st_mtime - age_seconds
    os.utime(path, (touched, touched))
    return path


def many_at_once(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """A dead owner, perhaps the litter of runs that died while they took over, and up to 12 processes that want it."""
    drawn = random.Random(seed)
    with Contenders() as contenders:
        for case in range(cases):
            place = folder / f"wanted {case}"
            what = drawn.choice(["nothing", "dead here", "dead elsewhere", "damaged"])
            if what == "damaged":
                leave(owner_path(place), drawn.randbytes(drawn.choice([0, 1, 500])), 2 * GONE_SECONDS)
            elif what != "nothing":
                leave(owner_path(place), dead_card(here=what == "dead here").to_json(), 2 * GONE_SECONDS)
            for dies_at in drawn.sample(range(1, 20), drawn.randrange(4)):
                contenders.round(place, [dies_at] * drawn.randrange(1, 4))
            said = contenders.round(place, [0] * drawn.randrange(2, 17))
            why = _why_short(place, said)
            yield Verdict("owner: many runs at once", f"{case}, {what}", "fell short" if why else "one line", why)


def _why_short(place: Path, said: list[str]) -> str:
    """What is wrong with a round in which one was to win and nothing to be left."""
    lines = [line for line in said if line != "won"]
    if len(lines) != len(said) - 1:
        return f"{len(said) - len(lines)} of {len(said)} got it"
    if not all("another run writes to it" in line for line in lines):
        return f"refused with: {lines}"
    if place.exists() and owner_files(place):
        return f"left behind: {owner_files(place)}"
    return ""


def owner_files(folder: Path) -> list[str]:
    """Names of owner files in a folder, those of successions too."""
    return sorted(path.name for path in folder.iterdir() if ".owner" in path.name)


def bad_contents(drawn: random.Random) -> dict[str, bytes]:
    """Contents of owner files that are no owner, by name."""
    good = asdict(dead_card())

    def other(**fields: object) -> bytes:
        return json.dumps({**good, **fields}).encode()

    whole = json.dumps(good).encode()
    flipped = bytearray(whole)
    flipped[0] ^= 255
    return {
        "empty": b"",
        "bytes": drawn.randbytes(300),
        "cut": whole[: drawn.randrange(1, len(whole))],
        "flipped": bytes(flipped),
        "nested": b"[" * 60_000,
        "huge": b" " * 2**17 + whole,
        "list": b"[]",
        "no fields": b"{}",
        "process 0": other(process=0),
        "process -1": other(process=-1),
        "process of another type": other(process="1"),
        "process beyond all": other(process=10**30),
        "process of 5000 digits": whole.replace(str(DEAD_PROCESS).encode(), b"9" * 5000),
        "token with a path": other(token="../../../../x"),
        "start below 0": other(start=-5),
        "true": other(process=True),
        "not UTF-8": b"\xff\xfe" + whole,
    }


def bad_owner_files(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Score into a folder whose owner file is damaged, special or of a hostile owner; some with ``--take-over``."""
    drawn = random.Random(seed)
    for place in ("real", "made"):
        (folder / place).mkdir()
        write_clip(folder / place / "a.mp4", frames=8, codec_options={"crf": "18" if place == "real" else "30"})
    words = ["score", "made", "--dataset", "folder", "--data-root", "real", "--metrics", "psnr", "--workers", "1"]
    contents = bad_contents(drawn)
    loud = replace(dead_card(here=False), host="\x1b[31m\u202e" * 300, command="x" * 60_000, user="\udcff")
    contents["of a loud owner"] = loud.to_json()[: 2**16]
    for name, content in drawn.sample(sorted(contents.items()), min(cases, len(contents))):
        for take_over in (False, True):
            out = folder / f"out {name} {take_over}"
            leave(owner_path(out / "made"), content)
            outcome = run([*words, "--out", out, *(["--take-over"] if take_over else [])], folder)
            said = [line for line in outcome.stderr.splitlines() if line.startswith(("error:", "warning:"))]
            why = outcome.fell_short
            if not why and (outcome.code == 2) == take_over:
                why = f"exit code {outcome.code}: {outcome.stderr[-200:]}"
            if not why and (not said or max(map(len, said)) > 1000 or not outcome.stderr.isascii()):
                why = f"said: {outcome.stderr[:200]!r}"
            if not why and take_over and owner_files(out / "made"):
                why = f"left behind: {owner_files(out / 'made')}"
            yield Verdict("owner: bad files", f"{name}, {take_over}", "fell short" if why else "one line", why)


def killed_on_the_way(folder: Path, steps: int) -> Iterator[Verdict]:
    """A process takes a dead owner's folder and is killed at its first, second ... call; then others come."""
    with Contenders() as contenders:
        for step in range(1, steps + 1):
            place = folder / f"step {step}"
            leave(owner_path(place), dead_card().to_json())
            said = contenders.round(place, [step])
            why = _why_short(place, contenders.round(place, [0, 0, 0]))
            yield Verdict("owner: kills", f"call {step}, {said[0]}", "fell short" if why else "right", why)


def owners(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """All of it; the kills are always the same."""
    for part in ("many", "bad", "killed"):
        (folder / part).mkdir()
    yield from many_at_once(folder / "many", cases, seed)
    yield from bad_owner_files(folder / "bad", cases, seed)
    yield from killed_on_the_way(folder / "killed", 30)

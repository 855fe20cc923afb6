"""Damaged results, records, checks and boards, read by every command that reads them, and what became of each."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from tests.factories.site_factory import filed_run
from tests.trouble.children import Outcome
from tests.trouble.forked import run_forked, server
from tests.trouble.media_cases import Verdict
from tests.trouble.record_damage import CHANGES, DAMAGES, FILLER, Change, changed_json
from tlbench.leaderboard import build as leaderboard
from tlbench.leaderboard.submission_file import digest
from tlbench.scoring.record import RECORDS_NAME
from tlbench.scoring.result import FILE_NAME

CLIPS = 12
TARGETS = ("result", "result", "records", "board", "check")  # what is damaged; a result twice as often
MOST_QUOTED = 121  # characters of a long text in an error, with a few of the message
LONG = re.compile(f"(?:{FILLER}){{{MOST_QUOTED // len(FILLER)},}}")
# What no terminal, page or table may get as it is.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
FORMATS = ("terminal", "markdown", "csv", "latex")


@dataclass(frozen=True)
class Good:
    """Good files to damage: ``run`` and ``other`` are runs, ``board`` has records of both, ``check`` is a check."""

    run: Path
    other: Path
    board: Path
    check: Path
    numbers: Any


def damaged_records(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Damage one good file in each of ``cases`` folders and read it by the commands; ``folder`` is empty.

    A command ends right if the numbers are those of the good file, and with one line if it refuses the file. Another
    number, a long quotation and a control character in what is written fall short.
    """
    context = server()
    good = _good_files(folder, context)
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")  # a case is the same however many come before it
        target = rng.choice(TARGETS)
        place = folder / f"{number:04d}"
        place.mkdir()
        name = _damage(good, place, target, rng)
        worst = Verdict(f"records: {target}", f"{number:04d} {name}", "one line")
        for words in _commands(place, target, rng):
            outcome = run_forked(context, words, place)
            why = _fell_short(outcome, place, words, good)
            if why:
                worst = Verdict(worst.kind, f"{worst.name}: {' '.join(map(str, words))}", "fell short", why)
                break
            if outcome.code in (0, 1):
                worst = Verdict(worst.kind, worst.name, "right")
        if worst.end != "fell short":
            shutil.rmtree(place)
        yield worst


def _good_files(folder: Path, context: ForkServerContext) -> Good:
    good = folder / "good"
    for name, wrong, seed in (("run", 0.2, 0), ("other", 0.5, 1)):
        (good / name).mkdir(parents=True)
        filed_run(good / name, f"The {name}", wrong, count=CLIPS, seed=seed)
        leaderboard.add(good / name, good / "board", trained_with=("none",))
    found = {"level": "warning", "clip": "s1/c01", "code": "no-audio", "message": "no sound", "fix": "add it"}
    check = good / "check.json"
    check.write_text(json.dumps({"schema": "tlbench.check/1", "findings": [found, {**found, "clip": None}]}))
    outcome = run_forked(context, ["table", "run", "--format", "json"], good)
    assert outcome.code == 0, outcome
    return Good(good / "run", good / "other", good / "board", check, _numbers(outcome.stdout))


def _damage(good: Good, place: Path, target: str, rng: random.Random) -> str:
    """Copies the good files to ``place`` and damages one of them. Returns the name of the damage."""
    for source in (good.run, good.other, good.board):
        shutil.copytree(source, place / source.name)
    shutil.copy(good.check, place)
    path = place / {"result": f"run/{FILE_NAME}", "records": f"run/{RECORDS_NAME}", "check": "check.json"}.get(
        target, "board/grid/the-run.json"
    )
    content = path.read_bytes()
    if rng.random() < 0.3:
        damage = rng.choice(DAMAGES)
        path.write_bytes(damage(content, rng))
        return damage.__name__
    change = rng.choice(CHANGES)
    path.write_bytes(_changed(content, target, change, rng))
    return change.__name__


def _changed(content: bytes, target: str, change: Change, rng: random.Random) -> bytes:
    if target == "records":
        lines = content.splitlines()
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(changed_json(lines[place], change, rng)).encode()
        return b"\n".join(lines) + b"\n"
    data = changed_json(content, change, rng)
    if target == "board" and isinstance(data, dict) and rng.random() < 0.8:
        with suppress(ValueError):  # a number that is not finite
            data["digest"] = digest(data)  # as somebody would who changes a record on purpose
    return json.dumps(data).encode()


def _commands(place: Path, target: str, rng: random.Random) -> Iterator[Sequence[str | Path]]:
    if target == "board":
        yield rng.choice((["leaderboard", "check", "--board", "board"], ["leaderboard", "build", "--board", "board"]))
        yield ["leaderboard", "build", "--board", "board", "--site", "site"]
        yield ["leaderboard", "add", "other", "--board", "board", "--replace", "--trained-with", "none"]
        return
    if target == "check":
        yield ["report", "run", "--check", "check.json"]
        return
    if target == "result":
        yield ["table", "run", "--format", "json"]
        yield ["table", "run", "other", "--format", rng.choice(FORMATS)]
        yield ["compare", *rng.choice((("run", "other"), ("other", "run"))), "--format", rng.choice(FORMATS)]
    yield ["report", "run", *rng.choice(((), ("other",)))]
    yield ["leaderboard", "add", "run", "--board", "new", "--trained-with", "none"]
    if (place / "new").is_dir():
        yield ["leaderboard", "build", "--board", "new", "--site", "site"]
    yield ["aggregate", "run", "--format", "json"]


def _fell_short(outcome: Outcome, place: Path, words: Sequence[str | Path], good: Good) -> str:
    why = outcome.fell_short
    if why:
        return why
    if LONG.search(outcome.stderr):
        return f"a quotation of more than {MOST_QUOTED} characters"
    if outcome.code == 2 and outcome.stderr.count("\n") != 1:
        return f"{outcome.stderr.count(chr(10))} lines for one error"
    written = [outcome.stdout, outcome.stderr]
    written += [path.read_text("utf-8") for suffix in ("md", "html") for path in place.rglob(f"*.{suffix}")]
    for text in written:
        if found := CONTROL.search(text):
            return f"writes {found[0]!r} as it is"
    if words[0] == "table" and "json" in words and outcome.code == 0:
        stated, same = _numbers(outcome.stdout), good.numbers
        if any(stated.get(key, value) != value for key, value in same.items()):
            return "another number without a word"
    return ""


def _numbers(stdout: str) -> dict[str, Any]:
    rows = json.loads(stdout)["results"][0]["rows"]
    return {row["metric"]: [row[name] for name in ("value", "scored", "protocol")] for row in rows}

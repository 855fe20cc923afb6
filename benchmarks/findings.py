"""What tlbench printed of faulty input before its findings, and what it prints now.

    python -m benchmarks.findings [--grid FOLDER] [--only PATTERN] [--markdown] [--before CHECKOUT]

Each kind of fault is made anew from the synthetic talkers (``benchmarks/fault_kinds.py``) and given to the tlbench
of this checkout. What was printed before stands in ``benchmarks/findings_before.json``, measured on the same input by
the commit that is named there; with --before it is measured again by the tlbench in CHECKOUT (a git checkout of that
commit). Exits with 1 if the tlbench of this checkout says nothing of a fault and its number is not the right one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.fault_kinds import GRID_KINDS, KINDS, Kind
from benchmarks.faulty_inputs import Command, Desk, read_talkers
from tlbench.files import write_text_atomically

ROOT = Path(__file__).parents[1]
RECORD = Path(__file__).with_name("findings_before.json")
TALKERS = 12
RUN = "from tlbench.cli.main import main; main()"
SHOWN = 5  # numbers
WIDTH = 58  # of a column
LONGEST = 150  # letters of one message


@dataclass(frozen=True)
class Said:
    """What one command printed.

    Attributes
    ----------
    command : str
        score, check ... or python.
    exit_code : int
        0 if all is well.
    numbers : dict of str to (float or None, int)
        Each metric's value and how many clips were scored, by its label.
    findings : dict of str to int
        How many clips have each, by 'level code'.
    messages : tuple of str
        What else was said.
    """

    command: str
    exit_code: int
    numbers: dict[str, tuple[float | None, int]]
    findings: dict[str, int]
    messages: tuple[str, ...]

    def lines(self) -> list[str]:
        """As shown: values with the number of clips that were scored."""
        shown = [f"{label} {'-' if v is None else f'{v:.4g}'} ({n})" for label, (v, n) in self.numbers.items()]
        if len(shown) > SHOWN:
            shown[SHOWN:] = [f"and {len(shown) - SHOWN} more"]
        findings = ", ".join(f"{name} ({count})" for name, count in self.findings.items())
        head = f"{self.command} exits with {self.exit_code}" + (f": {', '.join(shown)}" if shown else "")
        return [head, *filter(None, [findings]), *self.messages]


class Installed:
    """A tlbench to run: of a checkout, as it is installed."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        # The observers stand at the top of a checkout and are a part of the package once it is installed.
        folder.mkdir()
        (folder / "tlbench").mkdir()
        for entry in (checkout / "tlbench").iterdir():
            (folder / "tlbench" / entry.name).symlink_to(entry.resolve())
        (folder / "tlbench" / "observers").symlink_to((checkout / "observers").resolve())
        self._path = folder

    def run(self, command: Command, folder: Path) -> Said:
        """Everything is kept in ``folder``."""
        program, rest = command, []
        if not isinstance(command, str):
            program, rest = RUN, [*command, *_options(command[0], folder)]
        environment = {**os.environ, "PYTHONPATH": str(self._path), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-c", str(program), *rest], cwd=folder, env=environment, capture_output=True, text=True
        )
        return _read("python" if isinstance(command, str) else command[0], done, folder)


def _options(name: str, folder: Path) -> list[str]:
    out = ["--out", str(folder / "out"), "--cache", str(folder / "cache"), "--workers", "1", "--format", "json"]
    return {"score": out, "check": ["--json", "--workers", "1"]}.get(name, [])


def _read(name: str, done: subprocess.CompletedProcess[str], folder: Path) -> Said:
    """The table of ``score``, the findings of ``check``, or text."""
    try:
        printed: Any = json.loads(done.stdout)
    except ValueError:
        printed = None
    errors = [line for line in done.stderr.splitlines() if line and not re.match(r"warning: |not scored: clip ", line)]
    numbers: dict[str, tuple[float | None, int]] = {}
    findings: list[dict[str, Any]] = []
    if isinstance(printed, dict) and "results" in printed:
        (result,) = (result for result in printed["results"] if result["role"] == "system")
        for row in result["rows"]:
            label = f"{row['label']} paper" if row["arithmetic"] == "paper" else row["label"]
            value = None if row["value"] is None else float(row["value"])  # "inf" is a text
            numbers[label] = (value, row["scored"])
        findings = result.get("findings", [])
        notes = [note for note in printed["notes"] if re.match(r"made: .*(remarks|not scored)", note)]
        messages = [note.removeprefix("made: ") for note in notes]
        if "findings" not in result:
            messages += [f"not scored: {reason} ({count})" for reason, count in result["failures"].items()]
        messages += errors if not numbers else []
    elif printed is not None:
        findings, messages = (printed["findings"] if isinstance(printed, dict) else printed), errors
        messages += [found["message"] for found in findings if found["code"] == "unreadable"]
    else:
        messages = [*done.stdout.splitlines(), *errors][-3:]
    seen = {(found["level"], found["code"], found["clip"] or place) for place, found in enumerate(findings)}
    counts = Counter(f"{level} {code}" for level, code, _ in sorted(seen, key=str))
    order = sorted(counts, key=lambda name: (["error", "warning", "info"].index(name.split()[0]), name))
    plain = [_short(message.replace(f"{folder}/", "")) for message in dict.fromkeys(messages)]
    return Said(name, done.returncode, numbers, {name: counts[name] for name in order}, tuple(filter(None, plain)))


def _short(message: str) -> str:
    return textwrap.shorten(message, LONGEST, placeholder=" ...")


def is_told(kind: Kind, said: list[Said]) -> bool:
    """Whether the fault is named where its number is printed, or the number is the right one."""
    scored = [one for one in said if one.numbers] or said
    if any(name.split()[1] in kind.codes and count >= kind.clips for name, count in scored[-1].findings.items()):
        return True
    if kind.words and any(re.search(kind.words, message) for one in said for message in one.messages):
        return True
    values = [{label: v for label, (v, _) in one.numbers.items() if v is not None} for one in said if one.numbers]
    if kind.right is not None:
        label, low, high = kind.right
        return any(low <= of[label] <= high for of in values if label in of)
    if kind.same is not None and len(values) > 1:
        label, tolerance = kind.same
        return label in values[0] and label in values[-1] and abs(values[0][label] - values[-1][label]) <= tolerance
    return False


def measure(kind: Kind, desk: Desk, program: Installed) -> list[Said]:
    """Makes the input and runs what the kind says."""
    desk.folder.mkdir()
    return [program.run(command, desk.folder) for command in kind.make(desk)]


def show(kind: Kind, before: list[Said], now: list[Said], told: bool) -> str:
    """Two columns of one kind."""
    columns = [[line for one in side for line in _wrapped(one.lines())] for side in (before, now)]
    height = max(map(len, columns))
    left, right = (column + [""] * (height - len(column)) for column in columns)
    body = [f"  {a:{WIDTH}} | {b}".rstrip() for a, b in zip(left, right, strict=True)]
    return "\n".join([f"{kind.name}{'' if told else '   SILENT'}", *body, ""])


def _wrapped(lines: Iterable[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ")]


def markdown(kind: Kind, before: list[Said], now: list[Said]) -> str:
    """One row of a table."""
    cells = ["; ".join(line for one in side for line in one.lines()) for side in (before, now)]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in [kind.name, *cells]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="measure what was printed before, and keep it")
    parser.add_argument("--grid", type=Path, metavar="FOLDER", help="GRID, for the kinds that need real faces")
    parser.add_argument("--only", default="", metavar="PATTERN", help="kinds whose name has this in it")
    parser.add_argument("--markdown", action="store_true", help="a table for a page")
    arguments = parser.parse_args()
    given = KINDS if arguments.grid is None else (*KINDS, *GRID_KINDS)
    kinds = [kind for kind in given if re.search(arguments.only, kind.name)]
    record = json.loads(RECORD.read_text("utf-8"))
    silent = []
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        programs = {"now": Installed(ROOT, folder / "now")}
        make = ["data", "synth", str(folder / "corpus"), "--part", "sentences", "--train", "0", "--val", "0"]
        programs["now"].run([*make, "--test", str(TALKERS), "--workers", "1"], folder)
        talkers = read_talkers(folder / "corpus")
        if arguments.before is not None:
            programs["before"] = Installed(arguments.before, folder / "before")
            record["commit"] = _commit(arguments.before)
        for number, kind in enumerate(kinds):
            said = {
                time: pool.submit(measure, kind, Desk(folder / f"{time}{number}", talkers, arguments.grid), program)
                for time, program in programs.items()
            }
            if "before" in said:
                record["kinds"][kind.name] = [asdict(one) for one in said["before"].result()]
            before, now = [Said(**one) for one in record["kinds"].get(kind.name, [])], said["now"].result()
            told = is_told(kind, now)
            silent += [] if told else [kind.name]
            print(markdown(kind, before, now) if arguments.markdown else show(kind, before, now, told), flush=True)
            if "before" in said:
                write_text_atomically(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(kinds)} kinds, {len(silent)} silently wrong; before: {record['commit']}")
    if silent:
        sys.exit(f"silently wrong: {', '.join(silent)}")


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()

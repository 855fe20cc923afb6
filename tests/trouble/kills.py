"""Kills commands at every rename and at random moments, takes them up, and compares with a run never stopped.

    python -m tests.trouble.kills [SCENARIO ...]

kills each of these scenarios (all of them by default) before every rename, and after the last one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.trouble.kill_scenarios import SCENARIOS, Maker, Scenario, change_a_clip, start_folder
from tests.trouble.kill_trees import difference, tree
from tests.trouble.media_cases import Verdict

ROOT = Path(__file__).parents[2]
INJECTED = Path(__file__).parent / "injected"
SECONDS = 240.0
SIGTERM_SECONDS = 5.0
SLACK_SECONDS = 3.0  # a busy machine
MOST_KILLS = 3  # of one run


@dataclass(frozen=True)
class Kill:
    """When and how a command is killed.

    Attributes
    ----------
    at : int
        The number of the rename, or of the file opened to append to, from 1; 0 for none.
    moment : str
        ``before`` or ``after`` it.
    seconds : float or None
        Instead: so long after the start.
    number : signal.Signals
        With ``seconds``: SIGKILL or SIGTERM, to the process group.
    """

    at: int = 0
    moment: str = "before"
    seconds: float | None = None
    number: signal.Signals = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.moment} {self.at}" if self.seconds is None else f"{self.number.name} at {self.seconds:.2f} s"

    def variables(self, folder: Path) -> dict[str, str]:
        """The variables of ``injected/sitecustomize.py``."""
        if self.seconds is not None:
            return {"KILL_SECONDS": str(self.seconds), "KILL_SIGNAL": str(int(self.number))}
        counts = {"KILL_BELOW": str(folder), "KILL_COUNTER": str(counter(folder))}
        return {**counts, "KILL_AT": str(self.at), "KILL_MOMENT": self.moment}


def counter(folder: Path) -> Path:
    """The file that counts for a folder."""
    return folder.with_name(f"{folder.name}.count")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    code : int or None
        Exit code, negative for a signal; None if its time was over.
    seconds : float
    left : bool
        Whether a process of it was still there seconds later.
    stderr : str
    """

    code: int | None
    seconds: float
    left: bool
    stderr: str

    def refused_as(self, complete: str) -> bool:
        """Whether it was refused because the result is there already."""
        return bool(complete) and f"error: {complete}" in self.stderr

    def badly(self, scenario: Scenario, kill: Kill) -> str:
        """What is wrong with this end of a run that was killed; an empty text if nothing is."""
        last = next(iter(self.stderr.strip().splitlines()[-1:]), "nothing said")[:300]
        if self.code is None or self.left:
            return "hangs" if self.code is None else "a process is left"
        if "Traceback" in self.stderr:
            return f"traceback: {last}"
        expected = {scenario.code, -signal.SIGKILL}
        if kill.seconds is not None and kill.number == signal.SIGTERM:
            expected = {scenario.code, 128 + signal.SIGTERM}
            late = self.seconds - kill.seconds
            if late > SIGTERM_SECONDS + SLACK_SECONDS and self.code != scenario.code:
                return f"ends {late:.1f} s after SIGTERM"
        if self.code == 2 and self.refused_as(scenario.complete):
            return ""
        return "" if self.code in expected else f"ends with {self.code}: {last}"


class Nursery:
    """Starts commands quickly, see :mod:`tests.trouble.nursery`. A context manager.

    Parameters
    ----------
    names : sequence of str
        Of the scenarios, whose imports are done once.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._imports = sorted({module for name in names for module in SCENARIOS[name].imports})

    def __enter__(self) -> Nursery:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.trouble.nursery", *self._imports],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def run(self, words: Sequence[str], folder: Path, kill: Kill | None) -> Ended:
        """Run a command to its end, or kill it."""
        places = {"TLBENCH_CACHE": "cache", "TLBENCH_CHECKPOINTS": "checkpoints", "XDG_CONFIG_HOME": "config"}
        environment = {name: str(folder / path) for name, path in places.items()}
        environment |= {"PYTHONPATH": f"{INJECTED}:{ROOT}"} | ({} if kill is None else kill.variables(folder))
        request = {"words": list(words), "folder": str(folder), "environment": environment, "seconds": SECONDS}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ended(**answer, stderr=Path(f"{folder}.stderr").read_text(errors="replace"))


@dataclass(frozen=True)
class Whole:
    """A run that was never stopped: its tree, how many renames it made, and how long it took."""

    tree: Mapping[str, str]
    points: int
    seconds: float


class KilledRuns:
    """A folder in which scenarios are run again and again."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self._folder, self._nursery = folder, nursery
        self._inputs, self._runs = folder / "inputs", 0
        self._made: set[Maker] = set()
        self._wholes: dict[str, Whole] = {}
        self._inputs.mkdir()

    def whole(self, name: str) -> Whole:
        """The run of a scenario that is never stopped."""
        if name not in self._wholes:
            scenario = SCENARIOS[name]
            folder = self._new(scenario)
            ended = self._nursery.run(scenario.words, folder, Kill())
            assert ended.code == scenario.code, f"{name}: {ended.stderr}"
            made, called = scenario.makes
            if made:
                shutil.copytree(folder / made, self._inputs / called)
            if called == "corpus":
                change_a_clip(self._inputs / called)
            self._wholes[name] = Whole(tree(folder), counter(folder).stat().st_size, ended.seconds)
        return self._wholes[name]

    def killed(self, name: str, kills: Sequence[Kill]) -> str:
        """Kill a run and what takes it up, then let it end; why the result falls short, or an empty text."""
        scenario, whole = SCENARIOS[name], self.whole(name)
        folder = self._new(scenario)
        for kill in kills:
            counter(folder).unlink(missing_ok=True)
            if why := self._nursery.run(scenario.words, folder, kill).badly(scenario, kill):
                return f"{kill}: {why}"
        ended = self._nursery.run(scenario.words, folder, None)
        if ended.code != scenario.code and not (ended.code == 2 and ended.refused_as(scenario.complete)):
            return f"taken up, it ends with {ended.code}: {ended.stderr.strip()[-300:]}"
        why = difference(whole.tree, tree(folder))
        if not why:
            shutil.rmtree(folder)
        return why

    def _new(self, scenario: Scenario) -> Path:
        """A new folder with what the command finds there; the inputs are made first."""
        for maker in scenario.inputs:
            if maker not in self._made:
                maker(self._inputs)
                self._made.add(maker)
        if scenario.after:
            self.whole(scenario.after)
        self._runs += 1
        folder = self._folder / "cases" / str(self._runs)
        start_folder(scenario, self._inputs, folder)
        return folder


def every_kill(runs: KilledRuns, name: str) -> Iterator[Verdict]:
    """Kill one scenario before each rename, and after the last."""
    points = runs.whole(name).points
    kills = [*(Kill(at) for at in range(1, points + 1)), Kill(points, "after")]
    random.Random(name).shuffle(kills)
    for kill in kills:
        yield _verdict(runs, name, [kill])


def random_kills(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Kill random scenarios up to three times each, at random renames and at random moments."""
    names = list(SCENARIOS)
    with Nursery(names) as nursery:
        runs = KilledRuns(folder, nursery)
        for number in range(cases):
            rng = random.Random(f"{seed}/{number}")  # a case is the same however many come before it
            name = rng.choice(names)
            whole = runs.whole(name)
            kills = [_random_kill(rng, whole) for _ in range(rng.randint(1, MOST_KILLS))]
            yield _verdict(runs, name, kills)


def _random_kill(rng: random.Random, whole: Whole) -> Kill:
    if rng.random() < 0.5:
        return Kill(rng.randint(1, whole.points), rng.choice(("before", "after")))
    return Kill(seconds=rng.uniform(0, whole.seconds), number=rng.choice((signal.SIGKILL, signal.SIGTERM)))


def _verdict(runs: KilledRuns, name: str, kills: Sequence[Kill]) -> Verdict:
    why = runs.killed(name, kills)
    return Verdict(f"kill: {name}", ", ".join(map(str, kills)), "fell short" if why else "right", why)


def main() -> None:
    """Kill the given scenarios everywhere."""
    names = sys.argv[1:] or list(SCENARIOS)
    with tempfile.TemporaryDirectory() as folder, Nursery(names) as nursery:
        runs = KilledRuns(Path(folder), nursery)
        for name in names:
            verdicts = []
            for verdict in every_kill(runs, name):
                verdicts.append(verdict)
                if verdict.end == "fell short":
                    print(f"  {verdict.name}: {verdict.why}", flush=True)
            print(f"{name}: {len(verdicts)} tried", flush=True)


if __name__ == "__main__":
    main()

"""Of several runs at once, in any order of their calls of the system, no two have one folder without an error."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.trouble.owner_cases import dead_card, leave, owner_files
from tlbench.errors import TlbenchError
from tlbench.owner import owned, owner_path

CALLS = ("link", "replace", "unlink", "lstat", "open", "mkdir", "rmdir")


@dataclass
class Had:
    """What a run had the folder for: from its first step in it to its last, of the steps of all runs."""

    first: int = -1
    last: int = -1
    error: str = ""


class Turns:
    """Lets one of several threads at a time go on to its next call of the system; which, a seed decides."""

    def __init__(self, seed: int) -> None:
        self.steps = 0
        self._drawn = random.Random(seed)
        self._changed = threading.Condition()
        self._turn: threading.Thread | None = None
        self._waiting: list[threading.Thread] = []
        self._live: list[threading.Thread] = []

    def wait(self) -> None:
        """Wait for this thread's next turn; other threads than the runs' do not wait."""
        me = threading.current_thread()
        if me not in self._live:
            return
        with self._changed:
            self._waiting.append(me)
            self._turn = None
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._turn is me, timeout=60)
            self._waiting.remove(me)
            self.steps += 1

    def run(self, works: list[Callable[[], None]]) -> None:
        """Run each in a thread, until all have ended."""
        self._live = [threading.Thread(target=self._one, args=(work,)) for work in works]
        threads = list(self._live)
        for thread in threads:
            thread.start()
        with self._changed:
            while self._live:
                assert self._changed.wait_for(
                    lambda: self._turn is None and len(self._waiting) == len(self._live), timeout=60
                )
                if self._live:
                    self._turn = self._drawn.choice([thread for thread in threads if thread in self._waiting])
                    self._changed.notify_all()
        for thread in threads:
            thread.join()

    def _one(self, work: Callable[[], None]) -> None:
        self.wait()
        work()
        with self._changed:
            self._live.remove(threading.current_thread())
            self._turn = None
            self._changed.notify_all()


def counted(call: Callable[..., Any], turns: Turns) -> Callable[..., Any]:
    def instead(*words: Any, **given: Any) -> Any:
        turns.wait()
        return call(*words, **given)

    return instead


@pytest.mark.parametrize("dead", ["here", "elsewhere", "nothing"])
@pytest.mark.parametrize("forced", [0, 1, 2])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_two_runs_have_one_folder(tmp_path: Path, dead: str, forced: int) -> None:
    """``forced`` of three runs come with --take-over; who loses the folder while it has it has to end with an error."""
    for seed in range(25):
        folder, had = tmp_path / str(seed), [Had(), Had(), Had()]
        if dead != "nothing":
            leave(owner_path(folder), dead_card(here=dead == "here").to_json(), 3600)
        turns = Turns(seed)

        def work(number: int, turns: Turns = turns, folder: Path = folder, had: list[Had] = had) -> None:
            try:
                with owned(folder, take_over=number < forced):
                    had[number].first = turns.steps
                    for _ in range(3 * number):
                        turns.wait()
                    had[number].last = turns.steps
            except TlbenchError as error:
                had[number].error = str(error)

        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, counted(getattr(os, name), turns))
            turns.run([lambda number=number: work(number) for number in range(3)])
        well = sorted((one.first, one.last) for one in had if not one.error)
        assert well, (seed, had)
        assert all(before[1] < after[0] for before, after in pairwise(well)), (seed, had)
        assert all("another run writes" in one.error or "taken over by" in one.error for one in had if one.error), had
        assert not folder.exists() or owner_files(folder) == [], (seed, owner_files(folder))

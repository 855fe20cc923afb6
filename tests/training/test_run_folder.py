"""The log and the state of a training run: what a kill leaves, and what a resumed run makes of it."""

from __future__ import annotations

import json
import os
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.training.run_folder import LOG_NAME, SETTINGS_NAME, STATE_NAME, RunLog, Sums, claim, write_state


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / LOG_NAME).read_text().splitlines()]


@pytest.mark.parametrize("seed", range(20))
def test_the_log_is_cut_to_the_lines_of_the_state_wherever_it_was_torn(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    log = RunLog(tmp_path)
    kept, lost = rng.randint(0, 5), rng.randint(0, 3)
    for number in range(kept + lost):
        log.append({"step": rng.choice((number, 0)), "what": "ü" * rng.randint(0, 9)})  # some lines have the same step
    whole = (tmp_path / LOG_NAME).read_bytes() if kept + lost else b""
    of_state = b"".join(whole.splitlines(keepends=True)[:kept])
    torn = whole[: rng.randint(len(of_state), len(whole))]  # a kill tears the file anywhere after the state
    (tmp_path / LOG_NAME).write_bytes(torn)
    resumed = RunLog(tmp_path)
    resumed.cut(kept, step=10**6)
    assert resumed.lines == kept
    assert (tmp_path / LOG_NAME).exists() == bool(kept)  # a run that was never stopped has no empty log
    resumed.append({"step": 9})
    assert (tmp_path / LOG_NAME).read_bytes() == of_state + b'{"step": 9}\n'
    assert resumed.lines == kept + 1


def test_of_a_state_that_does_not_count_lines_those_up_to_its_step_are_kept(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in (0, 3, 3, 6):
        log.append({"step": step})
    with open(tmp_path / LOG_NAME, "ab") as file:
        file.write(b'{"step": 1')
    log.cut(None, step=3)
    assert (log.lines, [line["step"] for line in lines_of(tmp_path)]) == (3, [0, 3, 3])


def test_other_settings_are_refused_once_a_run_has_made_something(tmp_path: Path) -> None:
    claim(tmp_path, {"rate": 1}, set())
    (tmp_path / "config.toml").touch()
    (tmp_path / ".owner").touch()  # of the run itself
    claim(tmp_path, {"rate": 2}, set())  # that of the first one was a mistake, and it ended at once
    assert json.loads((tmp_path / SETTINGS_NAME).read_text()) == {"rate": 2}
    RunLog(tmp_path).append({"step": 0})
    claim(tmp_path, {"rate": 2}, set())
    with pytest.raises(TlbenchError, match="holds a training run with rate 2, not 1"):
        claim(tmp_path, {"rate": 1}, set())


def test_a_run_without_a_state_starts_with_an_empty_log(tmp_path: Path) -> None:
    RunLog(tmp_path).cut(0, step=0)
    RunLog(tmp_path).append({"step": 0})
    RunLog(tmp_path).cut(0, step=0)
    assert not (tmp_path / LOG_NAME).exists()


def test_means_go_on_with_the_losses_that_a_state_kept() -> None:
    batches = [{"l1": 0.1, "gan": 3.0}, {"l1": 0.7}, {"l1": 0.35}]
    whole, first = Sums(), Sums()
    for batch in batches:
        whole.add(batch)
    first.add(batches[0])
    resumed = Sums(first.losses)
    first.add({"l1": 99.0})  # of the run that was killed
    for batch in batches[1:]:
        resumed.add(batch)
    assert resumed.means() == whole.means() == {"l1": round(1.15 / 3, 5), "gan": 3.0}


def test_equal_states_have_equal_bytes_whatever_objects_they_are_made_of(tmp_path: Path) -> None:
    name = "exp_avg"
    one = {"a": {name: torch.ones(3), "betas": (0.9, 0.999)}, "b": {name: torch.zeros(2)}}
    copied = "".join(list(name))
    other = OrderedDict(a={copied: torch.ones(3), "betas": (0.9, 0.999)}, b={name: torch.zeros(2)})
    contents = []
    for state in (one, other, one):
        write_state(tmp_path, state)
        contents.append((tmp_path / STATE_NAME).read_bytes())
    assert contents[0] == contents[1] == contents[2]
    write_state(tmp_path, {**one, "b": {name: torch.ones(2)}})
    assert (tmp_path / STATE_NAME).read_bytes() != contents[0]


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_a_log_that_is_no_file_is_one_line(tmp_path: Path, what: str) -> None:
    (tmp_path / LOG_NAME).mkdir() if what == "folder" else os.mkfifo(tmp_path / LOG_NAME)
    with pytest.raises(TlbenchError, match=rf"can't be read \(it is a (named )?{what}, not a regular file\)"):
        RunLog(tmp_path).cut(3, step=0)


def test_a_log_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"log\.jsonl: can't be written"):
        RunLog(tmp_path / "no such folder").append({"step": 0})

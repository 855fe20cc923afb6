"""Training states from somebody else: read without running code, and refused in one line if they don't fit."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trouble.hostile_archives import HOSTILE, TRACE, Trap
from tlbench.errors import TlbenchError
from tlbench.training.run_folder import STATE_NAME, check_progress, load_optimiser, read_state, write_state

CPU = torch.device("cpu")


def trained() -> tuple[nn.Linear, torch.optim.AdamW]:
    """A network and its optimiser after a step."""
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return network, optimiser


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    network, optimiser = trained()
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "at": {"step": 3, "l1": None}}
    write_state(tmp_path, state)
    back = read_state(tmp_path, CPU)
    assert back is not None
    (tmp_path / STATE_NAME).unlink()
    assert back["at"] == state["at"]
    assert all(torch.equal(tensor, back["network"][name]) for name, tensor in network.state_dict().items())
    assert back["optimiser"]["param_groups"] == optimiser.state_dict()["param_groups"]
    _, other = trained()
    load_optimiser(other, back["optimiser"])
    mine, theirs = (one.state_dict()["state"] for one in (optimiser, other))
    assert all(torch.equal(mine[n][name], theirs[n][name]) for n in mine for name in mine[n])
    assert read_state(tmp_path, CPU) is None


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", sorted(HOSTILE.keys() - {"absurd tensor", "flipped or cut", "fairseq", "zip bomb"}))
def test_a_hostile_state_is_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tensors = {f"weight{number}": torch.zeros(1) for number in range(500)}
    HOSTILE[kind](tmp_path / STATE_NAME, tensors, random.Random(3))
    if kind == "table of contents":
        (tmp_path / STATE_NAME).write_bytes((tmp_path / STATE_NAME).read_bytes()[:-2])
    with pytest.raises(TlbenchError, match=r"state\.pt: training can't resume from it .* remove it to start again"):
        read_state(tmp_path, CPU)
    assert not Path(TRACE).exists()


def test_code_in_a_state_is_not_run_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    torch.save({"step": Trap(os.mkdir, str(tmp_path / TRACE))}, tmp_path / STATE_NAME)
    with pytest.raises(TlbenchError, match="which would run code"):
        read_state(tmp_path, CPU)
    assert not (tmp_path / TRACE).exists()
    (tmp_path / STATE_NAME).unlink()
    os.mkfifo(tmp_path / STATE_NAME)
    with pytest.raises(TlbenchError, match="can't resume"):
        read_state(tmp_path, CPU)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no groups": lambda state: state.pop("param_groups"),
    "other parameters": lambda state: state["param_groups"][0].update(params=[0, 1, 2]),
    "a text": lambda state: state["param_groups"][0].update(lr="x"),
    "NaN": lambda state: state["param_groups"][0].update(eps=float("nan")),
    "betas": lambda state: state["param_groups"][0].update(betas=(0.9,)),
    "shape": lambda state: state["state"][0].update(exp_avg=torch.zeros(7)),
    "no moments": lambda state: state["state"][0].pop("exp_avg"),
    "one moment for all": lambda state: state["state"][0].update(exp_avg=torch.zeros(())),
    "many steps": lambda state: state["state"][0].update(step=torch.zeros(3, 2)),
    "no tensor": lambda state: state["state"][0].update(exp_avg=None),
    "unknown parameter": lambda state: state["state"].update({99: {}}),
    "named parameter": lambda state: state["state"].update({"x": {}}),
    "no state": lambda state: state.update(state=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_optimiser_that_does_not_fit_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    _, optimiser = trained()
    state = optimiser.state_dict()
    change(state)
    with pytest.raises((KeyError, ValueError, TypeError, IndexError, AttributeError)):
        load_optimiser(trained()[1], state)


@pytest.mark.parametrize("wrong", [-1, 2**62, 1.0, "1", None, True, [], torch.zeros(1)])
def test_steps_that_are_no_count_are_refused(wrong: object) -> None:
    check_progress((0, 3), None)
    with pytest.raises(ValueError, match="no count"):
        check_progress((0, wrong), None)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "1", True, [], torch.zeros(1)])
def test_a_best_value_that_is_no_number_is_refused(wrong: object) -> None:
    check_progress((0,), 0.5)
    with pytest.raises(ValueError, match="no finite number"):
        check_progress((0,), wrong)

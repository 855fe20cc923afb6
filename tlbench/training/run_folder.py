"""The folder of a training run: its settings, its log, and a state file from which training resumes."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tlbench.checkpoints.state_dict import open_checkpoint, read_tree
from tlbench.errors import TlbenchError, quoted
from tlbench.files import JSON, atomic_path, read_outside, unwritable, write_bytes_atomically, write_text_atomically
from tlbench.files_of_before import settings_now
from tlbench.json_input import parse_json
from tlbench.litter import remove_litter
from tlbench.owner import check_still_owned, owned

STATE_NAME = "state.pt"
ADAM_STATE = {"step", "exp_avg", "exp_avg_sq"}  # what torch's Adam and AdamW keep of a parameter
LOG_NAME = "log.jsonl"
SETTINGS_NAME = "settings.json"
# What a run has written before its first step: its settings, and the options of the command line.
BEFORE_A_STEP = {SETTINGS_NAME, "config.toml"}
# What torch and the networks raise for a state file that does not fit.
STATE_ERRORS = (OSError, RuntimeError, KeyError, IndexError, ValueError, TypeError, AttributeError)


@contextmanager
def owned_run(out: Path, *, take_over: bool = False) -> Iterator[None]:
    """:func:`tlbench.owner.owned` of a run's folder, by the first of the processes that train together."""
    try:
        from lightning_fabric.utilities.rank_zero import rank_zero_only

        first = getattr(rank_zero_only, "rank", 0) == 0
    except ImportError:  # make_fabric says what is missing
        first = True
    with owned(out, take_over=take_over) if first else nullcontext():
        yield


def claim(out: Path, settings: Mapping[str, Any], may_change: Set[str]) -> None:
    """Write ``settings.json`` to a new folder, or check that the folder holds a run with the same settings.

    A run that ended before its first step, perhaps by a mistake in its settings, is none.

    Parameters
    ----------
    out : Path
    settings : mapping
        JSON of everything that decides the run.
    may_change : set of str
        Settings that may differ when a run is resumed.

    Raises
    ------
    TlbenchError
        If the folder holds another run; the message names the settings that differ.
    """
    remove_litter(out, deep=True)
    path = out / SETTINGS_NAME
    text = json.dumps(settings, indent=1) + "\n"
    if path.is_file() and any(there.name not in BEFORE_A_STEP for there in out.glob("[!.]*")):
        try:
            found = parse_json(read_outside(path, JSON))
            differences = _differences(settings_now(found), settings_now(json.loads(text)), may_change)
        except (ValueError, TypeError, AttributeError) as error:
            raise TlbenchError(f"{path}: the file is damaged; choose another folder (--out)") from error
        if differences:
            raise TlbenchError(
                f"{out} holds a training run with {', '.join(differences)}; "
                "choose another folder (--out), or the same settings"
            )
    write_text_atomically(path, text)


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], may_change: Set[str]) -> list[str]:
    """``seed 0, not 7`` for each setting that differs; ``schedule.seed 0, not 7`` for one inside another."""
    differences = []
    for name, value in wanted.items():
        if name in may_change or found.get(name) == value:
            continue
        if isinstance(value, dict) and isinstance(found.get(name), dict):
            differences += [f"{name}.{difference}" for difference in _differences(found[name], value, frozenset())]
        else:
            differences.append(f"{name} {quoted(found.get(name))}, not {quoted(value)}")
    return differences


def write_state(out: Path, state: Mapping[str, Any]) -> None:
    """Replace the folder's state file; the same state gives the same bytes.

    Raises TlbenchError if the disk is full, or another run has taken over; the old file is then unchanged.
    """
    check_still_owned()
    try:
        with atomic_path(out / STATE_NAME) as temporary, open(temporary, "xb") as file:
            torch.save(_plain(state), file)  # into a path it would also write the name of the temporary file
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError when the disk is full
        raise TlbenchError(f"{out}: the training state can't be written ({error}); free some space") from error


def read_state(out: Path, device: torch.device) -> dict[str, Any] | None:
    """The content of the folder's state file; None if there is none yet. Raises TlbenchError if it is damaged.

    It is read as any checkpoint, without running code, because a folder may come from somebody else.
    """
    path = out / STATE_NAME
    if not os.path.lexists(path):
        return None
    try:
        state: Any = read_tree(open_checkpoint(path), path)
    except TlbenchError as error:
        raise bad_state(out, ValueError(str(error).removeprefix(f"weights {path}: ").partition(";")[0])) from error
    if not isinstance(state, dict):
        raise bad_state(out, ValueError("the file is damaged"))
    return {name: _moved(value, device) for name, value in state.items()}


def _moved(node: Any, device: torch.device) -> Any:
    if isinstance(node, Tensor):
        return node.to(device)
    if isinstance(node, dict):
        return {key: _moved(value, device) for key, value in node.items()}
    return [_moved(value, device) for value in node] if isinstance(node, list) else node


def load_optimiser(optimiser: Optimizer, kept: Mapping[str, Any]) -> None:
    """Load an optimiser's state, whose tensors must be of the shapes of its parameters.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is of another optimiser, or has a setting or tensor that can't be used.
    """
    own = optimiser.state_dict()["param_groups"]
    groups = kept["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in own]:
        raise ValueError("its optimiser has other parameters")
    for group, before in zip(groups, own, strict=True):
        for name in group.keys() & before.keys() - {"params"}:
            if not _alike(group[name], before[name]):
                raise ValueError(f"its optimiser has the {name} {quoted(group[name])}")
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for number, entry in kept["state"].items():
        shape = parameters[number].shape
        if set(entry) != ADAM_STATE:
            raise ValueError(f"its optimiser knows other things of parameter {number}")
        for name, value in entry.items():
            if not isinstance(value, Tensor) or value.shape != (() if name == "step" else shape):
                raise ValueError(f"its optimiser's {name:.60} is not of the shape of parameter {number}")
    optimiser.load_state_dict(dict(kept))


def check_progress(counts: Iterable[object], value: object) -> None:
    """Raises ValueError if counts of a state are no whole numbers of 0 or more, or its best value is no number."""
    if not all(type(count) is int and 0 <= count < 2**62 for count in counts):
        raise ValueError("its number of steps is no count")
    if value is not None and not (type(value) in (int, float) and math.isfinite(value)):  # type: ignore[arg-type]
        raise ValueError("its best value is no finite number")


def _alike(value: Any, before: Any) -> bool:
    """Whether a setting is of the kind of the one before: a finite number, or the same switch."""
    if isinstance(before, (tuple, list)):
        return isinstance(value, (tuple, list)) and len(value) == len(before) and all(map(_alike, value, before))
    if type(before) in (int, float):
        return type(value) in (int, float) and math.isfinite(value)
    return value == before or value is None


def bad_state(out: Path, error: BaseException) -> TlbenchError:
    """The error for a state file that does not fit the network, or is damaged."""
    reason = str(error).splitlines()[0] if str(error) else "the file is damaged"
    return TlbenchError(f"{out / STATE_NAME}: training can't resume from it ({reason:.300}); remove it to start again")


def _plain(value: Any) -> Any:
    """The value with plain dicts and lists, and one object for all equal texts.

    A pickle says which objects are the same one, and that differs between a run that was resumed and one that was not.
    """
    if isinstance(value, Mapping):
        return {_plain(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return sys.intern(value) if isinstance(value, str) else value


class RunLog:
    """The log of a run, a JSON object a line. Each state says how many lines belong to it.

    A line is written before the state that counts it. So when a run is killed the log has at least the lines of the
    state on disk, and :meth:`cut` removes the rest: those steps are done and logged again.

    Parameters
    ----------
    out : Path
        The run folder.

    Attributes
    ----------
    lines : int
        How many there are.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / LOG_NAME
        self.lines = 0

    def append(self, line: Mapping[str, Any]) -> None:
        """Append an object; it has a ``step``.

        Raises TlbenchError if the disk is full, or another run has taken over.
        """
        check_still_owned()
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise unwritable(self._path, error) from error
        self.lines += 1

    def cut(self, lines: int | None, step: int) -> None:
        """Keep the first ``lines`` lines, those of the state that was read.

        ``lines`` is None for a state that does not say it, as tlbench 0.1.0 wrote it: lines of steps up to ``step``,
        the state's, are kept then. Raises TlbenchError if the file can't be read or replaced.
        """
        try:
            there = read_outside(self._path, JSON).splitlines(keepends=True)
        except FileNotFoundError:
            there = []
        except OSError as error:
            raise TlbenchError(f"{self._path}: can't be read ({error.strerror}); remove it and run again") from error
        kept = [line for line in there if _step_of(line) <= step] if lines is None else there[:lines]
        if not kept:
            self._path.unlink(missing_ok=True)
        elif kept != there:
            write_bytes_atomically(self._path, b"".join(kept))
        self.lines = len(kept)


def _step_of(line: bytes) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that was cut off when the process was killed
        return 2**62


class Sums:
    """The sums of losses, frames and seconds between two log lines.

    Parameters
    ----------
    losses : mapping of str to list of float
        What a state kept, to go on with.

    Attributes
    ----------
    losses : dict of str to list of float
        The losses of each batch. A state keeps them, so that the next log line of a resumed run has all of them.
    """

    def __init__(self, losses: Mapping[str, list[float]] = MappingProxyType({})) -> None:
        self.losses = {name: [float(value) for value in values] for name, values in losses.items()}
        self.frames = 0
        self.seconds = 0.0
        self.rate = 0.0

    def add(self, losses: Mapping[str, float | Tensor]) -> None:
        """Add the losses of one batch."""
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(float(value))

    def means(self) -> dict[str, float]:
        """The mean of each loss over the batches that have it."""
        return {name: round(sum(values) / len(values), 5) for name, values in self.losses.items()}

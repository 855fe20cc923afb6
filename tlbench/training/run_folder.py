"""What a training leaves in its folder so that it can go on: settings, a log, and a state that is always whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Set
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.files import write_text_atomically
from tlbench.files_of_before import settings_now

STATE_NAME = "state.pt"
LOG_NAME = "log.jsonl"
SETTINGS_NAME = "settings.json"
# What torch and the networks say of a state that is not theirs.
NO_STATE = (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, UnpicklingError, BadZipFile)


def claim(out: Path, settings: Mapping[str, Any], free: Set[str]) -> None:
    """Make the folder this training's own, or find that it is already.

    Parameters
    ----------
    settings : mapping
        JSON of all that decides the training.
    free : set of str
        Settings that may change between two parts of one training.

    Raises
    ------
    TlbenchError
        If it holds another training; says what is different.
    """
    path = out / SETTINGS_NAME
    text = json.dumps(settings, indent=1) + "\n"
    if path.is_file():
        try:
            kept = json.loads(path.read_text("utf-8"))
            differences = _differences(settings_now(kept), settings_now(json.loads(text)), free)
        except (ValueError, TypeError, AttributeError) as error:
            raise TlbenchError(f"{path}: is damaged; choose another folder (--out)") from error
        if differences:
            raise TlbenchError(
                f"{out} holds a training with {', '.join(differences)}; "
                "choose another folder (--out), or the same settings"
            )
    write_text_atomically(path, text)


def _differences(kept: Mapping[str, Any], wanted: Mapping[str, Any], free: Set[str]) -> list[str]:
    """``seed 0, not 7`` of each setting; settings inside settings are named by both."""
    found = []
    for name, value in wanted.items():
        if name in free or kept.get(name) == value:
            continue
        if isinstance(value, dict) and isinstance(kept.get(name), dict):
            found += [f"{name}.{difference}" for difference in _differences(kept[name], value, frozenset())]
        else:
            found.append(f"{name} {kept.get(name)!r}, not {value!r}")
    return found


def write_state(out: Path, state: Mapping[str, Any]) -> None:
    """Keep a state in place of the one before. Raises TlbenchError if the disk is full; then the old one is there."""
    unfinished = out / f".{secrets.token_hex(8)}.tmp"
    try:
        torch.save(dict(state), unfinished)
        os.replace(unfinished, out / STATE_NAME)
    except (OSError, RuntimeError) as error:  # torch says RuntimeError when the disk is full
        unfinished.unlink(missing_ok=True)
        raise TlbenchError(f"{out}: the state can't be written ({error}); free some space") from error


def read_state(out: Path, device: torch.device) -> dict[str, Any] | None:
    """The state of a folder, or None if there is none yet. Raises TlbenchError if it is damaged."""
    path = out / STATE_NAME
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except NO_STATE as error:
        raise bad_state(out, error) from error
    return state


def bad_state(out: Path, error: BaseException) -> TlbenchError:
    """What to say of a state that does not fit."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return TlbenchError(f"state {out / STATE_NAME}: can't be gone on from ({reason}); remove it to begin again")


def append_log(out: Path, line: Mapping[str, Any]) -> None:
    """Add one JSON object, ``step`` among its names, to the log."""
    with open(out / LOG_NAME, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def cut_log(out: Path, step: int) -> None:
    """A log that went on after the state of ``step`` was saved would tell the later steps twice."""
    path = out / LOG_NAME
    if path.is_file():
        lines = [line for line in path.read_text("utf-8").splitlines() if _step_of(line) <= step]
        write_text_atomically(path, "".join(line + "\n" for line in lines))


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line cut off by a kill
        return 2**62


class Sums:
    """Losses, frames and time between two reports."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self.frames = 0
        self.seconds = 0.0
        self.rate = 0.0

    def add(self, losses: Mapping[str, float | Tensor]) -> None:
        """Losses of one batch."""
        for name, value in losses.items():
            self._values.setdefault(name, []).append(float(value))

    def means(self) -> dict[str, float]:
        """Of each loss, over the batches that had it."""
        return {name: round(sum(values) / len(values), 5) for name, values in self._values.items()}

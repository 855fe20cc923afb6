"""Checkpoint files to state dicts, without running anything that is in them."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.observing.cache import file_sha256

_NAMES_SHOWN = 3


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read a plain state dict, in torch's zip or its older format.

    Returns
    -------
    state : dict of str to Tensor
        On the CPU.
    sha256 : str
        Of the whole file.

    Raises
    ------
    TlbenchError
        If the file can't be read, is not a checkpoint, is cut short, holds anything but tensors and plain
        containers, or is no state dict.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
        sha256 = file_sha256(path)
    except OSError as error:
        raise TlbenchError(f"weights {path}: can't be read ({error.strerror})") from error
    if not head:
        raise TlbenchError(f"weights {path}: the file is empty; download it again")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise TlbenchError(
            f"weights {path}: this is a web page, not a checkpoint; the download link led to a page, "
            "open it in a browser and save the file itself"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an unusual pickle protocol; errors say what matters
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([A-Za-z_][\w.]*\w) ", str(error))
        if refused is None:
            raise TlbenchError(f"weights {path}: not a checkpoint, or cut short; download it again") from error
        raise TlbenchError(
            f"weights {path}: holds {refused[1]}, which would run code; only tensors are read, "
            "save the model's state_dict() alone"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError, OSError) as error:
        raise TlbenchError(f"weights {path}: not a checkpoint, or cut short; download it again") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise TlbenchError(
            f"weights {path}: holds no plain state dict (names to tensors); this is another model's file"
        )
    return {str(name): tensor for name, tensor in loaded.items()}, sha256


def load_into(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Copy a state dict into a module whose tensors it must name and fit exactly.

    ``num_batches_tracked`` may be missing: checkpoints older than torch 0.4.1 have none, and inference reads none.

    Parameters
    ----------
    name : str
        Whose weights these are, for the message.

    Raises
    ------
    TlbenchError
        Naming the tensors that are missing, unknown or of another shape.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    wrong = [
        f"{len(keys)} {what} ({', '.join(keys[:_NAMES_SHOWN])}{', ...' if len(keys) > _NAMES_SHOWN else ''})"
        for keys, what in ((missing, "missing"), (unknown, "unknown"), (misshapen, "of another shape"))
        if keys
    ]
    if wrong:
        raise TlbenchError(f"weights of {name}: this is another model's file; tensors {', '.join(wrong)}")
    module.load_state_dict(dict(state), strict=False)

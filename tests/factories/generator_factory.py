"""Small weights for every generator that has any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from tlbench.talklip.checkpoint import write_official
from tlbench.talklip.generator import TalkLip, dims_for


def generator_weights(name: str, folder: Path) -> Path:
    """Write a file or package for the generator ``name`` to ``folder``. Raises KeyError for an unknown one."""
    return _WRITERS[name](folder)


def _local(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "tiny.pth"
    write_official(TalkLip(dims_for("tiny", "local", 0, 0)), path, 1, 1, {"variant": "l"})
    return path


_WRITERS: Mapping[str, Callable[[Path], Path]] = {"talklip": _local, "wav2lip": _local}

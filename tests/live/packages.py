"""Modules of the original packages, or a skip of the whole test file with the reason.

With ``TLBENCH_LIVE=required``, which .ci/live sets, a package that is missing is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.observing.originals import original, original_file


def need(package: str, module: str, *, alone: bool = False) -> ModuleType:
    """A module of an original package; with ``alone``, without its package's ``__init__``."""
    with skipped_without():
        return original_file(package, module) if alone else original(package, module)


@contextmanager
def skipped_without() -> Iterator[None]:
    """A skip, or where the packages are required a failure, if what runs inside says that a package is missing."""
    try:
        yield
    except TlbenchError as error:
        if os.environ.get("TLBENCH_LIVE") == "required":
            raise
        pytest.skip(str(error), allow_module_level=True)


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, relative to the original's largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())

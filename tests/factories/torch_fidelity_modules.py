"""Modules of torch-fidelity, where it is installed.

Its data sets and other networks need torchvision, whose wheels fit one torch each. FID, KID and Inception need none of
it, so a placeholder takes its place while the modules are imported.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import NoReturn

import pytest

_TORCHVISION = (
    "torchvision",
    *(f"torchvision.{name}" for name in ("datasets", "models", "transforms", "transforms.functional")),
)


class _Placeholder(ModuleType):
    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def missing(package: str) -> NoReturn:
    """Skip a test that needs an original package, or fail it where ``TLBENCH_LIVE=required`` says that it is there."""
    said = f"{package} is not installed"
    pytest.fail(said) if os.environ.get("TLBENCH_LIVE") == "required" else pytest.skip(said)


def torch_fidelity_module(name: str) -> ModuleType:
    """``torch_fidelity.NAME``; the test is skipped where torch-fidelity is not installed, unless .ci/live runs it."""
    if find_spec("torch_fidelity") is None:
        missing("torch-fidelity")
    before = {module: sys.modules.get(module) for module in _TORCHVISION}
    for module in _TORCHVISION:
        placeholder = _Placeholder(module)
        placeholder.__path__ = []
        sys.modules[module] = placeholder
        parent, _, child = module.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, placeholder)
    try:
        return import_module(f"torch_fidelity.{name}")
    finally:
        for module, own in before.items():
            if own is None:
                del sys.modules[module]
            else:
                sys.modules[module] = own

"""The device of ``auto``: torch is asked only where it could see a GPU, and its answer is the same."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.observing import device
from tlbench.observing.device import choose_device, may_have_gpu


@pytest.fixture
def built_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The version of torch that its package states; none if the list is empty."""
    stated: list[str] = []

    def version(name: str) -> str:
        assert name == "torch"
        if not stated:
            raise PackageNotFoundError(name)
        return stated[0]

    monkeypatch.setattr(device, "version", version)
    return stated


@pytest.mark.parametrize(
    ("stated", "driver", "system", "may"),
    [
        ("2.13.0+cpu", True, "linux", False),
        ("2.13.0", True, "linux", True),
        ("2.13.0", False, "linux", False),
        ("2.13.0+cu128", False, "linux", False),
        ("2.13.0+cu128", True, "linux", True),
        ("2.13.0", False, "win32", True),
        ("2.13.0+cpu", False, "win32", False),
        (None, True, "linux", True),
        (None, False, "linux", False),
    ],
)
def test_torch_is_asked_only_where_it_could_see_a_gpu(
    stated: str | None,
    driver: bool,
    system: str,
    may: bool,
    built_for: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    built_for += [stated] if stated is not None else []
    node = tmp_path / "nvidiactl"
    if driver:
        node.touch()
    monkeypatch.setattr(device, "GPU_FILES", (tmp_path / "dxg", node))
    monkeypatch.setattr(sys, "platform", system)
    assert may_have_gpu() is may


def test_without_asking_it_is_what_torch_would_have_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = choose_device("auto", networks=True)
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    assert choose_device("auto", networks=True) == said


def test_a_gpu_is_asked_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0", networks=True) == "cuda:0"
    assert choose_device("auto", networks=True) == "cpu"
    with pytest.raises(TlbenchError, match="torch sees 1 CUDA devices here; go where there is one, or pass"):
        choose_device("cuda:1", networks=True)
    assert choose_device("cuda:1", networks=True, elsewhere=True) == "cuda:1"  # a cluster counts its own

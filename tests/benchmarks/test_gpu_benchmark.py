"""The command for machines with a GPU: it passes where numbers are equal, and says where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import PARITY, Outcome, relative_error, same


def test_an_outcome_passes_only_if_floats_are_close_and_every_symbol_is_equal() -> None:
    assert Outcome(9e-5, 4, 4).passed
    assert not Outcome(2e-4, 4, 4).passed
    assert not Outcome(0.0, 4, 3).passed
    assert not Outcome(float("nan"), 4, 4).passed


def test_symbols_and_floats_are_compared() -> None:
    assert same(np.array([1, 2, 3]), np.array([1, 2, 4])) == (3, 2)
    assert same(np.array([1, 2]), np.array([1, 2, 4])) == (3, 0)
    assert relative_error(torch.tensor([3.0, 4.0]), np.array([3.0, 5.0])) == pytest.approx(1 / 34**0.5)
    with pytest.raises(ValueError, match=r"\(2,\) for \(3,\)"):
        relative_error(torch.zeros(2), np.zeros(3))


def test_another_network_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight in a thousandth of SyncNet's changed: the command sees it."""
    plain = gpu.syncnet_goldens.formula_model

    def changed() -> torch.nn.Module:
        model = plain()
        for parameter in model.parameters():
            parameter *= 1.001
        return model

    monkeypatch.setattr(gpu.syncnet_goldens, "formula_model", changed)
    monkeypatch.setattr(gpu.syncnet_goldens, "CLIPS", ())
    assert not gpu.syncnet_parity(torch.device("cpu")).passed


def test_a_machine_without_a_gpu_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="--device cpu"):
        gpu.main()


@pytest.mark.slow
def test_every_reader_is_compared_in_bfloat16_and_measured_on_a_processor() -> None:
    device = torch.device("cpu")
    changed = list(gpu.changed_by_half("small", 4, device))
    assert [(name, clips) for name, clips, _ in changed] == [
        (name, len(gpu.golden_clips())) for name in ("avhubert", "autoavsr", "conformer", "mvm")
    ]
    rates = {name: (clips, frames, fed) for name, _, clips, frames, fed in gpu.throughput("small", 4, 0.01, device)}
    assert list(rates) == [*PARITY, "inception", "i3d", "arcface", "dlib", "lpips"]
    assert all(rate > 0 for measured in rates.values() for rate in measured)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARITY)
def test_the_goldens_are_equal_on_this_machines_processor(name: str) -> None:
    with torch.inference_mode():
        assert PARITY[name](torch.device("cpu")).passed

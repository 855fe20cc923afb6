"""An AV-HuBERT that is only pre-trained compares features, and can't read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories.observer_weights import TINY
from tests.golden.formula import fill
from tlbench.checkpoints.package import Package, write_package
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.inference import AVHubertInference
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.view import LRS2_CENTER

PRETRAINED = replace(TINY, decoder_layers=0, decoder_width=0, decoder_ffn=0, decoder_heads=0, vocabulary=0)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    state = AVHubert(PRETRAINED).state_dict()
    fill(state)
    config = {"dims": PRETRAINED.to_json(), "dictionary": []}
    write_package(Package("avhubert", state, config, {}, "tiny.pt", "0" * 64), tmp_path / "net")
    return tmp_path / "net"


def test_it_is_refused_for_reading(package: Path) -> None:
    with pytest.raises(TlbenchError, match=r"pre-trained only and can't read; .*or ask for avs_u, avs_m and avs_v"):
        AVHubertInference.load(package, LRS2_CENTER, "cpu", similarity=False)


def test_it_compares_features(package: Path) -> None:
    inference = AVHubertInference.load(package, LRS2_CENTER, "cpu", similarity=True)
    samples = np.random.default_rng(0).integers(-9000, 9000, 640 * 6, np.int16)
    state = inference.start_clip(Clip("a", transcript="x"), samples)
    shown = np.random.default_rng(1).standard_normal((6, 88, 88)).astype(np.float32)
    for crops in (state.generated, state.reference):
        crops.frames, crops._chunks = len(shown), [shown]
    with torch.inference_mode():
        (found,) = inference._compute([state], [inference._encode(state)])
    assert set(found.values) == {"avs_u", "avs_m", "avs_v"}
    assert found.finite
    assert found.number("avs_v") == pytest.approx(1.0, abs=1e-6)

"""SyncNet against syncnet-python: network, distances, LSE, and its whole evaluation from pictures and sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.formula import fill
from tests.live.packages import need, relative
from tlbench.observers.syncnet.decode import MAX_SHIFT_FRAMES, read_sync, shifted_distances
from tlbench.observers.syncnet.fast_model import FastSyncNet
from tlbench.observers.syncnet.inference import Lips, Passes, sync_values
from tlbench.observers.syncnet.model import SyncNetModel
from tlbench.observers.syncnet.original import evaluate, original_instance, original_network

need("syncnet-python", "syncnet_python.SyncNetModel", alone=True)
INSTANCE = need("syncnet-python", "syncnet_python.SyncNetInstance", alone=True)


def test_both_towers_are_the_originals() -> None:
    ours, theirs = SyncNetModel().eval(), original_network()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    fill(ours.state_dict())
    theirs.load_state_dict(ours.state_dict())
    draw = torch.Generator().manual_seed(0)
    lips, speech = 255 * torch.rand(2, 3, 5, 224, 224, generator=draw), torch.randn(3, 1, 13, 20, generator=draw)
    with torch.inference_mode():
        assert relative(ours.forward_lip(lips), theirs.forward_lip(lips)) < 1e-6
        assert relative(ours.forward_lipfeat(lips), theirs.forward_lipfeat(lips)) < 1e-6
        assert relative(ours.forward_aud(speech), theirs.forward_aud(speech)) < 1e-6


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 60), st.integers(1, 24), st.integers(0, 2**31), st.integers(-15, 15))
def test_distances_and_lse_are_the_originals(windows: int, width: int, seed: int, lag: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    lips = torch.randn(windows, width, generator=draw)
    speech = lips.roll(lag, 0) + 0.3 * torch.randn(windows, width, generator=draw)
    theirs = torch.stack(INSTANCE.calc_pdist(lips, speech, vshift=MAX_SHIFT_FRAMES), 1)  # (31, n)
    ours = shifted_distances(lips, speech)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    mean = theirs.mean(1)
    sync = read_sync(ours)
    least = float(mean.min())
    assert sync.lse_d == pytest.approx(least, rel=1e-6)
    assert sync.lse_c == pytest.approx(float(mean.median()) - least, abs=2e-6 * max(1.0, least))
    if sorted(mean.tolist())[1] - least > 1e-5:
        assert sync.offset_frames == MAX_SHIFT_FRAMES - int(mean.argmin())


@pytest.mark.parametrize(("pictures", "samples"), [(8, 8 * 640), (9, 7 * 640 + 11), (7, 12 * 640 - 1)])
def test_a_clip_is_evaluated_as_by_the_original(pictures: int, samples: int) -> None:
    model = SyncNetModel().eval().requires_grad_(False)
    fill(model.state_dict())
    network = original_network()
    network.load_state_dict(model.state_dict())
    draw = np.random.default_rng(pictures)
    shown = draw.integers(0, 256, (pictures, 224, 224, 3), dtype=np.uint8)
    sound = draw.integers(-9000, 9000, samples).astype(np.int16)
    offset, confidence, distance = evaluate(original_instance(network), shown, sound)
    passes = Passes(FastSyncNet(model), torch.device("cpu"))
    lips = Lips(passes, model.dims)
    lips.take(shown)
    found = sync_values(passes, {"sound": lips}, pictures, sound)
    assert found["sound_offset_frames"] == offset
    assert found["sound_lse_d"] == pytest.approx(distance, rel=1e-5)
    assert found["sound_lse_c"] == pytest.approx(confidence, abs=1e-5 * distance)

"""The fused front end gives the features of the one that is trained, to rounding, however many frames there are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.factories.observer_weights import TINY
from tests.golden.formula import fill
from tlbench.observers.avhubert.fast_frontend import FusedFrontend
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observing.fused_frontend import FRAMES_A_PASS


@pytest.fixture(scope="module")
def model() -> AVHubert:
    model = AVHubert(replace(TINY, visual_width=8))
    fill(model.state_dict())
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("frames", [1, 2, 5, FRAMES_A_PASS, FRAMES_A_PASS + 1, 2 * FRAMES_A_PASS + 3])
def test_features_are_equal_to_rounding(model: AVHubert, frames: int) -> None:
    torch.manual_seed(frames)
    lips = torch.randn(1, 1, frames, 88, 88)
    plain = model.video_features(lips)
    fused = FusedFrontend(model.encoder.w2v_model.feature_extractor_video)(lips)
    assert fused.shape == plain.shape
    assert float((fused - plain).norm() / plain.norm()) < 2e-6


def test_the_clips_of_a_batch_do_not_see_each_other(model: AVHubert) -> None:
    lips = torch.randn(2, 1, 4, 88, 88)
    fused = FusedFrontend(model.encoder.w2v_model.feature_extractor_video)
    alone = torch.cat([fused(lips[:1]), fused(lips[1:])])
    torch.testing.assert_close(fused(lips), alone, rtol=0, atol=0)


def test_folding_the_positional_convolution_changes_no_bit(model: AVHubert) -> None:
    encoder = AVHubert(replace(TINY, visual_width=8)).encoder.w2v_model.encoder.eval().requires_grad_(False)
    fill(encoder.state_dict())
    x = torch.randn(1, 7, TINY.encoder_width)
    before = encoder(x, None)
    encoder.fold()
    torch.testing.assert_close(encoder(x, None), before, rtol=0, atol=0)

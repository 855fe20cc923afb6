"""Inference gives the network's output, however frames are cut into runs, and the published script's audio features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tlbench.media.filterbank import log_filterbanks, stack_filterbanks, stacked_filterbanks
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.expert import AVHubertAudioEncoder
from tlbench.talklip.generator import TalkLip, dims_for
from tlbench.talklip.inference import TalkLipInference, feature_rows, fold_batch_norms
from tlbench.talklip.layers import Convolution, Upsampling

ENCODER = Dims(encoder_layers=2, encoder_width=16, encoder_ffn=32, encoder_heads=2, visual_width=2)
CPU = torch.device("cpu")


def generator(audio: str) -> TalkLip:
    torch.manual_seed(0)
    encoder = AVHubertAudioEncoder(ENCODER) if audio == "global" else None
    network = TalkLip(dims_for("tiny", "global" if encoder else "local", 16 if encoder else 0, 0), encoder).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
    return network


def speech(samples: int) -> np.ndarray:
    return (3000 * np.random.default_rng(1).standard_normal(samples)).astype(np.int16)


def pictures(frames: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (frames, 96, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize("audio", ["local", "global"])
def test_inference_gives_the_output_of_the_network(audio: str) -> None:
    network, samples, poses = generator(audio), speech(9 * 640), pictures(9)
    inference = TalkLipInference(network, CPU)
    generated = inference.generate(inference.encode_audio(samples, 9, "end"), poses, poses[:1])
    pose = poses.copy()
    pose[:, 48:] = 0
    both = np.concatenate([pose, np.repeat(poses[:1], 9, axis=0)], axis=-1)
    faces = torch.from_numpy(both.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    features = torch.from_numpy(network.audio_features(samples, 9))
    with torch.no_grad():
        if audio == "local":
            expected = network(features, None, None, faces)
        else:
            changed = torch.zeros(1, 9, dtype=torch.bool)
            expected = network(features.T[None], changed, torch.arange(9), faces)
    np.testing.assert_allclose(generated, 255 * expected.permute(0, 2, 3, 1).numpy(), atol=2e-3)
    assert generated.std(axis=0).max() > 0.01  # the frames do differ


@pytest.mark.parametrize("audio", ["local", "global"])
def test_half_precision_gives_nearly_the_same_faces_in_all_256_levels(audio: str) -> None:
    network, samples, poses = generator(audio), speech(9 * 640), pictures(9)
    full, half = (TalkLipInference(network, CPU, half=half) for half in (False, True))
    expected, generated = (one.generate(one.encode_audio(samples, 9, "end"), poses, poses[:1]) for one in (full, half))
    assert generated.dtype == np.float32
    assert 0 < np.abs(generated - expected).mean() < 2
    assert len(np.unique(generated)) > 256  # as bfloat16 there are 128 levels between 128 and 256, and all are even


def test_folding_removes_every_normalisation_and_does_not_change_the_network() -> None:
    network = generator("local")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quick = fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d | Convolution | Upsampling) for module in quick.modules())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("run", [1, 3, 7])
def test_runs_of_any_length_give_the_same_faces(run: int) -> None:
    inference, poses = TalkLipInference(generator("local"), CPU), pictures(7)
    audio_features = inference.encode_audio(speech(7 * 640), 7, "end")
    whole = inference.generate(audio_features, poses, poses)
    parts = [
        inference.generate(audio_features[i : i + run], poses[i : i + run], poses[i : i + run])
        for i in range(0, 7, run)
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-3)


def test_the_lower_half_of_the_pose_is_not_used() -> None:
    inference, poses = TalkLipInference(generator("local"), CPU), pictures(2)
    audio_features = inference.encode_audio(speech(1280), 2, "end")
    changed = poses.copy()
    changed[:, 48:] = 99
    np.testing.assert_array_equal(
        inference.generate(audio_features, poses, poses[:1]), inference.generate(audio_features, changed, poses[:1])
    )
    changed[:, 47] = 99
    assert not np.array_equal(
        inference.generate(audio_features, poses, poses[:1]), inference.generate(audio_features, changed, poses[:1])
    )


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 640, 16000, 17041])
def test_rows_are_counted_as_filterbanks_are_made(samples: int) -> None:
    assert feature_rows(samples) == len(stack_filterbanks(log_filterbanks(speech(samples))))


@pytest.mark.parametrize(("frames", "first"), [(20, 2), (24, 0), (23, 1), (25, 0), (28, 0)])
def test_longer_audio_is_cut_at_both_ends_as_published(frames: int, first: int) -> None:
    """inf_test.py: with n rows too many, n // 2 are cut at the start; missing rows are zeros at the end."""
    samples, network = speech(25 * 640), generator("global")
    rows = feature_rows(len(samples))
    assert rows == 25
    inputs_seen = []
    network.audio_encoder.w2v_model.register_forward_pre_hook(lambda _, inputs: inputs_seen.append(inputs))  # type: ignore[union-attr]
    inference = TalkLipInference(network, CPU)
    whole = stacked_filterbanks(samples, max(rows, frames))
    expected = inference._network.audio_encoder.w2v_model.audio_features(  # type: ignore[union-attr,operator]
        torch.from_numpy(whole[first : first + frames].T.copy())[None]
    )
    inference.encode_audio(samples, frames, "both-ends")
    torch.testing.assert_close(inputs_seen[-1][1], expected, rtol=0, atol=1e-6)


def test_audio_cut_at_the_end_keeps_its_start() -> None:
    inference = TalkLipInference(generator("global"), CPU)
    samples = speech(25 * 640)
    ended = inference.encode_audio(samples, 20, "end")
    assert not torch.equal(ended, inference.encode_audio(samples, 20, "both-ends"))
    assert torch.equal(inference.encode_audio(samples, 25, "end"), inference.encode_audio(samples, 25, "both-ends"))

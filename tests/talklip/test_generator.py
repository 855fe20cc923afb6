"""The generator's sizes and interfaces; tests/golden/test_talklip.py compares it with the original."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.expert import AVHubertAudioEncoder
from tlbench.observers.avhubert.train import SIZES as READERS
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import MINIATURE, PUBLISHED, GeneratorDims, TalkLip, dims_for

ENCODER = Dims(encoder_layers=3, encoder_width=16, encoder_ffn=32, encoder_heads=2, visual_width=2)


def small(audio: str, seen: int = 0) -> TalkLip:
    torch.manual_seed(0)
    if audio == "local":
        return TalkLip(dims_for("tiny", "local", 0, seen))
    return TalkLip(dims_for("tiny", "global", 16, seen), AVHubertAudioEncoder(ENCODER))


def test_a_global_one_encodes_whole_utterances_and_generates_the_selected_frames() -> None:
    generator = small("global").eval()
    audio, faces = torch.randn(2, 104, 7), torch.rand(3, 6, 96, 96)
    padding_mask = torch.arange(7) >= torch.tensor([7, 5])[:, None]
    generated = generator(audio, padding_mask, torch.tensor([0, 6, 7 + 4]), faces)
    assert generated.shape == (3, 3, 96, 96)
    assert 0 < float(generated.min().detach()) <= float(generated.max().detach()) < 1
    alone = generator.audio_embedding(audio[1:, :, :5], None, torch.tensor([4]))
    together = generator.audio_embedding(audio, padding_mask, torch.tensor([11]))
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_a_local_one_encodes_one_segment_for_each_frame() -> None:
    generator = small("local", seen=16).eval()
    segments, faces = torch.randn(2, 1, 80, 16), torch.rand(2, 6, 96, 96)
    audio_embedding = generator.audio_embedding(segments, None, None)
    assert audio_embedding.shape == (2, generator.dims.audio_embedding_width)
    torch.testing.assert_close(generator.paint(audio_embedding, faces), generator(segments, None, None, faces))
    projected = generator.sync_net(audio_embedding)
    assert projected.shape == (2, 16)
    torch.testing.assert_close(projected.norm(dim=1), torch.ones(2))


def test_a_global_one_needs_the_index_of_the_frames() -> None:
    with pytest.raises(ValueError, match="needs the index of the frames"):
        small("global").audio_embedding(torch.randn(1, 104, 7), None, None)


@pytest.mark.parametrize(("blocks", "learning"), [(0, set()), (1, {2}), (2, {1, 2}), (12, {0, 1, 2})])
def test_only_the_last_blocks_of_a_global_audio_encoder_are_trained(blocks: int, learning: set[int]) -> None:
    generator = small("global")
    generator.tune_audio(12)
    generator.tune_audio(blocks)
    generator(torch.randn(1, 104, 7), None, torch.tensor([3, 5]), torch.rand(2, 6, 96, 96)).sum().backward()
    moved = {name for name, parameter in generator.audio_encoder.named_parameters() if parameter.grad is not None}
    assert {int(name.split("layers.")[1].split(".")[0]) for name in moved} == learning
    assert all(parameter.grad is not None for parameter in generator.face_decoder_blocks.parameters())


def test_a_local_audio_encoder_is_always_trained() -> None:
    generator = small("local")
    generator.tune_audio(0)
    assert all(parameter.requires_grad for parameter in generator.parameters())


@pytest.mark.parametrize("audio", ["global", "local"])
def test_audio_features_fit_the_audio_encoder(audio: str) -> None:
    generator = small(audio)
    samples = np.random.default_rng(0).integers(-3000, 3000, 640 * 10).astype(np.int16)
    features = generator.audio_features(samples, 10)
    assert features.dtype == np.float32
    assert features.shape == ((10, 1, 80, 16) if audio == "local" else (10, 104))


def test_the_miniature_with_its_audio_encoder_is_below_5_mb_in_half_precision() -> None:
    encoder_dims = READERS["expert"]
    with torch.device("meta"):
        dims = dims_for("miniature", "global", encoder_dims.encoder_width, encoder_dims.encoder_width)
        generator = TalkLip(dims, AVHubertAudioEncoder(encoder_dims))
    assert 2 * sum(tensor.numel() for tensor in generator.state_dict().values()) < 5e6
    assert dims.embedding == MINIATURE.deepest


def test_the_miniatures_first_stage_has_a_channel_for_each_colour_of_two_faces() -> None:
    """Six are needed; an eighth of the published 16 channels would be two."""
    with torch.device("meta"):
        generator = TalkLip(dims_for("miniature", "local", 0, 0))
    assert generator.state_dict()["face_encoder_blocks.0.0.conv_block.0.weight"].shape == (8, 6, 7, 7)
    assert [MINIATURE.channels(published) for published in (16, 128, 512)] == [8, 16, 64]


def test_sizes_are_json() -> None:
    dims = dims_for("miniature", "local", 0, 120)
    assert dims.ahead_frames == 2
    assert GeneratorDims.from_json(dims.to_json()) == dims


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0.0},
        {"width": float("nan")},
        {"deepest": 0},
        {"narrowest": 0},
        {"narrowest": 513},
        {"audio": "both"},
        {"audio": "global"},
        {"audio_width": 768},
        {"contrast_width": -1},
        {"ahead_frames": 2**20},
        {"audio": "global", "audio_width": 2**30},
    ],
)
def test_absurd_sizes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"sizes of a generator out of range|audio encoder|size \w+ is"):
        replace(PUBLISHED, **wrong)  # type: ignore[arg-type]


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(TlbenchError, match="no size 'huge'; there are published, miniature, tiny"):
        dims_for("huge", "local", 0, 0)


def test_an_encoder_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="local audio encoder was given"):
        TalkLip(PUBLISHED, AVHubertAudioEncoder(ENCODER))
    with pytest.raises(ValueError, match="global audio encoder was given None"):
        TalkLip(GeneratorDims("global", audio_width=16))


def test_a_discriminator_uses_the_lower_half_only() -> None:
    discriminator = Discriminator(1 / 16, 8)
    face = torch.rand(1, 3, 96, 96, requires_grad=True)
    torch.autograd.backward(discriminator.logits(face).sum())
    assert face.grad is not None
    assert (face.grad[:, :, :48] == 0).all()
    assert (face.grad[:, :, 48:] != 0).any()


def test_the_perceptual_loss_is_minus_the_log_probability_of_real() -> None:
    discriminator = Discriminator(1 / 16, 8)
    faces = torch.rand(2, 3, 96, 96)
    assert float(discriminator.perceptual(faces).detach()) == pytest.approx(
        -float(discriminator(faces).log().mean().detach()), rel=1e-5
    )

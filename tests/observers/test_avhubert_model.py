"""AV-HuBERT's network: other sizes and forms, padding, and gradients. tests/golden compares with the original."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tests.golden.formula import fill
from tlbench.observers.avhubert.decoder import EOS, PAD
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.encoder import PositionalConvolution
from tlbench.observers.avhubert.losses import SMOOTHING, label_smoothed_loss, shifted_targets
from tlbench.observers.avhubert.model import AVHubert

PRETRAINED = Dims(
    encoder_layers=2,
    encoder_width=16,
    encoder_ffn=24,
    encoder_heads=4,
    positional_kernel=8,
    positional_groups=4,
    mask_embedding=104,
    label_embeddings=20,
    label_width=8,
)
WRITES = replace(
    PRETRAINED, decoder_layers=1, decoder_width=16, decoder_ffn=20, decoder_heads=2, vocabulary=30, ctc=False
)
SPELLS = replace(PRETRAINED, vocabulary=11, ctc=True)
FRAMES = 6


def network(dims: Dims, feature_gradient: float = 1.0) -> AVHubert:
    model = AVHubert(dims, feature_gradient).eval()
    fill(model.state_dict())
    return model


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lips(batch: int = 1) -> Tensor:
    return noise(batch, 1, FRAMES, 88, 88, seed=1)


def speech(batch: int = 1) -> Tensor:
    return noise(batch, 104, FRAMES, seed=2)


def loss(model: AVHubert, video: Tensor) -> Tensor:
    targets = torch.tensor([[7, 9, 4, EOS]])
    return label_smoothed_loss(
        model.logits(shifted_targets(targets), model.encode(video, None, None), None), targets
    ).smoothed


@torch.inference_mode()
def test_a_missing_sense_is_not_the_same_as_silence_or_a_grey_picture() -> None:
    model = network(PRETRAINED)
    assert not torch.allclose(model.encode(lips(), None, None), model.encode(lips(), torch.zeros_like(speech()), None))
    assert not torch.allclose(
        model.encode(None, speech(), None), model.encode(torch.zeros_like(lips()), speech(), None)
    )


@torch.inference_mode()
def test_a_missing_sense_is_zeros_behind_its_projection() -> None:
    model = network(PRETRAINED)
    video, audio = model.video_features(lips()), model.audio_features(speech())
    assert torch.equal(model.encode(lips(), None, None), model.fuse(video, torch.zeros_like(video), None))
    assert torch.equal(model.encode(None, speech(), None), model.fuse(torch.zeros_like(audio), audio, None))


def test_at_least_one_sense_is_needed() -> None:
    with pytest.raises(ValueError, match="neither video nor audio"):
        network(PRETRAINED).encode(None, None, None)


@pytest.mark.parametrize("prenorm", [True, False])
@torch.inference_mode()
def test_what_stands_in_padded_frames_does_not_matter(prenorm: bool) -> None:
    model = network(replace(PRETRAINED, encoder_prenorm=prenorm))
    audio, mask = speech(2), torch.arange(FRAMES) >= torch.tensor([FRAMES, 4])[:, None]
    other = audio.clone()
    other[1, :, 4:] = 1000
    one, two = model.encode(None, audio, mask), model.encode(None, other, mask)
    assert torch.equal(one[~mask], two[~mask])
    torch.testing.assert_close(one[1:, :4], model.encode(None, audio[1:, :, :4], None))


@torch.inference_mode()
def test_fusion_by_adding_has_no_second_projection() -> None:
    model = network(replace(PRETRAINED, modality_fuse="add"))
    assert not any("post_extract_proj" in name for name in model.state_dict())
    assert model.encoder.w2v_model.layer_norm.weight.shape == (16,)
    audio = model.audio_features(speech())
    assert torch.equal(model.encode(None, speech(), None), model.fuse(audio / 2, audio / 2, None))


@pytest.mark.parametrize("prenorm", [True, False])
@torch.inference_mode()
def test_a_layer_norm_comes_last_wherever_the_norms_stand(prenorm: bool) -> None:
    encoded = AVHubert(replace(PRETRAINED, encoder_prenorm=prenorm)).eval().encode(None, speech(), None)
    torch.testing.assert_close(encoded.mean(2), torch.zeros(1, FRAMES), rtol=0, atol=1e-5)
    torch.testing.assert_close(encoded.var(2, unbiased=False), torch.ones(1, FRAMES), rtol=0, atol=1e-3)


@torch.inference_mode()
def test_norms_behind_the_layers_are_those_of_pytorchs_own_layer() -> None:
    model = network(replace(PRETRAINED, encoder_prenorm=False))
    ours = model.encoder.w2v_model.encoder.layers[0]
    theirs = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.0, activation="gelu", batch_first=True).eval()
    attention = ours.self_attn
    joined = {
        "self_attn.in_proj_weight": torch.cat([getattr(attention, f"{part}_proj").weight for part in "qkv"]),
        "self_attn.in_proj_bias": torch.cat([getattr(attention, f"{part}_proj").bias for part in "qkv"]),
    }
    names = {
        "self_attn.out_proj": attention.out_proj,
        "linear1": ours.fc1,
        "linear2": ours.fc2,
        "norm1": ours.self_attn_layer_norm,
        "norm2": ours.final_layer_norm,
    }
    single = {f"{name}.{kind}": getattr(part, kind) for name, part in names.items() for kind in ("weight", "bias")}
    theirs.load_state_dict({**joined, **single})
    x, mask = noise(2, FRAMES, 16), torch.arange(FRAMES) >= torch.tensor([FRAMES, 4])[:, None]
    expected = theirs(x, src_key_padding_mask=mask)
    torch.testing.assert_close(ours(x, mask[:, None, None])[~mask], expected[~mask])


@pytest.mark.parametrize("prenorm", [True, False])
@torch.inference_mode()
def test_the_encoders_own_norm_stands_behind_the_layers_or_before_them(prenorm: bool) -> None:
    encoder = network(replace(PRETRAINED, encoder_prenorm=prenorm)).encoder.w2v_model.encoder
    x = noise(1, FRAMES, 16)
    inner = x + F.gelu(encoder.pos_conv(x.transpose(1, 2))).transpose(1, 2)
    inner = inner if prenorm else encoder.layer_norm(inner)
    for layer in encoder.layers:
        inner = layer(inner, None)
    torch.testing.assert_close(encoder(x, None), encoder.layer_norm(inner) if prenorm else inner)


@pytest.mark.parametrize("kernel", [8, 7])
def test_the_positional_convolution_is_pytorchs_weight_norm_and_keeps_the_length(kernel: int) -> None:
    ours = PositionalConvolution(replace(PRETRAINED, positional_kernel=kernel))
    theirs = weight_norm(nn.Conv1d(16, 16, kernel, padding=kernel // 2, groups=4), dim=2)
    with torch.no_grad():
        ours.weight_g.mul_(noise(1, 1, kernel).abs())  # another length than the direction's own
        assert ours.bias is not None
        state = {"bias": ours.bias}
        for number, weight in enumerate((ours.weight_g, ours.weight_v)):
            state[f"parametrizations.weight.original{number}"] = weight
        theirs.load_state_dict(state)
        x = noise(2, 16, FRAMES)
        torch.testing.assert_close(ours(x), theirs(x)[..., :FRAMES])


@torch.inference_mode()
def test_only_a_network_fine_tuned_with_ctc_scores_frames() -> None:
    model = network(SPELLS)
    encoded = model.encode(lips(), None, None)
    assert model.ctc_logits(encoded).shape == (1, FRAMES, 11)
    assert list(model.state_dict())[-2:] == ["encoder.proj.weight", "encoder.proj.bias"]
    with pytest.raises(ValueError, match="not fine-tuned with CTC"):
        network(WRITES).ctc_logits(encoded)


def test_a_pretrained_network_has_no_output() -> None:
    names = list(AVHubert(PRETRAINED).state_dict())
    assert all(name.startswith("encoder.w2v_model.") for name in names)
    assert names == [name for name in AVHubert(WRITES).state_dict() if not name.startswith("decoder.")]


def test_leftovers_of_pretraining_are_there_only_if_the_file_has_them() -> None:
    bare = set(AVHubert(replace(PRETRAINED, mask_embedding=0, label_embeddings=0, label_width=0)).state_dict())
    more = {f"encoder.w2v_model.{name}" for name in ("mask_emb", "label_embs_concat")}
    assert set(AVHubert(PRETRAINED).state_dict()) - bare == more


def test_the_order_in_memory_which_is_faster_without_gradients_changes_only_rounding() -> None:
    model = network(PRETRAINED)
    with torch.inference_mode():
        fast = model.video_features(lips())
    plain = model.video_features(lips()).detach()
    # 1.2e-6 of the largest measured; each of the two is 1e-6 from the same in float64.
    torch.testing.assert_close(plain, fast, rtol=0, atol=1e-5 * float(plain.abs().max()))


def test_every_weight_can_be_trained() -> None:
    model = network(WRITES)
    targets = torch.tensor([[7, 9, 4, EOS]])
    encoded = model.encode(lips(), speech(), None)
    smoothed = label_smoothed_loss(model.logits(shifted_targets(targets), encoded, None), targets).smoothed
    torch.autograd.backward(smoothed)
    still = {name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()}
    unused = {"encoder.w2v_model.mask_emb", "encoder.w2v_model.label_embs_concat"}
    # A softmax does not see what is added to all its inputs: keys' biases move nothing but rounding.
    assert {name for name in still if not name.endswith("k_proj.bias")} == unused


def test_a_frozen_network_still_tells_the_video_what_to_change() -> None:
    model = network(WRITES).requires_grad_(False)
    video = lips().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(model, video), video)
    assert gradient.any()


def test_a_part_of_the_gradient_reaches_the_front_ends_and_all_of_it_the_rest() -> None:
    gradients = []
    for share in (1.0, 0.1):
        model, video = network(WRITES, share), lips().requires_grad_()
        part = model.encoder.w2v_model
        wanted = (video, part.feature_extractor_video.proj.weight, part.layer_norm.weight)
        value = loss(model, video)
        gradients.append((value.detach(), torch.autograd.grad(value, wanted)))
    (plain, (video_plain, front_plain, rest_plain)), (weak, (video_weak, front_weak, rest_weak)) = gradients
    assert torch.equal(plain, weak)
    torch.testing.assert_close(video_weak, 0.1 * video_plain)
    torch.testing.assert_close(front_weak, 0.1 * front_plain)
    assert torch.equal(rest_weak, rest_plain)


@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING, 0.3])
def test_the_smoothed_loss_is_pytorchs_with_its_weight_spread_over_the_others(smoothing: float) -> None:
    logits, vocabulary = 3 * noise(2, 4, 30), 30
    targets = torch.tensor([[7, 9, 4, EOS], [8, EOS, PAD, PAD]])
    found = label_smoothed_loss(logits, targets, smoothing)
    # PyTorch spreads the weight over all tokens, the true one included.
    theirs = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=PAD,
        reduction="sum",
        label_smoothing=smoothing * vocabulary / (vocabulary - 1),
    )
    torch.testing.assert_close(found.smoothed, theirs)
    likelihood = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
    torch.testing.assert_close(found.likelihood, likelihood)
    assert found.tokens == 6


def test_tokens_that_would_have_been_chosen_are_counted_without_padding() -> None:
    targets = torch.tensor([[7, 9, EOS], [8, EOS, PAD]])
    logits = F.one_hot(torch.tensor([[7, 5, EOS], [8, 5, PAD]]), 30).float()
    found = label_smoothed_loss(logits, targets)
    assert (found.tokens, found.correct) == (5, 3)


def test_targets_are_shifted_behind_the_end_mark() -> None:
    targets = torch.tensor([[7, 9, 4, EOS], [8, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]])
    expected = [[EOS, 7, 9, 4], [EOS, 8, PAD, PAD], [EOS, PAD, PAD, PAD]]
    assert shifted_targets(targets).tolist() == expected

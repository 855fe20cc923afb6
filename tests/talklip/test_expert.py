"""AV-HuBERT as an expert: preprocessing, features, loss and audio encoder; and what can't be an expert."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tlbench.checkpoints.package import Package, own_package
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.expert import AVHubertAudioEncoder, build_audio_encoder
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.train import BASE, SIZES, TrainableAVHubert
from tlbench.observing.registry import capability, observer_class
from tlbench.training.expert import Expert, ExpertPreprocessing
from tlbench.training.trainable import LabelInventory

TEXTS = ("BLUE BOATS", "RED CARS AGAIN")
ENCODER = {"encoder_layers": 3, "encoder_width": 32, "encoder_ffn": 48, "encoder_heads": 2, "visual_width": 4}
SMALL = {**SIZES["tiny"].to_json(), **ENCODER}


def package(view: str = "avhubert-small-mouth@1") -> Package:
    trainable = TrainableAVHubert.from_scratch(SMALL, LabelInventory(TEXTS, (), ()), seed=0)
    return own_package(trainable.package(), view, {}, half=False)


def build_expert(view: str = "avhubert-small-mouth@1") -> Expert:
    return capability("avhubert", "expert")(package(view), Path("expert"))


@pytest.fixture(scope="module")
def expert() -> Expert:
    return build_expert()


def lips(expert: Expert) -> torch.Tensor:
    torch.manual_seed(0)
    pictures = torch.randn(2, 1, 6, expert.side, expert.side)
    pictures[1, :, 4:] = 0
    return pictures


PADDING_MASK = torch.arange(6) >= torch.tensor([6, 4])[:, None]


@pytest.mark.parametrize(
    ("view", "preprocessing"),
    [
        ("avhubert-lrs2-center@1", ExpertPreprocessing(160, False, (36, 36, 124, 124), 88, 0.421, 0.165)),
        ("avhubert-face-framed@1", ExpertPreprocessing(160, True, (36, 36, 124, 124), 88, 0.421, 0.165)),
        ("avhubert-small-mouth@1", ExpertPreprocessing(160, False, (48, 60, 112, 124), 48, 0.421, 0.165)),
        ("avhubert-small-face-framed@1", ExpertPreprocessing(160, True, (48, 60, 112, 124), 48, 0.421, 0.165)),
    ],
)
def test_its_preprocessing_is_that_of_its_view(view: str, preprocessing: ExpertPreprocessing) -> None:
    assert build_expert(view).preprocessing == preprocessing


def test_a_published_file_names_no_view_and_uses_the_middle_of_lrs2s_frames() -> None:
    bare = package()
    config = {name: value for name, value in bare.config.items() if name != "view"}
    found = capability("avhubert", "expert")(replace(bare, config=config), Path("expert"))
    assert found.preprocessing.window == (36, 36, 124, 124)


def test_its_parameters_are_frozen_and_the_gradient_passes_through_it(expert: Expert) -> None:
    pictures = lips(expert).requires_grad_()
    loss = expert.encode_and_loss(pictures, PADDING_MASK, expert.pad([expert.tokens(text) for text in TEXTS]))
    torch.autograd.backward(loss.smoothed)
    assert pictures.grad is not None
    assert (pictures.grad[0] != 0).any()
    assert not expert.network.training
    assert not any(parameter.requires_grad for parameter in expert.network.parameters())


def test_a_tenth_of_the_gradient_reaches_the_pictures_as_published(expert: Expert) -> None:
    gradients = []
    whole = TrainableAVHubert.from_checkpoint(
        package(), Path("expert"), LabelInventory(TEXTS, (), ()), 0
    ).network.model.eval()
    for encode in (lambda frames: expert.encode(frames, None), lambda frames: whole.encode(frames, None, None)):
        pictures = lips(expert).requires_grad_()
        encode(pictures)[..., 0].sum().backward()
        assert pictures.grad is not None
        gradients.append(pictures.grad)
    torch.testing.assert_close(gradients[0], 0.1 * gradients[1])


def test_encode_and_loss_is_encode_then_loss(expert: Expert) -> None:
    pictures = lips(expert)
    tokens = expert.pad([expert.tokens(text) for text in TEXTS])
    video_features = expert.encode(pictures, PADDING_MASK)
    assert video_features.shape == (2, 6, expert.width)
    whole, second = (
        expert.encode_and_loss(pictures, PADDING_MASK, tokens),
        expert.loss(video_features, PADDING_MASK, tokens),
    )
    assert torch.equal(whole.smoothed, second.smoothed)
    assert whole.tokens == sum(len(expert.tokens(text)) for text in TEXTS)
    assert int(tokens.max()) < expert.vocabulary


def test_the_loss_of_a_clip_does_not_depend_on_its_batch(expert: Expert) -> None:
    pictures = lips(expert)
    rows = [expert.tokens(text) for text in TEXTS]
    together = expert.encode_and_loss(pictures, PADDING_MASK, expert.pad(rows)).smoothed
    alone = [
        expert.encode_and_loss(pictures[row : row + 1, :, :frames], None, expert.pad([rows[row]])).smoothed
        for row, frames in enumerate((6, 4))
    ]
    torch.testing.assert_close(together, sum(alone), rtol=1e-5, atol=0)


def test_text_of_another_vocabulary_is_refused_and_a_single_unknown_sign_is_not(expert: Expert) -> None:
    assert expert.tokens("blue boats!") == [*expert.tokens("blue boats")[:-1], 3, 2]  # the unknown token, as published
    with pytest.raises(TlbenchError, match=r"'ΓΕΙΑ ΣΟΥ': \d+ of its \d+ pieces are unknown .* another vocabulary"):
        expert.tokens("ΓΕΙΑ ΣΟΥ")


def test_its_audio_encoder_is_a_copy_with_the_same_features(expert: Expert) -> None:
    encoder = expert.audio_encoder().eval()
    speech = torch.randn(2, 104, 6)
    features = encoder(speech, PADDING_MASK)
    model = expert.network
    assert isinstance(model, AVHubert)
    torch.testing.assert_close(features, model.encode(None, speech, PADDING_MASK))
    assert all(name.startswith("w2v_model.") for name in encoder.state_dict())
    before = model.encode(None, speech, PADDING_MASK)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1)
    assert torch.equal(model.encode(None, speech, PADDING_MASK), before)


def test_its_audio_encoder_has_dropout_in_training_only(expert: Expert) -> None:
    encoder = expert.audio_encoder()
    speech = torch.randn(1, 104, 6)
    encoder.train()
    assert not torch.equal(encoder(speech, None), encoder(speech, None))
    encoder.eval()
    assert torch.equal(encoder(speech, None), encoder(speech, None))


def test_the_last_blocks_of_its_audio_encoder_can_be_tuned(expert: Expert) -> None:
    encoder = expert.audio_encoder()
    assert isinstance(encoder, AVHubertAudioEncoder)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    last = [id(parameter) for parameter in encoder.w2v_model.encoder.layers[2].parameters()]
    assert [id(parameter) for parameter in encoder.tunable(1)] == last
    assert list(encoder.tunable(0)) == []
    assert len(list(encoder.tunable(12))) == 3 * len(last)


def test_an_audio_encoder_is_rebuilt_from_its_tensors_and_sizes(expert: Expert) -> None:
    encoder = expert.audio_encoder().eval()
    again = capability("avhubert", "audio_encoder")(encoder.state_dict(), encoder.sizes(), "mine").eval()
    speech = torch.randn(1, 104, 6)
    assert torch.equal(again(speech, None), encoder(speech, None))
    assert again.sizes() == encoder.sizes()


@pytest.mark.parametrize("wrong", [{"encoder_heads": 5}, {"encoder_heads": 0}, {"encoder_heads": None}])
def test_absurd_sizes_are_refused(expert: Expert, wrong: dict[str, object]) -> None:
    encoder = expert.audio_encoder()
    with pytest.raises(TlbenchError, match="weights of mine: its audio encoder is not AV-HuBERT's"):
        capability("avhubert", "audio_encoder")(encoder.state_dict(), {**encoder.sizes(), **wrong}, "mine")


def test_a_stated_size_larger_than_the_tensors_is_ignored(expert: Expert) -> None:
    encoder = expert.audio_encoder()
    sizes = {**encoder.sizes(), "encoder_ffn": 2**40}
    assert capability("avhubert", "audio_encoder")(encoder.state_dict(), sizes, "mine").sizes() == encoder.sizes()


def test_sizes_of_a_published_audio_encoder_follow_from_its_tensors() -> None:
    published = replace(BASE, mask_embedding=104, label_embeddings=2004, label_width=256)
    with torch.device("meta"):
        encoder = build_audio_encoder(AVHubertAudioEncoder(published).state_dict(), None, "talklip.pth")
    no_decoder = {"decoder_layers": 0, "decoder_width": 0, "decoder_ffn": 0, "decoder_heads": 0}
    assert encoder.dims == replace(published, **no_decoder)


def test_tensors_of_something_else_are_refused() -> None:
    with pytest.raises(TlbenchError, match=r"weights of x\.pth: its audio encoder is not AV-HuBERT's"):
        build_audio_encoder({"w2v_model.layer_norm.weight": torch.zeros(8)}, None, "x.pth")
    with pytest.raises(TlbenchError, match=r"weights of x\.pth: its audio encoder is not AV-HuBERT's"):
        build_audio_encoder(AVHubertAudioEncoder(SIZES["tiny"]).state_dict(), {"layers": 3}, "x.pth")


def test_its_features_are_cut_or_padded_at_the_end(expert: Expert) -> None:
    samples = np.random.default_rng(0).integers(-3000, 3000, 640 * 10).astype(np.int16)
    longer, shorter = expert.audio_features(samples, 14), expert.audio_features(samples, 7)
    assert longer.shape == (14, 104)
    np.testing.assert_array_equal(longer[:7], shorter)
    assert (longer[11:] == 0).all()
    np.testing.assert_array_equal(expert.audio_encoder().features(samples, 14), longer)


def test_a_reader_of_aligned_mouths_can_not_be_an_expert() -> None:
    with pytest.raises(
        TlbenchError, match=r"with the view avhubert-mouth-aligned.* of the views avhubert-lrs2-center@1"
    ):
        build_expert(next(id for id in observer_class("avhubert").views.values() if "aligned" in id))


def test_a_reader_without_a_tokenizer_can_not_be_an_expert() -> None:
    with pytest.raises(TlbenchError, match="expert: this AV-HuBERT has no decoder or no tokenizer"):
        capability("avhubert", "expert")(replace(package(), files={}), Path("expert"))


def test_another_observers_package_is_refused() -> None:
    with pytest.raises(TlbenchError, match="is of observer 'mvm'"):
        capability("avhubert", "expert")(replace(package(), observer="mvm"), Path("expert"))


@pytest.mark.parametrize("name", ["syncnet", "mvm", "pixels"])
def test_other_observers_can_not_be_experts(name: str) -> None:
    with pytest.raises(TlbenchError, match=f"observer '{name}' reads no lips"):
        capability(name, "expert")(package(), Path("expert"))
    with pytest.raises(TlbenchError, match=f"observer '{name}' has no audio encoder"):
        capability(name, "audio_encoder")({}, None, "expert")

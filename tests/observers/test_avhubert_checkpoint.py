"""fairseq's AV-HuBERT files: every published kind is read, without fairseq and without running code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.factories import fairseq_factory as fairseq
from tests.golden.formula import fill
from tlbench.checkpoints.package import read_package, write_package
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.checkpoint import TOKENIZER_FILE, load, read_published
from tlbench.observers.avhubert.dictionary import Dictionary
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.model import AVHubert


@pytest.fixture(scope="module")
def tokenizer() -> tuple[bytes, list[str]]:
    return fairseq.train_tokenizer()


def one_line(path: Path) -> str:
    with pytest.raises(TlbenchError) as caught:
        read_published(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
@pytest.mark.parametrize("kind", ["dict", "dictconfig", "args"])
def test_every_kind_of_file_is_read(
    tmp_path: Path, tokenizer: tuple[bytes, list[str]], kind: fairseq.Kind, zipped: bool
) -> None:
    model, symbols = tokenizer
    state = fairseq.fine_tuned_state(len(symbols))
    path = tmp_path / "published.pt"
    fairseq.write_checkpoint(
        path, state, fairseq.fine_tuned_config(), symbols, model, kind=kind, zipped=zipped, proto_alone=not zipped
    )
    assert "fairseq" not in sys.modules
    assert "omegaconf" not in sys.modules
    package = read_published(path)
    assert list(package.tensors) == list(state)
    assert all(torch.equal(package.tensors[name], tensor) for name, tensor in state.items())
    expected = {**fairseq.DIMS.to_json(), "vocabulary": len(symbols)}
    assert package.config["dims"] == expected
    assert package.config["dictionary"] == symbols
    assert package.files == {TOKENIZER_FILE: model}
    assert package.source_file == "published.pt"


def test_half_precision_is_kept_in_the_package(tmp_path: Path, tokenizer: tuple[bytes, list[str]]) -> None:
    model, symbols = tokenizer
    state = {name: tensor.half() for name, tensor in fairseq.fine_tuned_state(len(symbols)).items()}
    path = tmp_path / "half.pt"
    fairseq.write_checkpoint(path, state, fairseq.fine_tuned_config(), symbols, model, kind="dictconfig")
    write_package(read_published(path), tmp_path / "package")
    kept = read_package(tmp_path / "package").tensors
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.items())


def test_a_ctc_checkpoint_has_letters_and_no_decoder(tmp_path: Path) -> None:
    path = tmp_path / "ctc.pt"
    state = fairseq.ctc_state(len(fairseq.LETTERS))
    fairseq.write_checkpoint(path, state, fairseq.ctc_config(), fairseq.LETTERS, None)
    package = read_published(path)
    dims = Dims.from_json(package.config["dims"])
    assert (dims.ctc, dims.vocabulary, dims.decoder_layers) == (True, len(fairseq.LETTERS), 0)
    assert "encoder.proj.weight" in package.tensors
    assert not package.files


def test_a_pretrained_checkpoint_gets_the_names_of_the_fine_tuned_network(tmp_path: Path) -> None:
    path = tmp_path / "pretrained.pt"
    fairseq.write_checkpoint(path, fairseq.pretrained_state(), fairseq.pretrained_config(), None, None)
    package = read_published(path)
    assert all(name.startswith("encoder.w2v_model.") for name in package.tensors)
    assert not any("final_proj" in name for name in package.tensors)  # only pre-training uses it
    dims = Dims.from_json(package.config["dims"])
    assert (dims.vocabulary, dims.label_embeddings, dims.label_width) == (0, 20, 8)


def test_the_newer_names_of_weight_normalisation_are_understood(tmp_path: Path) -> None:
    state = fairseq.pretrained_state()
    new = "encoder.pos_conv.0.parametrizations.weight.original"
    state[f"{new}0"] = state.pop("encoder.pos_conv.0.weight_g")
    state[f"{new}1"] = state.pop("encoder.pos_conv.0.weight_v")
    path = tmp_path / "renamed.pt"
    fairseq.write_checkpoint(path, state, fairseq.pretrained_config(), None, None)
    tensors = read_published(path).tensors
    assert torch.equal(tensors["encoder.w2v_model.encoder.pos_conv.0.weight_g"], state[f"{new}0"])
    assert torch.equal(tensors["encoder.w2v_model.encoder.pos_conv.0.weight_v"], state[f"{new}1"])


def test_a_dictionary_beside_the_file_is_used_only_if_it_has_none(
    tmp_path: Path, tokenizer: tuple[bytes, list[str]]
) -> None:
    model, symbols = tokenizer
    bare, whole = tmp_path / "bare.pt", tmp_path / "whole.pt"
    state = fairseq.fine_tuned_state(len(symbols))
    fairseq.write_checkpoint(bare, state, fairseq.fine_tuned_config(), None, None)
    fairseq.write_checkpoint(whole, state, fairseq.fine_tuned_config(), symbols, model)
    assert "task_state.pt" in one_line(bare)
    others = [*symbols[:-1], "other"]
    fairseq.write_task_state(tmp_path / "task_state.pt", others, model)
    beside = read_published(bare)
    assert (beside.config["dictionary"], beside.config["dictionary_file"]) == (others, "task_state.pt")
    assert beside.files == {TOKENIZER_FILE: model}
    assert read_published(whole).config["dictionary"] == symbols


@pytest.mark.parametrize(
    ("part", "name", "value", "says"),
    [
        ("encoder", "encoder_layers", 12, "encoder_layers 12, its tensors say 2"),
        ("encoder", "encoder_embed_dim", 10**9, "encoder_embed_dim '1000000000'"),
        ("encoder", "encoder_attention_heads", -(10**30), "encoder_attention_heads 'beyond all sizes'"),
        ("encoder", "encoder_attention_heads", 3, "encoder_attention_heads '3'"),
        ("encoder", "conv_pos_groups", 5, "conv_pos_groups '5'"),
        ("decoder", "decoder_attention_heads", 7, "decoder_attention_heads '7'"),
        ("encoder", "encoder_attention_heads", [4], "encoder_attention_heads 'of type list'"),
        ("encoder", "encoder_attention_heads", "4", "encoder_attention_heads '4'"),
        ("encoder", "resnet_relu_type", "relu", "resnet_relu_type 'relu'"),
        ("encoder", "modality_fuse", "mix", "modality_fuse 'mix'"),
        ("decoder", "decoder_ffn_embed_dim", 21, "decoder_ffn_embed_dim 21, its tensors say 20"),
        ("decoder", "no_token_positional_embeddings", True, "no_token_positional_embeddings 'True'"),
        ("decoder", "w2v_args", None, "lacks w2v_args"),
        ("decoder", "decoder_normalize_before", "${model.other}", "decoder_normalize_before '${model.other}'"),
    ],
)
def test_a_configuration_that_we_can_not_build_is_named(
    tmp_path: Path, part: str, name: str, value: Any, says: str
) -> None:
    config = fairseq.fine_tuned_config()
    (config["model"] if part == "decoder" else config["model"]["w2v_args"]["model"])[name] = value
    path = tmp_path / "odd.pt"
    fairseq.write_checkpoint(path, fairseq.fine_tuned_state(len(fairseq.LETTERS)), config, fairseq.LETTERS, None)
    assert says in one_line(path)


def test_other_models_files_are_named(tmp_path: Path) -> None:
    plain = tmp_path / "plain.pt"
    torch.save({"weight": torch.zeros(3)}, plain)
    assert "holds no fairseq checkpoint" in one_line(plain)
    speech = tmp_path / "wav2vec.pt"
    fairseq.write_checkpoint(speech, {"feature_extractor.x": torch.zeros(2)}, fairseq.pretrained_config(), None, None)
    assert "not of AV-HuBERT" in one_line(speech)
    short = tmp_path / "dictionary.pt"
    state = fairseq.fine_tuned_state(40)
    fairseq.write_checkpoint(short, state, fairseq.fine_tuned_config(), fairseq.LETTERS, None)
    assert f"{len(fairseq.LETTERS)} symbols, the network of {short} 40" in one_line(short)
    torch.save({"model": state, "cfg": None, "args": None}, tmp_path / "unsaid.pt")
    assert "no configuration" in one_line(tmp_path / "unsaid.pt")


def test_a_file_cut_short_or_a_web_page_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "published.pt"
    fairseq.write_checkpoint(path, fairseq.pretrained_state(), fairseq.pretrained_config(), None, None)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cut short" in one_line(path)
    path.write_bytes(b"<!DOCTYPE html><title>Google Drive - Virus scan warning</title>")
    assert "web page" in one_line(path)


def test_a_package_of_another_observer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.pt"
    fairseq.write_checkpoint(path, fairseq.pretrained_state(), fairseq.pretrained_config(), None, None)
    package = read_published(path)
    write_package(type(package)("conformer", package.tensors, package.config), tmp_path / "package")
    with pytest.raises(TlbenchError, match="of observer 'conformer'"):
        load(tmp_path / "package")


def whole_network(path: Path, tokenizer: tuple[bytes, list[str]], change: Callable[[Tensor], Tensor]) -> AVHubert:
    """A file of a whole small network, its tensors changed; and the network it was made of."""
    model, symbols = tokenizer
    network = AVHubert(replace(fairseq.DIMS, vocabulary=len(symbols)))
    fill(network.state_dict())
    state = {name: change(tensor) for name, tensor in network.state_dict().items()}
    fairseq.write_checkpoint(path, state, fairseq.fine_tuned_config(), symbols, model)
    return network.eval()


@torch.inference_mode()
def test_a_file_and_its_package_are_the_network_they_were_made_of(
    tmp_path: Path, tokenizer: tuple[bytes, list[str]]
) -> None:
    path, folder = tmp_path / "published.pt", tmp_path / "package"
    original = whole_network(path, tokenizer, lambda tensor: tensor)
    write_package(read_published(path), folder)
    video = torch.randn(1, 1, 5, 88, 88, generator=torch.Generator().manual_seed(1))
    tokens = torch.tensor([[2, 5, 6]])
    expected = original.logits(tokens, original.encode(video, None, None), None)
    for weights in (path, folder):
        network, dictionary = load(weights)
        assert torch.equal(network.logits(tokens, network.encode(video, None, None), None), expected)
        assert dictionary.symbols == tuple(tokenizer[1])
        assert not network.training


def test_a_half_precision_file_works_in_float32(tmp_path: Path, tokenizer: tuple[bytes, list[str]]) -> None:
    path = tmp_path / "half.pt"
    original = whole_network(path, tokenizer, lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)
    state = load(path)[0].state_dict()
    for name, tensor in original.state_dict().items():
        if tensor.is_floating_point():
            assert state[name].dtype == torch.float32
            assert torch.equal(state[name], tensor.half().float())


def test_tensors_that_do_not_fit_the_network_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bare.pt"
    state = {**fairseq.pretrained_state(), "stray": torch.zeros(1)}
    fairseq.write_checkpoint(path, state, fairseq.pretrained_config(), None, None)
    with pytest.raises(TlbenchError, match=r"1 unknown \(encoder\.w2v_model\.stray\)") as caught:
        load(path)
    assert "missing (encoder.w2v_model." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_becomes_tokens_and_back(tokenizer: tuple[bytes, list[str]]) -> None:
    model, symbols = tokenizer
    dictionary = Dictionary(symbols, model)
    ids = dictionary.encode("The CAT sat")
    assert ids[-1] == 2
    assert dictionary.text(ids) == "the cat sat"
    assert 3 in dictionary.encode("the zoo")  # no z in the training text
    assert "<unk>" in dictionary.text(dictionary.encode("the zoo"))


def test_letters_make_words_at_the_border_sign() -> None:
    dictionary = Dictionary(fairseq.LETTERS)
    ids = [fairseq.LETTERS.index(letter) for letter in "|eat||tie|" if letter in fairseq.LETTERS]
    assert dictionary.text([0, *ids, 2, 1]) == "eat tie"
    with pytest.raises(TlbenchError, match="no sentencepiece model"):
        dictionary.encode("eat")


def test_a_dictionary_or_tokenizer_of_another_make_is_refused() -> None:
    with pytest.raises(TlbenchError, match="begins with <pad>"):
        Dictionary(["<pad>", "<s>", "</s>", "<unk>", "a"])
    with pytest.raises(TlbenchError, match="sentencepiece model is damaged"):
        Dictionary(fairseq.LETTERS, b"no model")


def test_a_run_does_not_hash_the_file_it_reads(
    tmp_path: Path, tokenizer: tuple[bytes, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, symbols = tokenizer
    path = tmp_path / "net.pt"
    state = AVHubert(replace(fairseq.DIMS, vocabulary=len(symbols))).state_dict()
    fairseq.write_checkpoint(path, state, fairseq.fine_tuned_config(), symbols, model)
    hashed: list[Path] = []
    monkeypatch.setattr("tlbench.checkpoints.state_dict.file_sha256", lambda file: hashed.append(file) or "0" * 64)
    load(path)  # who chose the file has hashed it, for the protocol
    assert hashed == []
    assert read_published(path).source_sha256 == "0" * 64

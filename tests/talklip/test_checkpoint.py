"""Checkpoints of the reference generator: published files in all their forms, our own, and what is none."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from torch import Tensor, nn

from tlbench.checkpoints.package import own_package, read_package, write_package
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.expert import AVHubertAudioEncoder
from tlbench.talklip.checkpoint import (
    find_generator,
    load_generator,
    open_generator,
    package_of,
    read_published,
    write_official,
)
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import PUBLISHED, GeneratorDims, TalkLip, dims_for

ENCODER = Dims(encoder_layers=2, encoder_width=64, encoder_ffn=32, encoder_heads=1, visual_width=2)


def sharing_numbers(network: nn.Module) -> dict[str, Tensor]:
    """A state dict with the network's names and shapes whose tensors share one block, so that its file is small."""
    state = network.state_dict()
    with torch.device("cpu"):
        block = torch.rand(100 + max(tensor.numel() for tensor in state.values()))
    return {
        name: block[len(name) : len(name) + tensor.numel()].view(tensor.shape).to(tensor.dtype)
        for name, tensor in state.items()
    }


def published_talklip(contrast_width: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        dims = GeneratorDims("global", audio_width=64, contrast_width=contrast_width)
        return sharing_numbers(TalkLip(dims, AVHubertAudioEncoder(ENCODER)))


def official(path: Path, state: dict[str, Tensor], prefix: str = "") -> Path:
    """As ``save_checkpoint`` in the originals' train.py writes it."""
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    content = {
        "state_dict": {prefix + name: tensor for name, tensor in state.items()},
        "optimizer": optimizer,
        "global_step": 3000,
        "global_epoch": 2,
    }
    torch.save(content, path)
    return path


def tiny(audio: str = "global", seen: int = 16) -> TalkLip:
    torch.manual_seed(0)
    dims = dims_for("tiny", "local" if audio == "local" else "global", audio_width=64, contrast_width=seen)
    return TalkLip(dims, None if audio == "local" else AVHubertAudioEncoder(ENCODER)).eval()


def faces_of(generator: TalkLip) -> Tensor:
    torch.manual_seed(1)
    faces = torch.rand(2, 6, 96, 96)
    if generator.dims.audio == "local":
        generated: Tensor = generator.eval()(torch.randn(2, 1, 80, 16), None, None, faces)
    else:
        generated = generator.eval()(torch.randn(1, 104, 9), None, torch.tensor([2, 7]), faces)
    return generated


@pytest.mark.parametrize("contrast_width", [0, 64], ids=["without the contrastive layer", "with it"])
def test_a_published_talklip_is_read_and_its_sizes_follow_from_its_tensors(tmp_path: Path, contrast_width: int) -> None:
    state = published_talklip(contrast_width)
    generator = load_generator(official(tmp_path / "talklip.pth", state))
    assert generator.dims == GeneratorDims("global", audio_width=64, contrast_width=contrast_width)
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())
    assert list(generator.state_dict()) == list(state)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_published_wav2lip_is_read_though_its_names_begin_with_module(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = sharing_numbers(TalkLip(PUBLISHED))
    generator = load_generator(official(tmp_path / "wav2lip_gan.pth", state, "module."))
    assert generator.dims == PUBLISHED
    assert not hasattr(generator, "sync_net")


def test_a_bare_state_dict_is_read_too(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = sharing_numbers(TalkLip(PUBLISHED))
    torch.save(state, tmp_path / "bare.pth")
    assert load_generator(tmp_path / "bare.pth").dims == PUBLISHED


def test_a_published_file_is_read_with_its_name_and_hash(tmp_path: Path) -> None:
    package = read_published(official(tmp_path / "talklip.pth", published_talklip(64)))
    assert package.source_file == "talklip.pth"
    assert len(package.source_sha256) == 64


@pytest.mark.parametrize("audio", ["global", "local"])
@torch.no_grad()
def test_a_written_file_has_the_originals_format_and_gives_the_same_faces(tmp_path: Path, audio: str) -> None:
    generator = tiny(audio)
    path = tmp_path / "checkpoint_step000000007.pth"
    write_official(generator, path, step=7, epoch=1, trained={"variant": "g+c"})
    content = torch.load(path, weights_only=True)
    assert content["optimizer"] is None
    assert (content["global_step"], content["global_epoch"]) == (7, 1)
    assert list(content["state_dict"]) == list(generator.state_dict())
    again = load_generator(path)
    assert again.dims == generator.dims
    assert torch.equal(faces_of(again), faces_of(generator))
    assert open_generator(path).config["trained"] == {"variant": "g+c"}
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


def test_a_discriminator_is_written_in_the_originals_format(tmp_path: Path) -> None:
    discriminator = Discriminator(1 / 16, 8)
    write_official(discriminator, tmp_path / "disc.pth", step=1, epoch=0, trained={})
    content = torch.load(tmp_path / "disc.pth", weights_only=True)
    assert json.loads(content["tlbench"])["discriminator"] == {"width": 1 / 16, "deepest": 8}
    again = Discriminator(1 / 16, 8)
    again.load_state_dict(content["state_dict"])
    faces = torch.rand(1, 3, 96, 96)
    assert torch.equal(again(faces), discriminator(faces))


@pytest.mark.parametrize("audio", ["global", "local"])
@torch.no_grad()
def test_a_package_in_half_precision_gives_nearly_the_same_faces(tmp_path: Path, audio: str) -> None:
    generator = tiny(audio)
    package = own_package(package_of(generator, {}), "", {"variant": "g"}, half=True)
    write_package(package, tmp_path / "g")
    again = load_generator(tmp_path / "g")
    assert read_package(tmp_path / "g").config["trained"] == {"variant": "g"}
    assert float((faces_of(again) - faces_of(generator)).abs().max()) < 2e-3


def test_a_package_does_not_change_while_its_network_is_trained() -> None:
    generator = tiny("local")
    package = package_of(generator, {})
    before = package.tensors["output_block.1.bias"].clone()
    with torch.no_grad():
        generator.state_dict()["output_block.1.bias"].add_(1)
    assert torch.equal(package.tensors["output_block.1.bias"], before)


def damaged(path: Path) -> Path:
    write_official(tiny("local"), path, step=1, epoch=0, trained={})
    path.write_bytes(path.read_bytes()[:-5000])
    return path


def another_model(path: Path) -> Path:
    torch.save({"state_dict": {"netcnnaud.0.weight": torch.zeros(3)}}, path)
    return path


def a_discriminator(path: Path) -> Path:
    write_official(Discriminator(1 / 16, 8), path, step=1, epoch=0, trained={})
    return path


def other_shapes(path: Path) -> Path:
    return official(path, dict(tiny("local").state_dict()))


def no_encoder(path: Path) -> Path:
    state = {name: tensor for name, tensor in published_talklip(0).items() if "pos_conv" not in name}
    return official(path, state)


def no_tensors(path: Path) -> Path:
    torch.save({"state_dict": {"face_decoder_blocks": 5}}, path)
    return path


def bad_entry(path: Path) -> Path:
    torch.save({"state_dict": tiny("local").state_dict(), "tlbench": "{"}, path)
    return path


def odd_sizes(path: Path) -> Path:
    text = '{"generator": {"audio": "local", "width": 1e9}}'
    torch.save({"state_dict": tiny("local").state_dict(), "tlbench": text}, path)
    return path


def code(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"state_dict": print}))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (damaged, "cut short"),
        (another_model, "another model's file, not a generator of TalkLip or Wav2Lip .*netcnnaud"),
        (a_discriminator, "is a discriminator"),
        (other_shapes, "tensors .* of another shape"),
        (no_encoder, "its audio encoder is not AV-HuBERT's .*pos_conv"),
        (no_tensors, "no plain state dict"),
        (bad_entry, "'tlbench' is not a JSON"),
        (odd_sizes, "configuration is not a generator's"),
        (code, "not a checkpoint|would run code"),
    ],
)
def test_files_that_are_no_generator_are_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    path = make(tmp_path / "file.pth")
    with pytest.raises(TlbenchError, match=message) as caught:
        load_generator(path)
    assert "file.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_package_of_something_else_is_refused(tmp_path: Path) -> None:
    write_package(replace(package_of(tiny("local"), {}), observer="mvm"), tmp_path / "g")
    with pytest.raises(TlbenchError, match="holds 'mvm', not 'talklip'"):
        load_generator(tmp_path / "g")


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.pth"
    write_official(tiny("local"), path, step=1, epoch=0, trained={})
    old = path.read_bytes()

    def full(content: Any, file: BinaryIO) -> None:
        file.write(b"half of it")
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed\nat line 7")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TlbenchError, match=r"can't be written .*file write failed\); free some space$"):
        write_official(tiny("local"), path, step=2, epoch=0, trained={})
    assert path.read_bytes() == old
    assert [left.name for left in tmp_path.iterdir()] == ["g.pth"]


def test_the_bundled_generator_is_found_by_its_name() -> None:
    generator = load_generator(find_generator(Path("talklip-gc-synthetic")))
    assert (generator.dims.audio, generator.dims.width) == ("global", 0.125)


def test_a_missing_generator_is_named_with_those_that_exist() -> None:
    with pytest.raises(
        TlbenchError, match=r"--checkpoint nobody: there is no such file and no such checkpoint \(talklip-g, "
    ):
        find_generator(Path("nobody"))

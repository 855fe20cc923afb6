"""Generators by name: which one a name, a file or a package stands for, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from tests.factories.generator_factory import generator_weights
from tlbench.checkpoints.package import write_package
from tlbench.errors import TlbenchError
from tlbench.generation import registry
from tlbench.generation.generator import GenerateOptions
from tlbench.generation.registry import generator_cards, generator_class, generator_names, load_generator_of
from tlbench.talklip.checkpoint import open_generator

OPTIONS = GenerateOptions(device="cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generator_weights("talklip", tmp_path_factory.mktemp("weights"))


def test_a_file_is_talklip_s_unless_its_generator_is_named(tiny: Path) -> None:
    assert load_generator_of(tiny, OPTIONS).name == "talklip"
    assert load_generator_of(f"wav2lip={tiny}", OPTIONS).name == "wav2lip"


def test_a_bundled_checkpoint_is_found_by_its_name() -> None:
    found = load_generator_of("talklip-gc-synthetic", OPTIONS)
    assert found.name == "talklip"
    assert found.checkpoint is not None
    assert found.checkpoint.name == "talklip-gc-synthetic"
    assert found.needs.sound == "samples"  # its audio encoder reads the whole utterance


def test_cards_of_generators_are_those_with_a_generator_s_name() -> None:
    names = {card.name for card in generator_cards()}
    assert {"talklip-g", "talklip-gc", "talklip-gc-synthetic", "wav2lip", "wav2lip-gan"} <= names
    assert not {"talklip-discriminator", "syncnet", "talklip-expert"} & names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("talklip", r"--generator talklip: needs a checkpoint; give its file as talklip=FILE"),
        ("nothing.pth", r"no such file, checkpoint or generator; there are talklip"),
        ("talklipp", r"did you mean 'talklip'\?"),
        ("Frozen Mouth", r"did you mean 'frozen-mouth'\?"),
        ("wav2lipp=x.pth", r"--generator x.pth: is of 'wav2lipp', which is no generator; did you mean 'wav2lip'\?"),
        ("talklip=nothing.pth", r"nothing\.pth"),
    ],
)
def test_what_is_no_generator_is_one_line(given: str, message: str) -> None:
    with pytest.raises(TlbenchError, match=message) as error:
        load_generator_of(given, OPTIONS)
    assert "\n" not in str(error.value)


def test_the_package_of_a_lip_reader_is_no_generator() -> None:
    package = next(card.package for card in registry.known_cards() if card.name == "avhubert-grid")
    with pytest.raises(TlbenchError, match="is of 'avhubert', which is no generator"):
        load_generator_of(str(package), OPTIONS)


def test_a_global_audio_encoder_is_not_wav2lip_s() -> None:
    package = next(card.package for card in registry.known_cards() if card.name == "talklip-gc-synthetic")
    with pytest.raises(TlbenchError, match=r"reads the whole utterance.*give it as talklip="):
        load_generator_of(f"wav2lip={package}", OPTIONS)


def test_another_model_s_file_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"face_encoder.0.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(TlbenchError, match="is another model's file, not a generator"):
        load_generator_of(tmp_path / "other.pth", OPTIONS)


def test_two_packages_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("talklip", "theirs.generator:Theirs", "tlbench.generators")
    monkeypatch.setattr(registry, "entry_points", lambda group: (point,))
    generator_names.cache_clear()
    with pytest.raises(TlbenchError, match=r"'talklip': theirs\.generator:Theirs has the name of tlbench"):
        generator_names()
    monkeypatch.setattr(registry, "entry_points", lambda group: (EntryPoint("far", "nowhere:Far", group),))
    with pytest.raises(TlbenchError, match=r"'far': nowhere:Far can't be imported"):
        generator_class("far")
    generator_names.cache_clear()


@pytest.mark.parametrize("name", ["frozen-mouth", "blurred-3.5", "shifted-2", "compressed-38", "frozen-mouth-0.5"])
def test_controls_and_faults_are_generators(name: str) -> None:
    found = load_generator_of(name, OPTIONS)
    assert (found.name, found.returns) == (name, "frames")
    assert found.log_entry() == {"generator": {"name": name, "version": 1}}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ground-truth", "is the reference itself; score it with --controls ground-truth"),
        ("blurred-0", "no control 'blurred-0'"),
    ],
)
def test_faults_that_can_not_be_generated_alone_say_so(name: str, message: str) -> None:
    with pytest.raises(TlbenchError, match=message):
        load_generator_of(name, OPTIONS)


@pytest.mark.parametrize(
    ("of", "changes", "message"),
    [
        ("local", {"audio": "global", "audio_width": 64}, "its audio encoder is not AV-HuBERT's"),
        ("global", {"audio": "local", "audio_width": 0}, r"this is another model's file; tensors .*audio_encoder"),
        ("global", {"audio_width": 77}, "its audio encoder has features of size 120, its configuration says 77"),
    ],
)
def test_a_checkpoint_that_states_another_audio_front_end_is_refused(
    tiny: Path, tmp_path: Path, of: str, changes: dict[str, object], message: str
) -> None:
    bundled = next(card.package for card in registry.known_cards() if card.name == "talklip-gc-synthetic")
    assert bundled is not None
    package = open_generator(tiny if of == "local" else bundled)
    config = {**package.config, "generator": {**package.config["generator"], **changes}}
    write_package(replace(package, config=config, source_file="theirs.pth"), tmp_path / "wrong")
    with pytest.raises(TlbenchError, match=message) as error:
        load_generator_of(tmp_path / "wrong", OPTIONS)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "wrong") in str(error.value)

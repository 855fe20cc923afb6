"""Files that are not auto_avsr's visual network are refused in one line; KeySync's names are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.golden.formula import fill
from tlbench.checkpoints.catalogue import observer_cards
from tlbench.checkpoints.package import Package
from tlbench.errors import TlbenchError
from tlbench.observers.autoavsr.checkpoint import load_model, network_of
from tlbench.observers.autoavsr.dims import Dims
from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observers.autoavsr.tokens import Tokens, published_tokens

NAMES = Path(__file__).parents[1] / "golden" / "autoavsr" / "names_keysync.json"
# As published but narrow: a file states no sizes, so only its refusal can be tested with it.
NARROW = Dims(visual_width=8, width=16, heads=2, hidden=16, encoder_blocks=1, decoder_blocks=1, vocabulary=5049)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    made = AutoAVSRModel(NARROW).state_dict()
    fill(made)
    return made


Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def listening(state: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("frontend.")}
    return {**kept, "frontend.trunk.conv1.weight": torch.zeros(8, 1, 80)}


def other_units(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "decoder.output_layer.weight": state["decoder.output_layer.weight"][:1000]}


def wrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (listening, "listens, it has no visual front end; take a checkpoint whose name begins with vsr_"),
        (other_units, "1,000 outputs, the units file of auto_avsr has 5,049 tokens"),
        (wrapped, r"its names begin with model\., so it is the state of a program around the network"),
        (dict, "this is another model's file; tensors .* missing"),
    ],
)
def test_another_file_is_one_line(state: dict[str, Tensor], change: Change, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(change(state), path)
    with pytest.raises(TlbenchError, match=reason) as refused:
        load_model(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_names_of_keysync_are_todays(state: dict[str, Tensor], tmp_path: Path) -> None:
    older = {today: before for before, today in json.loads(NAMES.read_text())["map"].items()}
    renamed = {older.get(name, name): tensor for name, tensor in state.items()}
    assert set(renamed) != set(state)
    path = tmp_path / "vsr_trlrs2lrs3vox2avsp_base_updated.pth"
    torch.save(renamed, path)
    with pytest.raises(TlbenchError) as refused:  # for its sizes, and no name of it is unknown
        load_model(path)
    assert "unknown" not in str(refused.value)
    assert "of another shape" in str(refused.value)


def package_of(state: dict[str, Tensor], units: object, pieces: bytes) -> Package:
    return Package("autoavsr", state, {"dims": NARROW.to_json(), "units": units}, {"sentencepiece.model": pieces})


def test_a_packages_tokens_have_to_fit(state: dict[str, Tensor]) -> None:
    tokens = published_tokens()
    whole = package_of(state, list(tokens.units), tokens.pieces)
    model, read = network_of(whole, Path("p"))
    assert model.end == read.end == 5048
    for units, pieces, reason in (
        (list(tokens.units[:-1]), tokens.pieces, "5,048 tokens for a network of 5,049"),
        ("units", tokens.pieces, "its units or its sentencepiece.model can't be read"),
        (["a", *tokens.units[1:]], tokens.pieces, "begin with 'a' or repeat one; they begin with <unk>"),
        (list(tokens.units), b"no model", "sentencepiece model is damaged"),
    ):
        with pytest.raises(TlbenchError, match=reason):
            network_of(package_of(state, units, pieces), Path("p"))
    with pytest.raises(TlbenchError, match="can't be read"):
        network_of(replace(whole, files={}), Path("p"))


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"width": 20, "heads": 3}, "divisible by the 3 heads"),
        ({"kernel": 30}, "odd number of frames"),
        ({"vocabulary": 2}, "a blank, a piece and the end mark"),
        ({"hidden": 0}, "whole number above 0"),
    ],
)
def test_sizes_that_make_no_network_are_refused(sizes: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Dims.from_json(sizes)


def test_cards_say_what_is_published() -> None:
    cards = {card.file: card for card in observer_cards("autoavsr") if card.package is None}
    assert {file: (card.md5, card.published_values["lrs3_wer3"], card.url[-38:-5]) for file, card in cards.items()} == {
        "vsr_trlrs3_base.pth": ("c00a7", 36.0, "12PNM5szUsk_CuaV1yB9dL_YWvSM1zvAd"),
        "vsr_trlrs3vox2_base.pth": ("774a6", 24.6, "1shcWXUK2iauRhW9NbwCc25FjU1CoMm8i"),
        "vsr_trlrs2lrs3vox2avsp_base.pth": ("49f77", 20.3, "1r1kx7l9sWnDOCnaFHIGvOtzuhFyFA88_"),
    }
    (default,) = [card for card in cards.values() if card.default]
    assert default.names == ["vsr_trlrs2lrs3vox2avsp_base_updated.pth"]


def test_a_text_of_unknown_pieces_is_all_unk() -> None:
    tokens = published_tokens()
    assert tokens.text(tokens.encode("привет")) == "<unk>"
    assert isinstance(tokens, Tokens)

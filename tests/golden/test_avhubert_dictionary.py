"""The dictionary and the reader of checkpoints do what fairseq and av_hubert did, on files that fairseq wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden.formula import value
from tlbench.checkpoints.package import Package, read_package, write_package
from tlbench.checkpoints.unpickle import Unpickler
from tlbench.observers.avhubert import checkpoint
from tlbench.observers.avhubert.checkpoint import TOKENIZER_FILE, load, read_published
from tlbench.observers.avhubert.dictionary import Dictionary

GOLDEN = Path(__file__).with_name("avhubert_checkpoint")
RELATIVE = 1e-5  # float32 sums in another order; the original itself moves by 6e-6 with its number of threads
CASES: dict[str, Any] = json.loads((GOLDEN / "dictionary.json").read_text("utf-8"))
FILES: list[dict[str, Any]] = json.loads((GOLDEN / "tiny_fairseq_info.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def tiny(shared: Path) -> Package:
    return read_published(shared / "golden" / "avhubert" / "tiny_fairseq.pt")


@pytest.mark.parametrize("case", CASES["decode"] + CASES["encode"], ids=lambda case: str(case["ids"]))
def test_tokens_read_as_in_the_original(case: dict[str, Any]) -> None:
    assert Dictionary(CASES["dictionary"]["symbols"]).text(case["ids"]) == case["decoded"]


@pytest.mark.parametrize("case", CASES["encode"], ids=lambda case: repr(case["text"]))
def test_text_becomes_the_originals_tokens(tiny: Package, case: dict[str, Any]) -> None:
    dictionary = Dictionary(tiny.config["dictionary"], tiny.files[TOKENIZER_FILE])
    assert dictionary.encode(case["text"]) == case["ids"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file["path"]).stem)
def test_every_name_in_fairseqs_files_is_known(file: dict[str, Any]) -> None:
    reader = Unpickler(checkpoint.INERT, checkpoint.MENTIONED)
    assert set(reader.known) >= {name.replace(" ", ".") for name in file["pickle_globals"]}


def test_a_file_of_fairseqs_trainer_is_read_to_the_last_number(tiny: Package, shared: Path) -> None:
    manifest = json.loads((shared / "golden" / "avhubert" / "manifest_tiny.json").read_text("utf-8"))
    assert {name: list(tensor.shape) for name, tensor in tiny.tensors.items()} == manifest
    for name, tensor in tiny.tensors.items():
        if tensor.is_floating_point():
            np.testing.assert_array_equal(tensor.numpy(), value(name, tensor.shape), err_msg=name)
    assert tiny.config["dictionary"] == CASES["dictionary"]["symbols"]
    assert len(tiny.files[TOKENIZER_FILE]) == CASES["dictionary"]["proto_len"]
    assert tiny.config["dims"]["encoder_layers"] == 2
    assert tiny.config["dims"]["normalise_audio"] is True


def test_its_package_holds_the_same(tiny: Package, tmp_path: Path) -> None:
    write_package(tiny, tmp_path / "tiny")
    back = read_package(tmp_path / "tiny")
    assert all(torch.equal(back.tensors[name], tensor) for name, tensor in tiny.tensors.items())
    assert (back.config, back.files, back.source_sha256) == (tiny.config, tiny.files, tiny.source_sha256)


@torch.inference_mode()
@pytest.mark.parametrize("packaged", [False, True], ids=["published file", "package"])
def test_the_network_read_from_it_computes_what_the_original_did(
    tiny: Package, shared: Path, tmp_path: Path, packaged: bool
) -> None:
    golden = np.load(shared / "golden" / "avhubert" / "tiny_forward.npz")
    weights = shared / "golden" / "avhubert" / "tiny_fairseq.pt"
    if packaged:
        weights = tmp_path / "tiny"
        write_package(tiny, weights)
    network, _ = load(weights)
    encoded = network.encode(torch.from_numpy(lips()), None, None)  # (1, 40, 64)
    logits = network.logits(torch.from_numpy(golden["prev_output_tokens"][:1]), encoded, None)
    for ours, theirs in ((encoded.transpose(0, 1), golden["v40_encoder_out"]), (logits, golden["v40_logits"])):
        assert np.abs(ours.numpy() - theirs).max() < RELATIVE * np.abs(theirs).max()


def lips() -> np.ndarray:
    """video(1, 1, 40) of the goldens' README: noise, a level for each frame, and a pattern of 8x8 blocks."""
    draw = np.random.RandomState(1)
    noise, level, blocks = (draw.standard_normal((1, 1, 40, *size)) for size in ((88, 88), (1, 1), (8, 8)))
    return (0.5 * noise + level + np.kron(blocks, np.ones((11, 11)))).astype(np.float32)

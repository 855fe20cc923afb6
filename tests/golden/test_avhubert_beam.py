"""AV-HuBERT's decoder and beam search equal the original's: logits, and all hypotheses of every recorded search.

The searches begin with the original encoder's recorded output. Weights are the formula's (formula.py), and for most
searches made livelier (:func:`lively`), as on plain formula weights every hypothesis runs to the greatest length.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.golden.formula import fill
from tlbench.observers.avhubert.decode import BeamSettings, Hypothesis, Stepper, beam_search
from tlbench.observers.avhubert.decoder import Decoder
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.incremental_decoder import SteppingDecoder
from tlbench.observers.avhubert.packed_decoder import PackedDecoder

TINY = Path(__file__).with_name("avhubert_beam")


def dims(encoder: tuple[int, int, int, int], decoder: tuple[int, int, int, int]) -> Dims:
    """Layers, width, feed-forward width and heads of the two; the rest as all three goldens have it."""
    layers, width, ffn, heads = decoder
    return Dims(
        *encoder,
        decoder_layers=layers,
        decoder_width=width,
        decoder_ffn=ffn,
        decoder_heads=heads,
        vocabulary=1000,
        embedding_scale=False,
    )


DIMS = {
    "tiny": dims((2, 64, 128, 4), (2, 64, 96, 2)),
    "base": dims((12, 768, 3072, 12), (6, 768, 3072, 4)),
    "large": dims((24, 1024, 4096, 16), (9, 1024, 4096, 8)),
}
LIVELY: dict[str, dict[str, float]] = {
    "A": {"embed": 2.0, "eos": 1.3, "resid": 16.0, "q": 16.0},  # short and long hypotheses
    "B": {"embed": 3.0, "eos": 1.2, "resid": 8.0, "q": 6.0},  # long ones, some at the greatest length
    "C": {"embed": 3.0, "eos": -2.2, "resid": 8.0, "q": 6.0},  # base and large: some end early
}
SIX_FRAMES = "v40_A_beam2000"  # searched in the first six frames of v40; six_frames.npz is our own encoder's output
# Searches in which hypotheses stand so near one another that rounding orders or chooses them: the best and the scores
# are compared, not each place. The original itself does so with another number of threads (gaps below 1e-6).
TIES = {("tiny", SIX_FRAMES), ("base", "v40_plain_beam50"), ("large", "v40_C_beam50")}
AUDIO_FEATURES = 104  # what the original takes for the number of frames when there is sound


def lively(weights: dict[str, torch.Tensor], embed: float, eos: float, resid: float, q: float) -> None:
    """Make hypotheses varied, in place; the same changes as the goldens were made with."""
    for name, tensor in weights.items():
        if name == "decoder.embed_tokens.weight":
            tensor *= embed
            tensor[2] *= eos
        elif name.startswith("decoder.layers."):
            if name.endswith(("out_proj.weight", "fc2.weight")):
                tensor *= resid
            elif name.endswith("q_proj.weight"):
                tensor *= q


def formula_decoder(size: str, variant: str = "plain") -> Decoder:
    decoder = Decoder(DIMS[size])
    weights = {f"decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    fill(weights)
    if variant in LIVELY:
        lively(weights, **LIVELY[variant])
    return decoder.eval().requires_grad_(False)


def relative_error(ours: torch.Tensor, theirs: NDArray[np.float32]) -> float:
    a, b = ours.double().numpy(), theirs.astype(np.float64)
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@dataclass(frozen=True)
class Case:
    """One recorded search: what went in, and for each utterance its hypotheses, the best first."""

    encoded: torch.Tensor
    lengths: torch.Tensor
    settings: BeamSettings
    prefixes: list[list[int]] | None
    counted: list[int]
    expected: list[list[tuple[NDArray[np.int64], float, NDArray[np.float32]]]]  # tokens, score, positional scores


def read_case(folder: Path, size: str, name: str) -> Case:
    forward, searched = np.load(folder / f"{size}_forward.npz"), np.load(folder / f"{size}_beam.npz")
    recorded: dict[str, Any] = json.loads((folder / f"{size}_beam.json").read_text())[name]
    source = name.split(f"_{recorded['variant']}_")[0]
    if name == SIX_FRAMES:
        forward = np.load(TINY / "six_frames.npz")
    encoded = torch.from_numpy(forward[f"{source}_encoder_out"]).transpose(0, 1)  # (B, T, C)
    batched = source.startswith("batch")
    lengths = torch.from_numpy(forward["batch_lens"]) if batched else torch.tensor([encoded.shape[1]])
    options = dict(recorded["generation"])
    options["normalise"] = not options.pop("unnormalized")
    options["no_repeat_ngram"] = options.pop("no_repeat_ngram_size")
    expected = []
    for number in range(recorded["nbatch"]):
        found = (searched[f"{name}.{number}.{kind}"] for kind in ("tokens", "scores", "positional_scores"))
        expected.append(
            [(row[row >= 0], float(score), part[row >= 0]) for row, score, part in zip(*found, strict=True)]
        )
    counted = AUDIO_FEATURES if source in ("a40", "av40", "batch_a") else encoded.shape[1]
    prefixes = recorded["prefix_tokens"]
    return Case(encoded, lengths, BeamSettings(**options), prefixes, [counted] * len(expected), expected)


def search(decoder: Decoder | Stepper[Any], case: Case) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = beam_search(
        decoder, case.encoded, case.lengths, case.settings, case.prefixes, case.counted
    )
    return found


def assert_as_recorded(found: list[list[Hypothesis]], case: Case, ties: bool) -> None:
    assert len(found) == len(case.expected)
    for ours, theirs in zip(found, case.expected, strict=True):
        np.testing.assert_allclose([h.score for h in ours], [score for _, score, _ in theirs], rtol=1e-4, atol=1e-4)
        for rank, (hypothesis, (tokens, _, positional_scores)) in enumerate(zip(ours, theirs, strict=True)):
            if rank == 0 or not ties:
                np.testing.assert_array_equal(hypothesis.tokens, tokens)
                np.testing.assert_allclose(hypothesis.positional_scores, positional_scores, rtol=1e-4, atol=1e-4)


def cases(folder: Path, size: str) -> dict[str, str]:
    """The recorded searches and the variant of the weights of each."""
    recorded = json.loads((folder / f"{size}_beam.json").read_text())
    return {name: case["variant"] for name, case in recorded.items() if name[0] != "_"}


@pytest.fixture(scope="module", params=[False, True], ids=["torch", "packed"])
def tiny(request: pytest.FixtureRequest) -> Callable[[str], Stepper[Any]]:
    """With each matrix product."""
    packed: bool = request.param
    kind = PackedDecoder if packed else SteppingDecoder
    made = {name: kind(formula_decoder("tiny", name)) for name in ("plain", "A", "B")}
    return made.__getitem__


def test_names_and_shapes_are_the_originals_in_their_order() -> None:
    manifest = json.loads((TINY / "manifest_tiny.json").read_text())
    state = Decoder(DIMS["tiny"]).state_dict()
    assert [(f"decoder.{name}", list(tensor.shape)) for name, tensor in state.items()] == list(manifest.items())


def assert_logits(folder: Path, size: str) -> None:
    golden = np.load(folder / f"{size}_forward.npz")
    tokens = torch.from_numpy(golden["prev_output_tokens"])
    video = torch.from_numpy(golden["v40_encoder_out"]).transpose(0, 1)
    for variant, key in (("plain", "v40_logits"), ("A", "v40_logits_A"), ("B", "v40_logits_B")):
        assert relative_error(formula_decoder(size, variant)(tokens[:1], video), golden[key]) < 1e-5
    batch = torch.from_numpy(golden["batch_v_encoder_out"]).transpose(0, 1)
    mask = torch.from_numpy(golden["batch_padding_mask"])
    assert relative_error(formula_decoder(size)(tokens, batch, mask), golden["batch_v_logits"]) < 1e-5


def test_logits_equal_the_original_padded_batches_too() -> None:
    assert_logits(TINY, "tiny")


@pytest.mark.parametrize(("name", "variant"), cases(TINY, "tiny").items())
def test_every_hypothesis_of_the_tiny_model_is_the_originals(
    tiny: Callable[[str], Stepper[Any]], name: str, variant: str
) -> None:
    case = read_case(TINY, "tiny", name)
    assert_as_recorded(search(tiny(variant), case), case, ("tiny", name) in TIES)


def test_stopping_early_finds_the_originals_best(tiny: Callable[[str], Stepper[Any]]) -> None:
    for name, variant in cases(TINY, "tiny").items():
        if name == SIX_FRAMES:
            continue  # slow, and 999 hypotheses fill themselves at the greatest length
        case = read_case(TINY, "tiny", name)
        early = replace(case, settings=replace(case.settings, early_stop=True))
        for found, expected in zip(search(tiny(variant), early), case.expected, strict=True):
            np.testing.assert_array_equal(found[0].tokens, expected[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("size", ["base", "large"])
def test_logits_of_the_full_sizes_equal_the_original(shared: Path, size: str) -> None:
    assert_logits(shared / "golden" / "avhubert", size)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["plain", "A", "B", "C"])
@pytest.mark.parametrize("size", ["base", "large"])
@pytest.mark.parametrize("packed", [False, True], ids=["torch", "packed"])
def test_every_hypothesis_of_the_full_sizes_is_the_originals(
    shared: Path, size: str, variant: str, packed: bool
) -> None:
    folder = shared / "golden" / "avhubert"
    stepper = (PackedDecoder if packed else SteppingDecoder)(formula_decoder(size, variant))
    for name, used in cases(folder, size).items():
        if used == variant:
            case = read_case(folder, size, name)
            assert_as_recorded(search(stepper, case), case, (size, name) in TIES)

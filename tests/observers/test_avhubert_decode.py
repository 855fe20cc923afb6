"""AV-HuBERT's decoders, beam search and CTC. tests/golden/test_avhubert_beam.py compares with the original."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.golden.formula import fill
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.decode import BeamSettings, Hypothesis, beam_search, ctc_greedy
from tlbench.observers.avhubert.decoder import EOS, PAD, Decoder
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.incremental_decoder import SteppingDecoder
from tlbench.observers.avhubert.packed_decoder import COMPACT_BELOW, PackedDecoder, folds
from tlbench.observing.incremental_decoder import SWEEP_STEPS
from tlbench.observing.packed_linear import PackedLinear, can_pack

DIMS = Dims(
    encoder_layers=1,
    encoder_width=20,
    encoder_ffn=8,
    encoder_heads=2,
    decoder_layers=2,
    decoder_width=16,
    decoder_ffn=24,
    decoder_heads=2,
    vocabulary=40,
    embedding_scale=False,
    max_target_positions=64,
)
VARIANTS = {
    "as published": DIMS,
    "norms behind": replace(DIMS, decoder_prenorm=False),
    "own output layer": replace(DIMS, shared_output=False),
    "learned positions, scaled embedding": replace(DIMS, learned_positions=True, embedding_scale=True),
}


def make_decoder(dims: Dims = DIMS, seed: int = 0) -> Decoder:
    """Formula weights, sharpened so that hypotheses differ and end at various lengths."""
    decoder = Decoder(dims)
    fill(decoder.state_dict(), seed)
    with torch.no_grad():
        decoder.embed_tokens.weight *= 2
        for name, tensor in decoder.named_parameters():
            if name.endswith(("out_proj.weight", "fc2.weight")):
                tensor *= 4
    return decoder.eval().requires_grad_(False)


def make_videos(*lengths: int, width: int = DIMS.encoder_width) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(sum(lengths))
    return torch.randn(len(lengths), max(lengths), width, generator=draw), torch.tensor(lengths)


def assert_same(ours: list[Hypothesis], theirs: list[Hypothesis]) -> None:
    assert [h.tokens.tolist() for h in ours] == [h.tokens.tolist() for h in theirs]
    np.testing.assert_allclose([h.score for h in ours], [h.score for h in theirs], atol=1e-5)


def test_the_decoder_sees_neither_the_future_nor_padded_frames() -> None:
    decoder = make_decoder()
    encoded, lengths = make_videos(9, 5)
    tokens = torch.tensor([[EOS, 5, 6, 7], [EOS, 8, 9, 10]])
    mask = torch.arange(9) >= lengths[:, None]
    logits = decoder(tokens, encoded, mask)
    cut = decoder(tokens[1:, :2], encoded[1:, :5])
    torch.testing.assert_close(logits[1:, :2], cut, atol=1e-5, rtol=1e-5)


def test_padding_behind_the_tokens_changes_nothing_before_it() -> None:
    decoder = make_decoder()
    encoded, _ = make_videos(6)
    short = decoder(torch.tensor([[EOS, 5]]), encoded)
    padded = decoder(torch.tensor([[EOS, 5, PAD, PAD]]), encoded)
    torch.testing.assert_close(padded[:, :2], short, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_video_and_every_weight() -> None:
    decoder = make_decoder().requires_grad_(True)
    encoded = make_videos(6)[0].requires_grad_(True)
    decoder(torch.tensor([[EOS, 5, 6]]), encoded).logsumexp(2).sum().backward()
    assert encoded.grad is not None
    assert bool(encoded.grad.abs().sum() > 0)
    assert [name for name, weight in decoder.named_parameters() if weight.grad is None] == []


Kind = type[SteppingDecoder] | type[PackedDecoder]
PRODUCTS = pytest.mark.parametrize(
    "kind", [SteppingDecoder, pytest.param(PackedDecoder, marks=pytest.mark.skipif(not can_pack(), reason="no oneDNN"))]
)


@PRODUCTS
@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_equal_the_whole_sequence_whatever_hypotheses_are_continued(variant: str, kind: Kind) -> None:
    """Random families of hypotheses of two utterances, one of which leaves, for longer than several sweeps.

    With packed weights the products of the shorter video's attention are multiplied out, those of the longer are not.
    """
    decoder = make_decoder(VARIANTS[variant])
    stepper = kind(make_decoder(VARIANTS[variant]))
    encoded, lengths = make_videos(19, 5)
    assert [folds(frames, DIMS.decoder_width, DIMS.decoder_heads) for frames in lengths.tolist()] == [False, True]
    mask = torch.arange(19) >= lengths[:, None]
    draw = torch.Generator().manual_seed(1)
    past = stepper.begin(encoded, lengths)
    tokens = torch.full((2, 1, 1), EOS)
    for step in range(4 * SWEEP_STEPS):
        found = stepper.step(tokens[:, :, -1], past)
        for row, video in enumerate(encoded):
            width = tokens.shape[1]
            whole = decoder(tokens[row], video.expand(width, -1, -1), mask[row].expand(width, -1))
            torch.testing.assert_close(found[row], whole[:, -1], atol=1e-4, rtol=1e-4)
        stay = torch.tensor([1] if step == 2 * SWEEP_STEPS else range(len(encoded)))
        encoded, mask = encoded[stay], mask[stay]
        parents = torch.randint(tokens.shape[1], (len(stay), 5), generator=draw)
        words = torch.randint(4, DIMS.vocabulary, (len(stay), 5, 1), generator=draw)
        past.follow(stay, parents)
        tokens = torch.cat([tokens[stay[:, None], parents], words], dim=2)


def test_a_shared_past_is_kept_once() -> None:
    stepper = SteppingDecoder(make_decoder())
    past = stepper.begin(*make_videos(9))
    stepper.step(torch.tensor([[EOS]]), past)
    for _ in range(40):
        past.follow(torch.tensor([0]), torch.zeros(1, 10, dtype=torch.int64))
        stepper.step(torch.full((1, 10), 5), past)
    assert past.words[0][0].shape[2] <= 40 + 2 * SWEEP_STEPS * 10  # of 40 * 10


@pytest.mark.skipif(not can_pack(), reason="no oneDNN")
def test_slots_that_no_hypothesis_needs_are_used_again() -> None:
    stepper = PackedDecoder(make_decoder())
    past = stepper.begin(*make_videos(9))
    stepper.step(torch.tensor([[EOS]]), past)
    for _ in range(40):
        past.follow(torch.tensor([0]), torch.zeros(1, 10, dtype=torch.int64))
        stepper.step(torch.full((1, 10), 5), past)
    slots = past.utterances[0].slots
    assert slots.visible.shape[1] <= (40 + 10) / COMPACT_BELOW
    assert slots.held.shape[3] <= (40 + 10) / COMPACT_BELOW + 2 * 10


@pytest.mark.skipif(not can_pack(), reason="no oneDNN")
def test_a_packed_decoder_holds_each_weight_once() -> None:
    """The decoder's own layers become the packed ones, and still compute whole sequences."""
    decoder, plain = make_decoder(), make_decoder()
    PackedDecoder(decoder)
    linear = sum(isinstance(module, torch.nn.Linear) for module in plain.modules())
    packed = [module for module in decoder.modules() if isinstance(module, PackedLinear)]
    assert len(packed) == linear
    assert not any(isinstance(module, torch.nn.Linear) for module in decoder.modules())
    encoded, _ = make_videos(6)
    tokens = torch.tensor([[EOS, 5, 6]])
    torch.testing.assert_close(decoder(tokens, encoded), plain(tokens, encoded), atol=1e-5, rtol=1e-5)


@PRODUCTS
@pytest.mark.parametrize("beam", [1, 5, 39])
def test_utterances_read_together_are_read_as_alone(beam: int, kind: Kind) -> None:
    decoder = kind(make_decoder())
    encoded, lengths = make_videos(12, 3, 30, 8, 21)
    encoded = encoded.clone()
    encoded[1, 3:] = float("1e3")  # what stands in the padding is nobody's business
    settings = BeamSettings(beam=beam)
    together = beam_search(decoder, encoded, lengths, settings)
    ended = {len(hypothesis.tokens) for found in together for hypothesis in found}
    assert len(ended) > 2  # else this proves little
    for number, length in enumerate(lengths.tolist()):
        alone = beam_search(decoder, encoded[number : number + 1, :length], lengths[number : number + 1], settings)
        assert_same(together[number], alone[0])


def test_prefixes_of_several_lengths_may_be_mixed() -> None:
    decoder = make_decoder()
    encoded, lengths = make_videos(12, 9, 15)
    prefixes = [[7, 8, 9], [], [30]]
    settings = BeamSettings(beam=5)
    together = beam_search(decoder, encoded, lengths, settings, prefixes)
    for number, (found, prefix) in enumerate(zip(together, prefixes, strict=True)):
        assert all(hypothesis.tokens[: len(prefix)].tolist() == prefix for hypothesis in found)
        one = slice(number, number + 1)
        alone = beam_search(decoder, encoded[one, : lengths[number]], lengths[one], settings, [prefix])
        assert_same(found, alone[0])


def test_a_score_is_the_decoders_own_log_probability_of_the_tokens() -> None:
    decoder = make_decoder()
    encoded, lengths = make_videos(10)
    settings = BeamSettings(beam=4, unkpen=0.5, temperature=1.5, lenpen=0.7)
    for hypothesis in beam_search(decoder, encoded, lengths, settings)[0]:
        tokens = torch.from_numpy(hypothesis.tokens)
        logits = decoder(torch.cat([torch.tensor([EOS]), tokens[:-1]])[None], encoded)[0]
        expected = torch.log_softmax(logits / 1.5, dim=1).gather(1, tokens[:, None])[:, 0] - 0.5 * tokens.eq(3)
        np.testing.assert_allclose(hypothesis.positional_scores, expected, atol=1e-5)
        assert hypothesis.score == pytest.approx(float(expected.sum()) / len(tokens) ** 0.7, abs=1e-5)


def test_all_readings_of_one_word_are_found_in_order() -> None:
    """Wide enough a beam and one word at most: every word and the unknown one, none twice, the likeliest first."""
    decoder = make_decoder()
    encoded, lengths = make_videos(10)
    (found,) = beam_search(decoder, encoded, lengths, BeamSettings(beam=100, max_len_a=0, max_len_b=1))
    assert sorted(hypothesis.tokens[0] for hypothesis in found) == [0, *range(3, DIMS.vocabulary)]
    assert all(hypothesis.tokens[1:].tolist() == [EOS] for hypothesis in found)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def make_sure_decoder(seed: int) -> Decoder:
    """One that is sure of a five-word sentence, as a trained one is: what to say follows from the position."""
    decoder = make_decoder(replace(DIMS, learned_positions=True, shared_output=False), seed)
    decoder.embed_positions.rows().mul_(30)
    sentence = torch.tensor([10, 11, 12, 13, 14, EOS])
    decoder.embed_out.mul_(0.3)
    decoder.embed_out[sentence] = decoder.embed_positions.rows()[2:8].sign()
    return decoder


@pytest.mark.parametrize("lenpen", [-0.5, 0.0, 1.0, 2.0])
def test_stopping_early_leaves_the_best_as_it_is(lenpen: float) -> None:
    encoded, lengths = make_videos(12, 40, 25, 33)
    settings = BeamSettings(beam=10, lenpen=lenpen)
    fewer = 0
    for seed in range(4):
        for decoder in (make_decoder(seed=seed), make_sure_decoder(seed)):
            whole = beam_search(decoder, encoded, lengths, settings)
            early = beam_search(decoder, encoded, lengths, replace(settings, early_stop=True))
            for all_found, some_found in zip(whole, early, strict=True):
                assert_same(some_found[:1], all_found[:1])
                fewer += len(some_found) < len(all_found)
    assert fewer > 0  # else nothing was stopped


@PRODUCTS
def test_half_precision_scores_stay_near(kind: Kind) -> None:
    decoder = make_decoder()
    encoded, lengths = make_videos(10, 7)
    settings = BeamSettings(beam=4)
    for half, full in zip(
        beam_search(kind(decoder, torch.bfloat16), encoded, lengths, settings),
        beam_search(decoder, encoded, lengths, settings),
        strict=True,
    ):
        assert half[0].score == pytest.approx(full[0].score, rel=0.1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"beam": 0}, "beam 0"),
        ({"min_len": 0}, "min_len 0"),
        ({"temperature": 0.0}, "temperature 0"),
        ({"no_repeat_ngram": 1}, "no_repeat_ngram 1"),
        ({"early_stop": True, "unkpen": -1.0}, "early_stop"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, float], complaint: str) -> None:
    with pytest.raises(TlbenchError, match=complaint):
        BeamSettings(**options)  # type: ignore[arg-type]


def test_an_utterance_too_short_is_refused() -> None:
    with pytest.raises(TlbenchError, match="3 frames allow 3 tokens"):
        beam_search(make_decoder(), *make_videos(3), BeamSettings(min_len=4))


def test_the_decoders_positions_bound_the_length() -> None:
    encoded, lengths = make_videos(100)
    found = beam_search(make_decoder(), encoded, lengths, BeamSettings(beam=2, min_len=63))
    assert {len(hypothesis.tokens) for hypothesis in found[0]} == {64}


def test_special_symbols_may_not_be_forced() -> None:
    with pytest.raises(TlbenchError, match="special symbol"):
        beam_search(make_decoder(), *make_videos(9), BeamSettings(), [[EOS]])


def test_weights_that_hold_nan_are_named_as_the_reason() -> None:
    decoder = make_decoder()
    decoder.layers[0].fc1.bias[0] = torch.nan
    with pytest.raises(TlbenchError, match="NaN"):
        beam_search(decoder, *make_videos(9), BeamSettings(beam=2))


def test_ctc_merges_repeats_drops_blanks_and_reads_no_padding() -> None:
    symbols = torch.tensor([[5, 5, 0, 5, 6, 6, 7], [0, 0, 4, 4, 9, 9, 9]])
    logits = torch.nn.functional.one_hot(symbols, 10).float()
    first, second = ctc_greedy(logits, torch.tensor([7, 4]))
    assert first.tolist() == [5, 5, 6, 7]
    assert second.tolist() == [4]
    assert first.dtype == np.int64

"""The Conformer against ESPnet1: encoder, decoder and error counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.formula import fill
from tests.live.packages import need, relative
from tlbench.metrics.text import count_character_errors, count_word_errors
from tlbench.observers.conformer.dims import Dims
from tlbench.observers.conformer.fast_model import JoinedDecoder, JoinedEncoder
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.original import causal, original_decoder, original_encoder
from tlbench.observers.conformer.tokenizer import EOS, VOCABULARY

need("espnet", "espnet.nets.pytorch_backend.conformer.encoder")
need("espnet", "espnet.nets.pytorch_backend.transformer.decoder")
counts = need("espnet", "espnet.nets.e2e_asr_common")
need("editdistance", "editdistance")

TOLERANCE = 1e-5  # of the largest value


@st.composite
def sizes(draw: st.DrawFn) -> Dims:
    heads = draw(st.sampled_from([1, 2, 4]))
    return Dims(
        visual_width=8,
        width=8 * heads * draw(st.integers(1, 4)),  # narrower layer norms enlarge rounding: 7e-6 at a width of 2
        heads=heads,
        hidden=draw(st.integers(1, 40)),
        kernel=2 * draw(st.integers(0, 8)) + 1,
        encoder_blocks=draw(st.integers(1, 3)),
        decoder_blocks=draw(st.integers(1, 3)),
    )


def network(dims: Dims, seed: int) -> ConformerModel:
    model = ConformerModel(dims).eval().requires_grad_(False)
    fill(model.state_dict(), seed)
    return model


@settings(max_examples=150, deadline=None)
@given(sizes(), st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_encoder_is_espnets(dims: Dims, lengths: list[int], seed: int) -> None:
    """The plain network on a padded batch, and the one that is used on each clip alone."""
    model = network(dims, seed)
    theirs = original_encoder(dims, model.state_dict())
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(len(lengths), max(lengths), dims.features, generator=draw)
    mask = torch.arange(max(lengths))[None, None] < torch.tensor(lengths)[:, None, None]
    expected = theirs(features, mask)[0]
    assert relative(model.encoder(features, mask), expected) < TOLERANCE
    clips = [rows[:length] for rows, length in zip(features, lengths, strict=True)]
    for clip, found in zip(clips, JoinedEncoder(model.encoder)(clips), strict=True):
        alone = theirs(clip[None], torch.ones(1, 1, len(clip), dtype=torch.bool))[0][0]
        assert relative(found, alone) < TOLERANCE


@settings(max_examples=150, deadline=None)
@given(sizes(), st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(1, 9), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_decoder_is_espnets(dims: Dims, lengths: list[int], characters: int, seed: int) -> None:
    model = network(dims, seed)
    theirs = original_decoder(dims, model.state_dict())
    draw = torch.Generator().manual_seed(seed)
    memory = torch.randn(len(lengths), max(lengths), dims.width, generator=draw)
    mask = torch.arange(max(lengths))[None, None] < torch.tensor(lengths)[:, None, None]
    prefix = torch.randint(1, VOCABULARY, (len(lengths), characters), generator=draw)
    prefix[:, 0] = EOS
    expected = theirs(prefix, causal(characters), memory, mask)[0]
    assert relative(model.decoder(prefix, memory, mask), expected) < TOLERANCE
    joined = JoinedDecoder(model.decoder)
    clips = [rows[:length] for rows, length in zip(memory, lengths, strict=True)]
    for found, row in zip(joined.teacher_forced(list(prefix), joined.memory(clips)), expected, strict=True):
        assert relative(found, row) < TOLERANCE


SYMBOLS = ["<blank>", "<space>", *"abcd", "<eos>"]
TEXTS = st.lists(st.sampled_from(["a", "ab", "abc", "b", "dd"]), min_size=1, max_size=6)


def _ids(words: list[str]) -> list[int]:
    return [SYMBOLS.index("<space>" if letter == " " else letter) for letter in " ".join(words)]


@settings(max_examples=1000, deadline=None)
@given(TEXTS, TEXTS)
def test_words_and_characters_are_counted_as_by_espnet(said: list[str], read: list[str]) -> None:
    """ErrorCalculator counts characters without spaces, and cuts the hypothesis to the length of the reference."""
    calculator = counts.ErrorCalculator(SYMBOLS, "<space>", "<blank>", report_cer=True, report_wer=True)
    target = _ids(said)
    hypothesis = _ids(read)
    padded = np.array([hypothesis + [0] * max(0, len(target) - len(hypothesis))])  # blanks are removed
    cer, wer = calculator(padded, np.array([target]))
    cut = "".join(" " if SYMBOLS[i] == "<space>" else SYMBOLS[i] for i in hypothesis[: len(target)])
    words = count_word_errors(said, cut.split())
    assert wer == pytest.approx(words.numerator / words.denominator)
    letters = count_character_errors("".join(said), cut.replace(" ", ""))
    assert cer == pytest.approx(letters.numerator / letters.denominator)

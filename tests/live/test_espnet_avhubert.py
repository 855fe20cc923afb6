"""AV-HuBERT's encoder against espnet's copy of it, its decoder and search against fairseq's."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.formula import fill
from tests.live.packages import need, relative
from tlbench.observers.avhubert.decode import BeamSettings, beam_search
from tlbench.observers.avhubert.decoder import EOS
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.original import (
    OriginalSequenceModel,
    generate,
    original_decoder,
    original_encoder,
    original_generator,
)

need("ve-fairseq", "fairseq.sequence_generator")
need("espnet", "espnet2.asr.encoder.avhubert_encoder")

TOLERANCE = 1e-5  # of the largest value


@st.composite
def sizes(draw: st.DrawFn) -> Dims:
    encoder_heads, decoder_heads = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2]))
    groups = draw(st.sampled_from([1, 2, 4]))
    return Dims(
        encoder_layers=draw(st.integers(1, 3)),
        encoder_width=4 * encoder_heads * draw(st.integers(1, 4)),
        encoder_ffn=draw(st.integers(1, 40)),
        encoder_heads=encoder_heads,
        encoder_prenorm=draw(st.booleans()),
        modality_fuse=draw(st.sampled_from(["concat", "add"])),
        positional_kernel=draw(st.integers(1, 16)),
        positional_groups=groups,
        decoder_layers=draw(st.integers(1, 3)),
        decoder_width=4 * decoder_heads * draw(st.integers(1, 4)),
        decoder_ffn=draw(st.integers(1, 40)),
        decoder_heads=decoder_heads,
        decoder_prenorm=draw(st.booleans()),
        vocabulary=draw(st.integers(8, 30)),
        embedding_scale=draw(st.booleans()),
        shared_output=draw(st.booleans()),
        learned_positions=draw(st.booleans()),
        max_target_positions=64,
        mask_embedding=104,
    )


def network(dims: Dims, seed: int) -> AVHubert:
    model = AVHubert(dims).eval().requires_grad_(False)
    fill(model.state_dict(), seed)
    return model


def mask_of(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]


@settings(max_examples=40, deadline=None)
@given(sizes(), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 2**31), st.sampled_from("va+"))
@torch.inference_mode()
def test_the_encoder_is_espnets(dims: Dims, lengths: list[int], seed: int, modality: str) -> None:
    model = network(dims, seed)
    theirs = original_encoder(dims, model.state_dict())
    draw = torch.Generator().manual_seed(seed)
    video = torch.randn(len(lengths), 1, max(lengths), 88, 88, generator=draw) if modality != "a" else None
    audio = torch.randn(len(lengths), 104, max(lengths), generator=draw) if modality != "v" else None
    mask = mask_of(lengths) if len(lengths) > 1 else None
    expected = theirs.extract_finetune({"video": video, "audio": audio}, padding_mask=mask)[0]
    found = model.encode(video, audio, mask)
    for row, length in enumerate(lengths):  # what is behind a clip is nobody's
        assert relative(found[row, :length], expected[row, :length]) < TOLERANCE


@settings(max_examples=50, deadline=None)
@given(sizes(), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 7), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_decoders_logits_are_fairseqs(dims: Dims, lengths: list[int], tokens: int, seed: int) -> None:
    model = network(dims, seed)
    theirs = original_decoder(dims, model.state_dict())
    draw = torch.Generator().manual_seed(seed)
    encoded = torch.randn(len(lengths), max(lengths), dims.encoder_width, generator=draw)
    words = torch.randint(4, dims.vocabulary, (len(lengths), tokens), generator=draw)
    words[:, 0] = EOS
    mask = mask_of(lengths)
    given_to = {"encoder_out": [encoded.transpose(0, 1)], "encoder_padding_mask": [mask]}
    assert relative(model.logits(words, encoded, mask), theirs(words, encoder_out=given_to)[0]) < TOLERANCE


@settings(max_examples=50, deadline=None)
@given(sizes(), st.lists(st.integers(3, 9), min_size=1, max_size=3), st.integers(1, 8), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_best_sentence_is_fairseqs(dims: Dims, lengths: list[int], beam: int, seed: int) -> None:
    """With networks. Two hypotheses may be as near to each other as rounding; then the scores are equal."""
    model = network(dims, seed)
    model.decoder.embed_tokens.weight *= 2
    theirs = original_decoder(dims, model.state_dict())
    encoded = torch.randn(len(lengths), max(lengths), dims.encoder_width, generator=torch.Generator().manual_seed(seed))
    chosen = BeamSettings(beam=beam)
    symbols = [str(number) for number in range(dims.vocabulary)]
    generator = original_generator(OriginalSequenceModel(theirs, encoded, mask_of(lengths)), symbols, chosen)
    expected = generate(generator, lengths)
    longest = [max(lengths)] * len(lengths)  # the original counts the frames of the padded batch
    found = beam_search(model.decoder, encoded, torch.tensor(lengths), chosen, counted=longest)
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_allclose([h.score for h in ours], [h.score for h in other], rtol=1e-4, atol=1e-5)
        gap = other[0].score - other[1].score if len(other) > 1 else 1.0
        if gap > 1e-4:
            assert ours[0].tokens.tolist() == other[0].tokens.tolist()

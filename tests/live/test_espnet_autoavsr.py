"""auto_avsr against ESPnet1, from which its code was copied: encoder, decoder, CTC prefix scores and beam search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.golden.formula import fill
from tests.live.packages import need, relative
from tlbench.observers.autoavsr.ctc_prefix import NEVER, CTCPrefixes
from tlbench.observers.autoavsr.decode import Hypothesis, beam_search
from tlbench.observers.autoavsr.dims import Dims
from tlbench.observers.autoavsr.fast_model import ClipEncoder, decoder_parts
from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observers.autoavsr.original import (
    original_ctc,
    original_decoder,
    original_encoder,
    original_search,
)
from tlbench.observing.incremental_decoder import SteppingDecoder

need("espnet", "espnet.nets.pytorch_backend.conformer.encoder")
need("espnet", "espnet.nets.pytorch_backend.transformer.decoder")
prefix_scores = need("espnet", "espnet.nets.ctc_prefix_score")
scorer_interface = need("espnet", "espnet.nets.scorer_interface")
need("espnet", "espnet.nets.batch_beam_search")

TOLERANCE = 1e-5  # of the largest value
IMPOSSIBLE = NEVER / 100  # scores below it contain what CTC calls impossible; float32 keeps nothing else of them


@st.composite
def sizes(draw: st.DrawFn) -> Dims:
    heads = draw(st.sampled_from([1, 2, 4]))
    return Dims(
        side=24,
        visual_width=8,
        width=8 * heads * draw(st.integers(1, 4)),
        heads=heads,
        hidden=draw(st.integers(1, 40)),
        kernel=2 * draw(st.integers(0, 8)) + 1,
        encoder_blocks=draw(st.integers(1, 3)),
        decoder_blocks=draw(st.integers(1, 3)),
        vocabulary=draw(st.integers(4, 30)),
    )


def network(dims: Dims, seed: int) -> AutoAVSRModel:
    model = AutoAVSRModel(dims).eval().requires_grad_(False)
    fill(model.state_dict(), seed)
    return model


@settings(max_examples=150, deadline=None)
@given(sizes(), st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_encoder_is_espnets(dims: Dims, lengths: list[int], seed: int) -> None:
    """The plain network on a padded batch, whose padding convolutions see, and the one that is used on each clip."""
    model = network(dims, seed)
    theirs = original_encoder(dims, model.state_dict())
    projected = torch.randn(len(lengths), max(lengths), dims.width, generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(max(lengths))[None, None] < torch.tensor(lengths)[:, None, None]
    assert relative(model.encoder(projected, mask, apart=False), theirs(projected, mask)[0]) < TOLERANCE
    alone = ClipEncoder(model)
    for row, length in zip(projected, lengths, strict=True):
        assert relative(alone.after_projection(row[:length]), theirs(row[None, :length], None)[0][0]) < TOLERANCE


@settings(max_examples=150, deadline=None)
@given(sizes(), st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(1, 9), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_decoder_is_espnets(dims: Dims, lengths: list[int], tokens: int, seed: int) -> None:
    """In padded batches with teacher forcing, and step by step as the search uses it."""
    model = network(dims, seed)
    theirs = original_decoder(dims, model.state_dict())
    draw = torch.Generator().manual_seed(seed)
    memory = torch.randn(len(lengths), max(lengths), dims.width, generator=draw)
    mask = torch.arange(max(lengths))[None, None] < torch.tensor(lengths)[:, None, None]
    prefix = torch.randint(1, dims.vocabulary, (len(lengths), tokens), generator=draw)
    prefix[:, 0] = model.end
    causal = torch.ones(1, tokens, tokens, dtype=torch.bool).tril()
    expected = theirs(prefix, causal, memory, mask)[0]
    assert relative(model.decoder(prefix, memory, mask), expected) < TOLERANCE
    stepper = SteppingDecoder(decoder_parts(model.decoder))
    past = stepper.begin(memory, torch.tensor(lengths))
    for place in range(tokens):
        logits = stepper.step(prefix[:, place, None], past)[:, 0]
        assert relative(logits, expected[:, place]) < TOLERANCE


@dataclass(frozen=True)
class Words:
    """CTC log-probabilities (T, V), and hypotheses that go on together: for each step the tokens that are added."""

    logs: Tensor
    steps: list[list[tuple[int, int]]]  # by step: (parent, token) of each hypothesis that goes on


@st.composite
def walks(draw: st.DrawFn) -> Words:
    """Random hypotheses of at most as many tokens as frames, tokens said twice included, which need one more frame."""
    vocabulary, frames = draw(st.integers(4, 9)), draw(st.integers(1, 12))
    seed, sharpness = draw(st.integers(0, 2**31)), draw(st.sampled_from([1.0, 4.0, 12.0]))
    drawn = torch.randn(frames, vocabulary, generator=torch.Generator().manual_seed(seed))
    count, steps = 1, []
    for _ in range(draw(st.integers(1, min(6, frames)))):
        after = draw(st.integers(1, 4))
        pairs = st.tuples(st.integers(0, count - 1), st.integers(1, vocabulary - 2))
        steps.append(draw(st.lists(pairs, min_size=after, max_size=after)))
        count = after
    return Words((sharpness * drawn).log_softmax(1), steps)


@settings(max_examples=1000, deadline=None)
@given(walks())
@torch.inference_mode()
def test_ctc_prefix_scores_are_espnets(case: Words) -> None:
    """Of every token after every hypothesis. What is impossible is -1e10 in theirs, and no less impossible in ours."""
    frames, vocabulary = case.logs.shape
    end = vocabulary - 1
    ours = CTCPrefixes(case.logs, end)
    theirs = prefix_scores.CTCPrefixScoreTH(case.logs[None].clone(), torch.tensor([frames]), 0, end)
    texts, state = [[end]], None
    before = torch.zeros(1)
    for step in case.steps:
        every = torch.arange(vocabulary).expand(len(texts), -1)
        gains, made = theirs(texts, state)
        expected = gains + before[:, None]
        found = ours.scores(every)
        possible = expected > IMPOSSIBLE
        assert torch.equal(found > IMPOSSIBLE, possible)
        np.testing.assert_allclose(found[possible], expected[possible], rtol=1e-5, atol=1e-4)
        parents, tokens = torch.tensor(step).T
        ours.follow(parents, tokens, found[parents, tokens])
        texts = [[*texts[parent], token] for parent, token in step]
        rows, sums = made[0], made[1]
        picked = sums[parents, tokens]
        state = (rows[:, :, parents, tokens], picked[:, None].expand(-1, vocabulary), 0, 0)
        before = picked


class Told(nn.Module):
    """In the place of espnet's CTC: the encoding is the log-probabilities."""

    def log_softmax(self, encoded: Tensor) -> Tensor:
        return encoded


@dataclass(frozen=True)
class Scorer:
    """Random logits that depend on all tokens so far."""

    vocabulary: int
    spread: float
    ending: float  # added to the logit of the end mark
    seed: int

    def logits(self, tokens: Tensor) -> Tensor:
        """(V,) float32 after (n,) tokens."""
        draw = np.random.default_rng([self.seed, *tokens.tolist()])
        logits = self.spread * draw.standard_normal(self.vocabulary)
        logits[-1] += self.ending
        return torch.from_numpy(logits.astype(np.float32))


class Theirs(scorer_interface.BatchScorerInterface, nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, scorer: Scorer) -> None:
        nn.Module.__init__(self)
        self.scorer = scorer

    def batch_score(self, ys: Tensor, states: list[Any], xs: Tensor) -> tuple[Tensor, list[Any]]:
        return torch.stack([self.scorer.logits(row) for row in ys]).log_softmax(1), states


class OursPast:
    def __init__(self) -> None:
        self.tokens = torch.empty(1, 1, 0, dtype=torch.int64)

    def follow(self, utterances: Tensor, parents: Tensor) -> None:
        self.tokens = self.tokens[utterances[:, None], parents]


class Ours(SteppingDecoder):
    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.vocabulary = scorer.vocabulary

    def begin(self, encoded: Tensor, lengths: Tensor) -> Any:
        return OursPast()

    def step(self, tokens: Tensor, past: Any) -> Tensor:
        past.tokens = torch.cat([past.tokens, tokens[..., None]], dim=2)
        return torch.stack([self.scorer.logits(row) for row in past.tokens[0]])[None]


def keeps_its_digits(one: Hypothesis, ctc_weight: float) -> bool:
    """Whether a score is the sum of its parts. One that ever had CTC's "impossible" in it is not, in float32."""
    parts = (1 - ctc_weight) * one.decoder + ctc_weight * one.ctc
    return one.score > IMPOSSIBLE and abs(one.score - parts) < 1e-2


def assert_same(ours: list[Hypothesis], theirs: list[Hypothesis], with_ctc: bool) -> None:
    """All hypotheses, in order. Without a weight CTC is not computed by espnet."""
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.tokens.tolist() == other.tokens.tolist()
        found, expected = ((one.score, one.decoder, one.ctc if with_ctc else 0.0) for one in (mine, other))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-3)


@settings(max_examples=1000, deadline=None)
@given(
    vocabulary=st.integers(5, 40),
    frames=st.integers(1, 9),
    beam=st.integers(1, 6),
    ctc_weight=st.sampled_from([0.0, 0.1, 0.5]),
    spread=st.sampled_from([1.0, 3.0]),
    ending=st.sampled_from([-2.0, 0.0, 2.0, 6.0]),
    seed=st.integers(0, 2**31),
)
@torch.inference_mode()
def test_every_hypothesis_is_that_of_espnets_search(
    vocabulary: int, frames: int, beam: int, ctc_weight: float, spread: float, ending: float, seed: int
) -> None:
    """On random decoders and CTC outputs, without ties; vocabularies smaller than the pre-beam too."""
    beam = min(beam, vocabulary - 2)  # with more, espnet takes what is impossible into the beam, see docs/live.md
    scorer = Scorer(vocabulary, spread, ending, seed)
    drawn = torch.randn(frames, vocabulary, generator=torch.Generator().manual_seed(seed))
    logs = (2 * drawn).log_softmax(1)
    expected = original_search(Theirs(scorer), Told(), vocabulary, beam, ctc_weight)(logs)
    found = beam_search(Ours(scorer), [logs], [logs], beam, ctc_weight)[0]
    assume(ctc_weight == 0 or all(keeps_its_digits(one, ctc_weight) for one in [*found, *expected]))
    assert_same(found, expected, with_ctc=ctc_weight > 0)


@settings(max_examples=100, deadline=None)
@given(sizes(), st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**31))
@torch.inference_mode()
def test_the_best_text_is_that_of_espnets_decoder_ctc_and_search(dims: Dims, frames: int, beam: int, seed: int) -> None:
    """With networks. Two hypotheses may be as near to each other as rounding; then the scores are equal."""
    model = network(dims, seed)
    state = model.state_dict()
    beam = min(beam, dims.vocabulary - 2)
    search = original_search(original_decoder(dims, state), original_ctc(dims, state), dims.vocabulary, beam)
    encoded = 3 * torch.randn(frames, dims.width, generator=torch.Generator().manual_seed(seed))
    expected = search(encoded)
    stepper = SteppingDecoder(decoder_parts(model.decoder))
    found = beam_search(stepper, [encoded], [model.ctc(encoded).log_softmax(-1)], beam)[0]
    assert found[0].score == pytest.approx(expected[0].score, rel=1e-4, abs=1e-4)
    if len(expected) == 1 or expected[0].score - expected[1].score > 1e-3:
        assert found[0].tokens.tolist() == expected[0].tokens.tolist()

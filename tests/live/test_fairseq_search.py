"""The beam search of AV-HuBERT against fairseq's SequenceGenerator and BeamSearch, on random decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.live.packages import need
from tlbench.observers.avhubert.decode import BeamSettings, Hypothesis, beam_search
from tlbench.observers.avhubert.decoder import EOS
from tlbench.observers.avhubert.incremental_decoder import SteppingDecoder
from tlbench.observers.avhubert.original import generate, original_generator

need("ve-fairseq", "fairseq.sequence_generator")

FRAMES = 3  # of the encoder's output, which these decoders only take the utterance's number from


@dataclass(frozen=True)
class Scorer:
    """Random logits that depend on the utterance and on all tokens so far.

    ``levels`` is the number of different logits: with few of them many continuations have equal sums.
    """

    vocabulary: int
    levels: int
    ending: float  # added to the logit of </s>
    seed: int

    def __call__(self, utterance: int, tokens: Tensor) -> Tensor:
        """(V,) float32 logits after (n,) tokens."""
        draw = np.random.default_rng([self.seed, utterance, *tokens.tolist()])
        logits = draw.integers(self.levels, size=self.vocabulary) * (4.0 / self.levels)
        logits[EOS] += self.ending
        return torch.from_numpy(logits.astype(np.float32))


class OursPast:
    """All tokens of each hypothesis, as :class:`SteppingDecoder`'s cache is reordered."""

    def __init__(self, utterances: list[int]) -> None:
        self.utterances = utterances
        self.tokens = torch.empty(len(utterances), 1, 0, dtype=torch.int64)

    def follow(self, utterances: Tensor, parents: Tensor) -> None:
        self.utterances = [self.utterances[row] for row in utterances.tolist()]
        self.tokens = self.tokens[utterances[:, None], parents]


@dataclass(frozen=True)
class OursDims:
    vocabulary: int
    max_target_positions: int = 64


class Ours(SteppingDecoder):
    """The scorer in the place of a network."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.dims = OursDims(scorer.vocabulary)  # type: ignore[assignment]

    def begin(self, encoded: Tensor, lengths: Tensor) -> Any:
        return OursPast(list(range(len(encoded))))

    def step(self, tokens: Tensor, past: Any) -> Tensor:
        past.tokens = torch.cat([past.tokens, tokens[..., None]], dim=2)
        return torch.stack(
            [
                torch.stack([self.scorer(which, row) for row in rows])
                for which, rows in zip(past.utterances, past.tokens, strict=True)
            ]
        )


class TheirEncoder(nn.Module):
    def forward_torchscript(self, net_input: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        return {"encoder_out": [torch.arange(len(net_input["src_tokens"]))]}

    def reorder_encoder_out(self, encoded: dict[str, list[Tensor]], order: Tensor) -> dict[str, list[Tensor]]:
        return {"encoder_out": [encoded["encoder_out"][0][order]]}


class TheirDecoder(nn.Module):
    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, tokens: Tensor, encoder_out: dict[str, list[Tensor]]) -> tuple[Tensor, None]:
        which = encoder_out["encoder_out"][0].tolist()
        rows = [self.scorer(utterance, row) for utterance, row in zip(which, tokens, strict=True)]
        return torch.stack(rows)[:, None], None


class Theirs(nn.Module):
    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.encoder = TheirEncoder()
        self.decoder = TheirDecoder(scorer)

    def max_decoder_positions(self) -> int:
        return OursDims.max_target_positions

    def get_normalized_probs(self, found: tuple[Tensor, None], log_probs: bool, sample: None) -> Tensor:
        return torch.log_softmax(found[0], dim=-1)


class BlockerOfTheTokensSoFar(nn.Module):
    """Gives fairseq's n-gram blocker the tokens so far, as the release that av_hubert pins does.

    fairseq 0.12 gives it the whole buffer, whose end is padding: it compares the padding with the n-grams, and blocks
    nothing.
    """

    def __init__(self, blocker: nn.Module) -> None:
        super().__init__()
        self.blocker = blocker

    def forward(self, tokens: Tensor, lprobs: Tensor, bsz: int, beam_size: int, step: int) -> Tensor:
        blocked: Tensor = self.blocker(tokens[:, : step + 1], lprobs, bsz, beam_size, step)
        return blocked


def assert_same(ours: list[list[Hypothesis]], theirs: list[list[Hypothesis]]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose([h.score for h in mine], [h.score for h in other], rtol=1e-5, atol=1e-6)
        assert [h.tokens.tolist() for h in mine] == [h.tokens.tolist() for h in other]
        for one, their in zip(mine, other, strict=True):
            np.testing.assert_allclose(one.positional_scores, their.positional_scores, rtol=1e-5, atol=1e-5)


Case = tuple[Scorer, BeamSettings, int, "list[list[int]] | None"]


@st.composite
def searches(draw: st.DrawFn, levels: int) -> Case:
    """A decoder, the settings of a search, the number of utterances, and their prefixes of one length."""
    vocabulary = draw(st.integers(6, 12))
    scorer = Scorer(vocabulary, levels, draw(st.sampled_from([-2.0, 0.0, 1.0])), draw(st.integers(0, 2**32 - 1)))
    chosen = BeamSettings(
        beam=draw(st.integers(1, vocabulary)),
        max_len_a=0.0,
        max_len_b=draw(st.integers(2, 6)),
        min_len=draw(st.integers(1, 2)),
        lenpen=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        unkpen=draw(st.sampled_from([0.0, 1.5])),
        normalise=draw(st.booleans()),
        temperature=draw(st.sampled_from([1.0, 0.5, 2.0])),
        no_repeat_ngram=draw(st.sampled_from([0, 0, 2, 3])),
    )
    utterances = draw(st.integers(1, 3))
    length = draw(st.sampled_from([0, 0, 1, 2]))
    words = st.lists(st.integers(4, vocabulary - 1), min_size=length, max_size=length)
    prefixes = draw(st.lists(words, min_size=utterances, max_size=utterances)) if length else None
    return scorer, chosen, utterances, prefixes


def check(case: Case) -> None:
    scorer, chosen, utterances, prefixes = case
    generator = original_generator(Theirs(scorer), [str(n) for n in range(scorer.vocabulary)], chosen)
    if chosen.no_repeat_ngram:
        generator.repeat_ngram_blocker = BlockerOfTheTokensSoFar(generator.repeat_ngram_blocker)
    theirs = generate(generator, [FRAMES] * utterances, prefixes)
    encoded, lengths = torch.zeros(utterances, FRAMES, 1), torch.full((utterances,), FRAMES)
    assert_same(beam_search(Ours(scorer), encoded, lengths, chosen, prefixes), theirs)


@settings(max_examples=1500, deadline=None)
@given(searches(levels=1_000_000))
def test_every_hypothesis_is_fairseqs(case: Case) -> None:
    check(case)


def first_of_equals(values: Tensor, k: int, dim: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """``torch.topk`` that takes the first of equal values."""
    ordered, places = values.sort(dim=dim, descending=largest, stable=True)
    return ordered.narrow(dim, 0, k), places.narrow(dim, 0, k)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from([2, 3, 8]).flatmap(searches))
def test_every_hypothesis_is_fairseqs_where_many_sums_are_equal(case: Case) -> None:
    """Which of equal sums ``torch.topk`` takes depends on the length of the row, and fairseq's rows are longer: they
    have places for hypotheses that there are not. With a rule for equal sums the two agree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "topk", first_of_equals)
        patch.setattr(Tensor, "topk", first_of_equals)
        check(case)

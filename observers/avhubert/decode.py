"""Decoding of AV-HuBERT: fairseq's beam search with :mod:`.incremental_decoder`, and greedy CTC.

The rules of the beam search are those of ``SequenceGenerator`` in facebookresearch/av_hubert
(``avhubert/sequence_generator.py``) with fairseq's ``search.BeamSearch``:

* Each step takes the best ``2 beam`` continuations of an utterance's hypotheses by summed log-probability. A ``</s>``
  among the first ``beam`` of them finishes its hypothesis, a ``</s>`` among the others is dropped, and the first
  ``beam`` other continuations go on.
* ``<pad>`` is never chosen, ``</s>`` not before ``min_len`` tokens, and only ``</s>`` at the maximum length.
* An utterance is done when ``beam`` hypotheses are finished, or at the maximum length. If its last step finishes more,
  the worst are dropped.
* The score of a finished hypothesis is its summed log-probability over (number of tokens with ``</s>``) ** ``lenpen``.
  Hypotheses are sorted by score; of equal scores, the one finished earlier comes first.
* Equal sums within a step have the order of ``torch.topk``.

The utterances of a batch share matrix products; the batch influences rounding only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlbench.errors import TlbenchError

from .decoder import EOS, PAD, UNK, Decoder
from .dims import Dims
from .incremental_decoder import SteppingDecoder


class Kept(Protocol):
    """What a stepper keeps between steps."""

    def follow(self, utterances: Tensor, parents: Tensor) -> None:
        """See :meth:`tlbench.observing.incremental_decoder.Past.follow`."""


P = TypeVar("P", bound=Kept)


class Stepper(Protocol[P]):
    """A decoder one token at a time: :class:`.incremental_decoder.SteppingDecoder`, which has the documentation, or
    :class:`.packed_decoder.PackedDecoder`.
    """

    dims: Dims

    def begin(self, encoded: Tensor, lengths: Tensor) -> P:
        """The cache before the first token."""

    def step(self, tokens: Tensor, past: P) -> Tensor:
        """The logits of the next token of each hypothesis."""


NEVER = float("-inf")
_NOT_FINITE = "the decoder's logits are NaN or infinite; its weights are damaged"
BLANK = 0  # fairseq criterions/ctc.py: <s>, unless the task names a blank symbol, which av_hubert's does not


@dataclass(frozen=True)
class BeamSettings:
    """Settings of the beam search. The defaults are the published protocol's (Sxjdwang/TalkLip, av_hubert
    ``conf/s2s_decode.yaml``).

    Attributes
    ----------
    beam : int
        Number of hypotheses; at most the size of the vocabulary - 1 has an effect.
    max_len_a, max_len_b : float, int
        The maximum length is ``int(max_len_a * frames + max_len_b)`` tokens without ``</s>``, and at most the number of
        the decoder's positions - 1.
    min_len : int
        Minimum number of tokens before ``</s>``, 1 or more.
    lenpen : float
        Exponent of the length in the score.
    unkpen : float
        Subtracted from the log-probability of ``<unk>``.
    normalise : bool
        False uses the summed log-probability as the score (fairseq ``--unnormalized``).
    temperature : float
        Divides the logits before the softmax.
    no_repeat_ngram : int
        Forbids repeating an n-gram of this length (the leading ``</s>`` counts); 0 allows all.
    early_stop : bool
        Stop when no hypothesis can become better than the best finished one. The best hypothesis stays the same, the
        others may be fewer; see :func:`best_possible_score`.
    """

    beam: int = 50
    max_len_a: float = 1.0
    max_len_b: int = 0
    min_len: int = 1
    lenpen: float = 1.0
    unkpen: float = 0.0
    normalise: bool = True
    temperature: float = 1.0
    no_repeat_ngram: int = 0
    early_stop: bool = False

    def __post_init__(self) -> None:
        for name, least in (("beam", 1), ("min_len", 1), ("no_repeat_ngram", 0)):
            if getattr(self, name) < least:
                raise TlbenchError(f"{name} {getattr(self, name)} of the beam search is too small; use {least} or more")
        if self.no_repeat_ngram == 1:
            raise TlbenchError("no_repeat_ngram 1 of the beam search would forbid </s>; use 0, or 2 or more")
        if not self.temperature > 0:
            raise TlbenchError(f"temperature {self.temperature} of the beam search is not above 0")
        if self.early_stop and self.unkpen < 0:
            raise TlbenchError(
                "early_stop of the beam search needs log probabilities of at most 0: unkpen of 0 or more"
            )

    def longest(self, frames: int, positions: int) -> int:
        """The maximum length of an utterance, without ``</s>``. Raises TlbenchError if it is below ``min_len``."""
        most = min(int(self.max_len_a * frames + self.max_len_b), positions - 1)
        if most < self.min_len:
            raise TlbenchError(
                f"{frames} frames allow {most} tokens, fewer than min_len {self.min_len}: raise max_len_b"
            )
        return most


@dataclass(frozen=True)
class Hypothesis:
    """A finished hypothesis of an utterance.

    Attributes
    ----------
    tokens : (n,) int64
        Ends with ``EOS``.
    score : float
        Hypotheses are sorted by it.
    positional_scores : (n,) float32
        Log-probability of each token, after unk penalty and temperature.
    """

    tokens: NDArray[np.int64]
    score: float
    positional_scores: NDArray[np.float32]


def beam_search(
    decoder: Decoder | Stepper[P],
    encoded: Tensor,
    lengths: Tensor,
    settings: BeamSettings,
    prefixes: Sequence[Sequence[int]] | None = None,
    counted: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Decode utterances.

    Parameters
    ----------
    decoder : Decoder, SteppingDecoder or PackedDecoder
        From a ``Decoder`` each call makes a ``SteppingDecoder``; for several calls, pass one.
    encoded : (B, T, C') float
        The encoder's output, on the decoder's device.
    lengths : (B,) int
        Number of frames of each utterance; the rest is padding.
    settings : BeamSettings
    prefixes : list of token lists or None
        Tokens that the hypotheses of each utterance must start with (may be empty; no special symbols).
    counted : list of int or None
        Number of frames for the maximum length; None for ``lengths``. The original uses the longest utterance of the
        padded batch, and with audio, (B, F, T), uses F = 104 by mistake. Pass these to reproduce its numbers.

    Returns
    -------
    list of lists of Hypothesis
        One list for each utterance, the best first.

    Raises
    ------
    TlbenchError
        If an utterance is too short for ``min_len``, or a prefix has a special symbol.
    NotFiniteLogitsError
        If all logits of an utterance are NaN or infinite.
    """
    stepper: Stepper[Any] = SteppingDecoder(decoder) if isinstance(decoder, Decoder) else decoder
    frames = lengths.tolist() if counted is None else list(counted)
    longest = [settings.longest(n, stepper.dims.max_target_positions) for n in frames]
    starts = [list(prefix) for prefix in prefixes] if prefixes is not None else [[] for _ in frames]
    if any(token <= UNK for start in starts for token in start):
        raise TlbenchError("a prefix of the beam search has a special symbol; use tokens of words only")
    with torch.inference_mode():
        return _Search(stepper, settings, longest, starts).run(encoded, lengths)


def best_possible_score(settings: BeamSettings, total: float, tokens: int, longest: int) -> float:
    """The highest score that any continuation of a hypothesis can have.

    A continuation adds log-probabilities, and none is above 0: a log softmax is ``x - (max + log(sum))`` with ``sum``
    at least 1, which is at most 0 even when rounded, and the unk penalty only lowers it (it may not be negative). So
    the sum of a continuation is at most ``total``, which is at most 0, and it has ``tokens + 1`` to ``longest + 1``
    tokens with ``</s>``. For a fixed sum of at most 0, the score ``total / n ** lenpen`` is monotone in n: it rises
    with n for a positive ``lenpen`` and falls for a negative one. So its maximum is at one of the two ends; rounding
    keeps the order.

    If this bound for the best running hypothesis is not above the best finished score, that finished hypothesis stays
    the best, because of equal scores the earlier one comes first.

    Parameters
    ----------
    settings : BeamSettings
    total : float
        Summed log-probability so far.
    tokens, longest : int
        Number of tokens so far, and at most, both without ``</s>``.
    """
    return max(float(_score(settings, torch.tensor(total), n)) for n in (tokens + 1, longest + 1))


def _score(settings: BeamSettings, totals: Tensor, tokens: int) -> Tensor:
    return totals / tokens**settings.lenpen if settings.normalise else totals


class NotFiniteLogitsError(TlbenchError):
    """All logits of an utterance are NaN or infinite, so nothing can be decoded."""


class _Search(Generic[P]):
    """The state of one call. Probabilities stay on their device; the rules run on the CPU, on few candidates.

    U is the number of utterances that are not done, W the number of hypotheses of each. An utterance with fewer (with a
    prefix there is only one) has further rows with the sum -inf, which are never chosen or finished.
    """

    def __init__(
        self, stepper: Stepper[P], settings: BeamSettings, longest: list[int], starts: list[list[int]]
    ) -> None:
        self.stepper = stepper
        self.settings = settings
        self.longest = longest
        self.starts = starts
        self.beam = min(settings.beam, stepper.dims.vocabulary - 1)
        self.finished: list[list[Hypothesis]] = [[] for _ in longest]

    def run(self, encoded: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        past = self.stepper.begin(encoded, lengths)
        active = list(range(len(self.longest)))
        tokens = torch.full((len(active), 1, 1), EOS)  # (U, W, step + 1)
        sums = torch.zeros(len(active), 1, 1)  # (U, W, step + 1) summed log-probabilities, 0 before the first token
        step = 0
        while active:
            logits = self.stepper.step(tokens[:, :, -1].to(encoded.device), past)
            scores, parents, words = self._candidates(self._allowed(logits, tokens, active, step), sums[:, :, -1])
            ends = words.eq(EOS) & scores.ne(NEVER)
            self._finish(active, ends, scores, parents, tokens, sums, step)
            order = ends.byte().argsort(dim=1, stable=True)[:, : self.beam]  # the continuations that go on, best first
            scores, parents, words = (found.gather(1, order) for found in (scores, parents, words))
            step += 1
            stay = [row for row, which in enumerate(active) if self._goes_on(which, float(scores[row, 0]), step)]
            active = [active[row] for row in stay]
            if not active:
                break
            rows = torch.tensor(stay)
            width = int(scores[rows].ne(NEVER).sum(1).max())
            if not scores[rows, 0].ne(NEVER).all():
                raise NotFiniteLogitsError(_NOT_FINITE)
            scores, parents, words = (found[rows, :width] for found in (scores, parents, words))
            past.follow(rows.to(encoded.device), parents.to(encoded.device))
            tokens = torch.cat([tokens[rows[:, None], parents], words[..., None]], dim=2)
            sums = torch.cat([sums[rows[:, None], parents], scores[..., None]], dim=2)
        if not all(self.finished):  # at its maximum length an utterance ends, unless its logits are no numbers
            raise NotFiniteLogitsError(_NOT_FINITE)
        return [sorted(found, key=lambda hypothesis: -hypothesis.score) for found in self.finished]  # stable

    def _allowed(self, logits: Tensor, tokens: Tensor, active: list[int], step: int) -> Tensor:
        """(U, W, V) float32 log-probabilities, -inf for every token that is not allowed next."""
        settings = self.settings
        found = torch.log_softmax(logits.float() / settings.temperature, dim=2)
        found.masked_fill_(found.isnan(), NEVER)
        found[:, :, PAD] = NEVER
        found[:, :, UNK] -= settings.unkpen
        for row, which in enumerate(active):
            start = self.starts[which]
            if step >= self.longest[which]:
                _only(found[row], EOS)
            elif step < len(start):
                _only(found[row], start[step])
            elif step < settings.min_len:
                found[row, :, EOS] = NEVER
        if 0 < settings.no_repeat_ngram <= step + 1:
            runs = tokens.unfold(2, settings.no_repeat_ngram, 1)  # (U, W, runs, n)
            tail = tokens[:, :, None, step + 2 - settings.no_repeat_ngram :]
            rows, hypotheses, copied = runs[..., :-1].eq(tail).all(3).nonzero(as_tuple=True)
            found[rows, hypotheses, runs[rows, hypotheses, copied, -1]] = NEVER
        return found

    def _candidates(self, found: Tensor, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best sums (U, k), the hypotheses that they continue, and their tokens, on the CPU."""
        utterances, width, vocabulary = found.shape
        totals = (found + sums.to(found.device)[..., None]).view(utterances, -1)
        scores, places = totals.topk(min(2 * self.beam, width * vocabulary), dim=1)
        scores, places = scores.cpu(), places.cpu()
        return scores, places // vocabulary, places % vocabulary

    def _finish(
        self, active: list[int], ends: Tensor, scores: Tensor, parents: Tensor, tokens: Tensor, sums: Tensor, step: int
    ) -> None:
        """Store the hypotheses that end in this step; ``ends``, ``scores`` and ``parents`` are (U, k)."""
        ranked = _score(self.settings, scores, step + 1)
        for row, rank in ends[:, : self.beam].nonzero().tolist():
            finished = self.finished[active[row]]
            if len(finished) == self.beam:
                continue
            parent = int(parents[row, rank])
            whole = torch.cat([tokens[row, parent, 1:], torch.tensor([EOS])])
            trail = torch.cat([sums[row, parent], scores[row, rank : rank + 1]])
            finished.append(Hypothesis(whole.numpy(), float(ranked[row, rank]), trail.diff().numpy()))

    def _goes_on(self, which: int, best_alive: float, tokens: int) -> bool:
        """Whether an utterance goes on; ``tokens`` and ``best_alive`` are of its best running hypothesis."""
        finished, longest = self.finished[which], self.longest[which]
        if len(finished) == self.beam or tokens > longest:
            return False
        if not (self.settings.early_stop and finished):
            return True
        best = max(hypothesis.score for hypothesis in finished)
        return best_possible_score(self.settings, best_alive, tokens, longest) > best


def _only(found: Tensor, token: int) -> None:
    """Set all of the (W, V) log-probabilities to -inf but one token's."""
    kept = found[:, token].clone()
    found.fill_(NEVER)
    found[:, token] = kept


def ctc_greedy(logits: Tensor, lengths: Tensor) -> list[NDArray[np.int64]]:
    """Greedy CTC decoding as in fairseq's validation (``criterions/ctc.py``).

    The best symbol of each frame, repetitions merged, blanks dropped.

    Parameters
    ----------
    logits : (B, T, V) float
        Of the symbols at each frame, before or after the softmax.
    lengths : (B,) int
        Number of frames of each utterance; the rest is padding.

    Returns
    -------
    list of (n,) int64
        Token ids; empty for an utterance of blanks.
    """
    decoded = []
    for symbols, length in zip(logits.argmax(2).cpu(), lengths.tolist(), strict=True):
        merged = symbols[:length].unique_consecutive().numpy()
        decoded.append(merged[merged != BLANK])
    return decoded

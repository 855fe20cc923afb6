"""The beam search of AV-HuBERT: fairseq's rules, on the fast steps of :mod:`.stepping`.

The rules are those of ``SequenceGenerator`` as facebookresearch/av_hubert carries it
(``avhubert/sequence_generator.py``) with fairseq's ``search.BeamSearch``:

* Every step looks at the best ``2 beam`` continuations of all hypotheses of an utterance by their summed log
  probabilities. Those of the first ``beam`` of them that are ``</s>`` are finished; a ``</s>`` among the other half is
  dropped; the first ``beam`` continuations which are not ``</s>`` go on.
* ``<pad>`` is never chosen, ``</s>`` not before ``min_len`` tokens, and nothing else at the greatest length.
* An utterance is done when ``beam`` hypotheses are finished, or at the greatest length. What its last step finishes
  beyond ``beam`` is dropped, the worst candidates first.
* A finished hypothesis' score is its summed log probability over (tokens, ``</s>`` included) ** ``lenpen``. Hypotheses
  are sorted by it; of equal ones the one finished first stands first.
* Equal sums within a step are ordered as ``torch.topk`` leaves them.

Utterances of a batch share matrix products and nothing else, so that who else is in the batch changes no more than the
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlbench.errors import TlbenchError

from .decoder import EOS, PAD, UNK, Decoder
from .incremental_decoder import SteppingDecoder

NEVER = float("-inf")
BLANK = 0  # fairseq criterions/ctc.py: <s>, unless the task names a blank symbol, which av_hubert's does not


@dataclass(frozen=True)
class BeamSettings:
    """How to search. The defaults are the published protocol's (Sxjdwang/TalkLip, av_hubert ``conf/s2s_decode.yaml``).

    Attributes
    ----------
    beam : int
        Hypotheses kept; more than the vocabulary less one makes no difference.
    max_len_a, max_len_b : float, int
        The greatest length is ``int(max_len_a * frames + max_len_b)`` tokens without ``</s>``, or as many as the
        decoder has positions for, less one.
    min_len : int
        Fewest tokens before ``</s>``; at least 1.
    lenpen : float
        Exponent of the length in the score.
    unkpen : float
        Subtracted from the log probability of ``<unk>``.
    normalise : bool
        False leaves sums of log probabilities as scores (fairseq ``--unnormalized``).
    temperature : float
        Divides the decoder's scores before the softmax.
    no_repeat_ngram : int
        Forbids a second copy of any run of so many tokens (the leading ``</s>`` counts); 0 forbids nothing.
    early_stop : bool
        Stop as soon as no hypothesis can become better than the best finished one. The best hypothesis is the same, the
        others may be fewer. See :func:`best_possible_score` for why.
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
        """Most tokens, ``</s>`` not counted, for an utterance of ``frames``. Raises TlbenchError below ``min_len``."""
        most = min(int(self.max_len_a * frames + self.max_len_b), positions - 1)
        if most < self.min_len:
            raise TlbenchError(
                f"{frames} frames allow {most} tokens, fewer than min_len {self.min_len}: raise max_len_b"
            )
        return most


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance.

    Attributes
    ----------
    tokens : (n,) int64
        Ends with ``EOS``.
    score : float
        What hypotheses are sorted by.
    positional_scores : (n,) float32
        Log probability of each token, after unk penalty and temperature.
    """

    tokens: NDArray[np.int64]
    score: float
    positional_scores: NDArray[np.float32]


def beam_search(
    decoder: Decoder | SteppingDecoder,
    encoded: Tensor,
    lengths: Tensor,
    settings: BeamSettings,
    prefixes: Sequence[Sequence[int]] | None = None,
    counted: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Read utterances.

    Parameters
    ----------
    decoder : Decoder or SteppingDecoder
        A ``Decoder`` is made ready for searching at each call; who calls often should keep a ``SteppingDecoder``.
    encoded : (B, T, C') float
        The encoder's output, on the decoder's device.
    lengths : (B,) int
        Frames of each utterance; the rest is padding.
    settings : BeamSettings
    prefixes : list of token lists or None
        With what the hypotheses of each utterance have to begin (may be empty; no special symbols).
    counted : list of int or None
        How many frames count for the greatest length; None for ``lengths``. The original counts the longest utterance
        of the padded batch, and with sound, (B, F, T), takes F for T: 104. Give these to get its numbers.

    Returns
    -------
    list of lists of Hypothesis
        One list an utterance, the best first.

    Raises
    ------
    TlbenchError
        An utterance too short for ``min_len``, a special symbol in a prefix, or weights that give no probability.
    """
    stepper = decoder if isinstance(decoder, SteppingDecoder) else SteppingDecoder(decoder)
    frames = lengths.tolist() if counted is None else list(counted)
    longest = [settings.longest(n, stepper.dims.max_target_positions) for n in frames]
    starts = [list(prefix) for prefix in prefixes] if prefixes is not None else [[] for _ in frames]
    if any(token <= UNK for start in starts for token in start):
        raise TlbenchError("a prefix of the beam search holds a special symbol; only words may be forced")
    with torch.inference_mode():
        return _Search(stepper, settings, longest, starts).run(encoded, lengths)


def best_possible_score(settings: BeamSettings, total: float, tokens: int, longest: int) -> float:
    """The highest score any continuation of a hypothesis can come to.

    A continuation adds log probabilities, and none is above 0: a log softmax is ``x - (max + log(sum))`` with ``sum``
    at least 1, which is never above 0, not even rounded, and the unk penalty only lowers it (that is why it may not be
    negative). So its sum is at most ``total``, itself at most 0, and it ends with ``tokens + 1`` to ``longest + 1``
    tokens (``</s>`` counted). Of a fixed sum of at most 0, the score ``total / n ** lenpen`` is monotone in n: it rises
    for ``lenpen`` above 0 and falls for one below. So its maximum is at one of the two ends; rounding keeps that order.

    Where this bound, taken of the best hypothesis alive, is no higher than the best finished score, whatever may yet be
    finished is sorted behind that one, for of equal scores the earlier stands first: it stays the best.

    Parameters
    ----------
    settings : BeamSettings
    total : float
        Summed log probabilities so far.
    tokens, longest : int
        Tokens so far, and at most, both without ``</s>``.
    """
    return max(float(_score(settings, torch.tensor(total), n)) for n in (tokens + 1, longest + 1))


def _score(settings: BeamSettings, totals: Tensor, tokens: int) -> Tensor:
    return totals / tokens**settings.lenpen if settings.normalise else totals


class _Search:
    """One call's search. Probabilities stay on their device; the rules, on few candidates, are carried out on the CPU.

    U are the utterances not done yet, W the hypotheses of each. An utterance with fewer (under a prefix there is but
    one) is filled up with rows whose sum is -inf: these can be neither chosen nor finished.
    """

    def __init__(
        self, stepper: SteppingDecoder, settings: BeamSettings, longest: list[int], starts: list[list[int]]
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
        sums = torch.zeros(len(active), 1, 1)  # (U, W, step + 1) summed log probabilities, 0 before the first token
        step = 0
        while active:
            logits = self.stepper.step(tokens[:, :, -1].to(encoded.device), past)
            scores, parents, words = self._candidates(self._allowed(logits, tokens, active, step), sums[:, :, -1])
            ends = words.eq(EOS) & scores.ne(NEVER)
            self._finish(active, ends, scores, parents, tokens, sums, step)
            order = ends.byte().argsort(dim=1, stable=True)[:, : self.beam]  # those that go on, best first
            scores, parents, words = (found.gather(1, order) for found in (scores, parents, words))
            step += 1
            stay = [row for row, which in enumerate(active) if self._goes_on(which, float(scores[row, 0]), step)]
            active = [active[row] for row in stay]
            if not active:
                break
            rows = torch.tensor(stay)
            width = int(scores[rows].ne(NEVER).sum(1).max())
            if not scores[rows, 0].ne(NEVER).all():
                raise TlbenchError("the decoder gives no token a probability: its weights hold NaN or infinity")
            scores, parents, words = (found[rows, :width] for found in (scores, parents, words))
            past.follow(rows.to(encoded.device), parents.to(encoded.device))
            tokens = torch.cat([tokens[rows[:, None], parents], words[..., None]], dim=2)
            sums = torch.cat([sums[rows[:, None], parents], scores[..., None]], dim=2)
        return [sorted(found, key=lambda hypothesis: -hypothesis.score) for found in self.finished]  # stable

    def _allowed(self, logits: Tensor, tokens: Tensor, active: list[int], step: int) -> Tensor:
        """Log probabilities (U, W, V) float32 with all that may not come next at -inf."""
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
        """The best sums (U, k), the hypotheses which they continue, and their tokens, on the CPU."""
        utterances, width, vocabulary = found.shape
        totals = (found + sums.to(found.device)[..., None]).view(utterances, -1)
        scores, places = totals.topk(min(2 * self.beam, width * vocabulary), dim=1)
        scores, places = scores.cpu(), places.cpu()
        return scores, places // vocabulary, places % vocabulary

    def _finish(
        self, active: list[int], ends: Tensor, scores: Tensor, parents: Tensor, tokens: Tensor, sums: Tensor, step: int
    ) -> None:
        """Take the hypotheses that have just ended; ``ends``, ``scores`` and ``parents`` are (U, k)."""
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
        """Whether an utterance is not done; its best hypothesis alive has ``tokens`` with the sum ``best_alive``."""
        finished, longest = self.finished[which], self.longest[which]
        if len(finished) == self.beam or tokens > longest:
            return False
        if not (self.settings.early_stop and finished):
            return True
        best = max(hypothesis.score for hypothesis in finished)
        return best_possible_score(self.settings, best_alive, tokens, longest) > best


def _only(found: Tensor, token: int) -> None:
    """Leave of the log probabilities (W, V) only one token's."""
    kept = found[:, token].clone()
    found.fill_(NEVER)
    found[:, token] = kept


def ctc_greedy(logits: Tensor, lengths: Tensor) -> list[NDArray[np.int64]]:
    """The greedy reading of each utterance.

    Parameters
    ----------
    logits : (B, T, V) float
        Scores of the symbols at each frame, before or after the softmax.
    lengths : (B,) int
        Frames of each utterance; what comes after is padding and not read.

    Returns
    -------
    list of (n,) int64
        Token ids; none for an utterance of blanks.
    """
    readings = []
    for symbols, length in zip(logits.argmax(2).cpu(), lengths.tolist(), strict=True):
        merged = symbols[:length].unique_consecutive().numpy()
        readings.append(merged[merged != BLANK])
    return readings

"""Decoding of auto_avsr: the original's beam search with attention and CTC, and greedy CTC.

The rules are those of ``BatchBeamSearch`` in mpc001/auto_avsr at 182b628 (``espnet/nets/batch_beam_search.py``,
``beam_search.py``, ``e2e_asr_common.py``), with the settings of its ``lightning.py``:

* The score of a hypothesis is 0.9 times the decoder's log-probabilities and 0.1 times CTC's of the prefix, in float32,
  without language model and length bonus, and without normalisation by length.
* At each step, a hypothesis is continued by the ``int(1.5 beam)`` tokens that the decoder scores best, and by the end
  mark. The best ``beam`` of all continuations are kept; those that end leave the beam, and the next step fills it.
* A text has at most as many tokens as the clip has frames. In the last step the end mark is appended to every
  hypothesis without a score, also to one that has just ended.
* The search also stops when, for each of three successive lengths, the best ended hypothesis is more than 10 below the
  best of all.
* Hypotheses are sorted by score; of equal scores, the one that ended earlier comes first.

The clips of a batch share matrix products; the batch influences rounding only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.observing.incremental_decoder import SteppingDecoder

from .ctc_prefix import CTCPrefixes
from .model import BLANK

BEAM = 40
CTC_WEIGHT = 0.1
PRE_BEAM = 1.5  # times the beam
END_LENGTHS = 3  # M of end_detect
END_MARGIN = -10.0  # D_end of end_detect


@dataclass(frozen=True)
class Hypothesis:
    """``tokens`` (n,) int64 begin and end with the end mark; sums of log-probabilities are not weighted."""

    tokens: Tensor
    score: float
    decoder: float
    ctc: float


class NotFiniteScoresError(TlbenchError):
    """A clip's scores are NaN or infinite, so nothing can be decoded."""


class _Beam:
    """The hypotheses of one clip: n running ones, best first, and the ended ones."""

    def __init__(self, index: int, frames: int, logs: Tensor, end: int, settings: _Settings) -> None:
        self.index = index
        self.frames = frames
        self.end = end
        self.settings = settings
        self.prefixes = CTCPrefixes(logs, end)
        self.tokens = torch.full((1, 1), end)  # (n, step + 1)
        self.sums = torch.zeros(3, 1)  # (3, n) float32: score, decoder, CTC
        self.ended: list[Hypothesis] = []

    def advance(self, logs: Tensor, step: int) -> Tensor:
        """Append a token by (n, V) float32 log-probabilities. Returns the (n',) parents of those that go on."""
        candidates, decoder = self._candidates(logs)
        ctc_scores, ctc = self.prefixes.gains(candidates)
        weight = self.settings.ctc_weight
        totals = ((1 - weight) * decoder + weight * ctc) + self.sums[0, :, None]  # (n, P)
        if not bool(totals.isfinite().any()) or bool(totals.isnan().any()):
            raise NotFiniteScoresError("the network's scores are NaN or infinite; its weights are damaged")
        scores, places = totals.flatten().topk(self.settings.beam)
        parents, columns = places // totals.shape[1], places % totals.shape[1]
        words = candidates[parents, columns]
        gained = torch.stack([decoder[parents, columns], ctc[parents, columns]])
        self.sums = torch.cat([scores[None], self.sums[1:, parents] + gained])
        self.tokens = torch.cat([self.tokens[parents], words[:, None]], dim=1)
        last = step == self.frames - 1
        if last:
            self.tokens = torch.cat([self.tokens, torch.full((len(words), 1), self.end)], dim=1)
        ends = self.tokens[:, -1].eq(self.end)
        for row in ends.nonzero().flatten().tolist():
            self.ended.append(Hypothesis(self.tokens[row], *self.sums[:, row].tolist()))
        on = (~ends).nonzero().flatten()
        if not len(on) or self._finished(step):
            return on[:0]
        self.tokens, self.sums = self.tokens[on], self.sums[:, on]
        self.prefixes.follow(parents[on], words[on], ctc_scores[parents[on], columns[on]])
        return parents[on]

    def _candidates(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens that each hypothesis may go on with, and their log-probabilities, (n, P) each."""
        vocabulary = logs.shape[1]
        count = int(PRE_BEAM * self.settings.beam)
        if count >= vocabulary:
            return torch.arange(vocabulary).expand(len(logs), -1), logs
        decoder, candidates = logs.topk(count)
        ends = logs[:, self.end :]
        ends = ends.masked_fill(candidates.eq(self.end).any(1, keepdim=True), -torch.inf)  # it is there already
        return (
            torch.cat([candidates, torch.full((len(logs), 1), self.end)], dim=1),
            torch.cat([decoder, ends], dim=1),
        )

    def _finished(self, step: int) -> bool:
        """Whether longer hypotheses have stopped being good (``end_detect``)."""
        if not self.ended:
            return False
        best = max(one.score for one in self.ended)
        for length in range(step, step - END_LENGTHS, -1):
            same = [one.score for one in self.ended if len(one.tokens) == length]
            if not same or not max(same) - best < END_MARGIN:
                return False
        return True

    def results(self) -> list[Hypothesis]:
        return sorted(self.ended, key=lambda one: -one.score)  # stable


@dataclass(frozen=True)
class _Settings:
    beam: int
    ctc_weight: float


def beam_search(
    decoder: SteppingDecoder,
    encoded: Sequence[Tensor],
    ctc_logs: Sequence[Tensor],
    beam: int = BEAM,
    ctc_weight: float = CTC_WEIGHT,
) -> list[list[Hypothesis]]:
    """Decode clips.

    Parameters
    ----------
    decoder : SteppingDecoder
        Its last token is the end mark.
    encoded : sequence of (T, 768) float
        The encoding of each clip, one frame or more.
    ctc_logs : sequence of (T, V) float
        The CTC output's log-probabilities of each clip.
    beam : int
    ctc_weight : float
        The decoder has the rest.

    Returns
    -------
    list of lists of Hypothesis
        Of each clip, the best first.

    Raises
    ------
    TlbenchError
        If the beam is larger than the vocabulary.
    NotFiniteScoresError
        If a clip's scores are NaN or infinite.
    """
    if not 1 <= beam <= decoder.vocabulary:
        raise TlbenchError(f"beam {beam} of the beam search: use 1 to {decoder.vocabulary}, the number of tokens")
    settings = _Settings(beam, ctc_weight)
    with torch.inference_mode():
        return _search(decoder, encoded, ctc_logs, settings)


def _search(
    decoder: SteppingDecoder, encoded: Sequence[Tensor], ctc_logs: Sequence[Tensor], settings: _Settings
) -> list[list[Hypothesis]]:
    device = encoded[0].device
    lengths = torch.tensor([len(features) for features in encoded])
    past = decoder.begin(torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True), lengths)
    beams = [
        _Beam(index, len(features), logs, decoder.vocabulary - 1, settings)
        for index, (features, logs) in enumerate(zip(encoded, ctc_logs, strict=True))
    ]
    running = beams
    step = 0
    while running:
        last_tokens = [one.tokens[:, -1] for one in running]
        logits = decoder.step(_rectangle(last_tokens).to(device), past)
        logs = logits.float().log_softmax(dim=2).cpu()
        parents = [one.advance(logs[row, : len(one.tokens)], step) for row, one in enumerate(running)]
        stay = [row for row, own in enumerate(parents) if len(own)]
        running = [running[row] for row in stay]
        if running:
            past.follow(torch.tensor(stay).to(device), _rectangle([parents[row] for row in stay]).to(device))
        step += 1
    return [one.results() for one in beams]


def _rectangle(rows: Sequence[Tensor]) -> Tensor:
    """(U, W) int64 of U rows; a shorter row repeats its first number."""
    width = max(map(len, rows))
    return torch.stack([torch.cat([row, row[:1].expand(width - len(row))]) for row in rows])


def ctc_greedy(logits: Tensor) -> Tensor:
    """(n,) int64 tokens of (T, V) CTC logits: the best of each frame, without repetitions and blanks."""
    best: Tensor = torch.unique_consecutive(logits.argmax(dim=-1))
    return best[best != BLANK]

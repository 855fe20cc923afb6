"""Decoding: teacher forcing as published, and free decoding by beam search or CTC.

Free decoding is not part of the published protocol. Its rules are tlbench's own:

- Attention beam search with espnet's defaults (espnet/espnet, ``espnet2/bin/asr_inference.py``): beam 20; the score of
  a hypothesis is the sum of its characters' log-probabilities with the end mark's, without a length bonus, language
  model or CTC. As in espnet, a hypothesis that ends uses a place of the beam at that step only, and no hypothesis has
  more characters than the clip has frames.
- The search stops when no running hypothesis has a better score than the best ended one. Scores only fall, so the
result
  is that of a complete search; espnet's own end detection is a heuristic.
- The blank symbol is never chosen, because it belongs to CTC.
- CTC greedy decoding: the best symbol of each frame, without repetitions and blanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .fast_model import ClipMemory, JoinedDecoder, PrefixCache
from .tokenizer import BLANK, EOS, VOCABULARY

BEAM = 20


def teacher_forced_ids(
    decoder: JoinedDecoder, memory: Sequence[ClipMemory], references: Sequence[Tensor]
) -> list[Tensor]:
    """The character that the decoder predicts at each position of the reference, given the reference before it.

    This is the argmax of :func:`teacher_forced_logits`. It may contain end marks (39) and blanks (0).

    Parameters
    ----------
    decoder, memory, references
        As there.

    Returns
    -------
    list of (n,) int64
    """
    return [logits.argmax(dim=-1) for logits in teacher_forced_logits(decoder, memory, references)]


def teacher_forced_logits(
    decoder: JoinedDecoder, memory: Sequence[ClipMemory], references: Sequence[Tensor]
) -> list[Tensor]:
    """The decoder's logits at each position of the reference, given the reference before it.

    They are cut to the reference's length, as in ``evaluation/teacher_force_wer.py``.

    Parameters
    ----------
    decoder : JoinedDecoder
    memory : sequence of ClipMemory
        Of each clip.
    references : sequence of (n,) int64
        The transcript of each clip.

    Returns
    -------
    list of (n, 40) float
    """
    prefixes = [torch.cat([reference.new_tensor([EOS]), reference[:-1]]) for reference in references]
    return decoder.teacher_forced(prefixes, memory)


def ctc_greedy(logits: Tensor) -> Tensor:
    """(n,) int64 characters of (T, 40) CTC logits."""
    best: Tensor = torch.unique_consecutive(logits.argmax(dim=-1))
    return best[best != BLANK]


@dataclass(frozen=True)
class Hypothesis:
    """``ids`` (n,) int64 without the end mark; ``score`` is the log-probability with the end mark."""

    ids: Tensor
    score: float


@dataclass
class _Beam:
    """The running hypotheses of one clip, best first, and the best ended one."""

    clip: int
    ids: Tensor  # (k, n) int64; the first character is 39
    scores: Tensor  # (k,) float64
    best: Hypothesis

    def advance(self, logs: Tensor, beam: int, last: bool) -> Tensor:
        """Append a character by (k, 40) log-probabilities. Returns the (k',) parents of the running hypotheses."""
        if last:
            only_end = torch.full_like(logs, -torch.inf)
            only_end[:, EOS] = logs[:, EOS]
            logs = only_end
        totals = (self.scores[:, None] + logs).flatten()
        scores, places = totals.topk(min(beam, len(totals)))
        parents, characters = places // VOCABULARY, places % VOCABULARY
        ends = (characters == EOS).nonzero().flatten()
        if len(ends) and float(scores[ends[0]]) > self.best.score:
            self.best = Hypothesis(self.ids[parents[ends[0]], 1:], float(scores[ends[0]]))
        running = (characters != EOS) & (scores > self.best.score)
        parents = parents[running]
        self.ids = torch.cat([self.ids[parents], characters[running, None]], dim=1)
        self.scores = scores[running]
        return parents


def beam_search(decoder: JoinedDecoder, memory: Sequence[ClipMemory], beam: int = BEAM) -> list[Hypothesis]:
    """The best sentence of each clip. Clips share matrix products, but do not influence each other."""
    device = memory[0].keys[0].device
    running = [
        _Beam(
            clip,
            torch.full((1, 1), EOS, device=device),
            torch.zeros(1, dtype=torch.float64, device=device),
            Hypothesis(torch.empty(0, dtype=torch.int64, device=device), -torch.inf),
        )
        for clip in range(len(memory))
    ]
    found: dict[int, Hypothesis] = {}
    cache = PrefixCache(len(decoder.blocks))
    position = 0
    while running:
        rows = [len(one.ids) for one in running]
        last_characters = torch.cat([one.ids[:, -1] for one in running])
        logits = decoder.step(last_characters, position, cache, [memory[one.clip] for one in running], rows)
        logs = logits.double().log_softmax(dim=-1)
        logs[:, BLANK] = -torch.inf
        parents, first = [], 0
        for one, own in zip(running, torch.split(logs, rows), strict=True):
            parents.append(first + one.advance(own, beam, last=position == memory[one.clip].frames))
            first += len(own)
        position += 1
        found |= {one.clip: one.best for one in running if not len(one.ids)}
        running = [one for one in running if len(one.ids)]
        cache.follow(torch.cat(parents))
    return [found[clip] for clip in range(len(memory))]

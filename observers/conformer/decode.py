"""From what was seen to characters: under the true prefix as published, or freely.

Free reading is not part of the published protocol. Its rules are ours, and ``sound``'s:

- Attention beam search with espnet's defaults (espnet/espnet, ``espnet2/bin/asr_inference.py``): 20 hypotheses, a
  hypothesis' score is the sum of its characters' log-probabilities, the end mark's included, without a bonus for
  length. Neither a language model nor CTC takes part. As there, a hypothesis that ends takes its place from the others
  at that step only, and no hypothesis is longer than the clip has frames.
- It stops when no hypothesis still running has a better score than the best that has ended. Scores only fall, so the
  answer is that of a search to the very end; espnet's own end detection gives up by a rule of thumb.
- Blank is never chosen: it belongs to CTC.
- CTC greedy: the best of each frame, repetitions and blanks dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .fast_model import ClipMemory, PackedDecoder, PrefixCache
from .tokenizer import BLANK, EOS, VOCABULARY

BEAM = 20


def forced(decoder: PackedDecoder, seen: Sequence[ClipMemory], references: Sequence[Tensor]) -> list[Tensor]:
    """Which character each clip's decoder would write next after each beginning of the true text.

    The argmax under the reference prefix, cut to the reference's length, as ``evaluation/teacher_force_wer.py`` has it:
    what would follow the whole text is dropped. An end mark (39) or blank may stand anywhere.

    Parameters
    ----------
    references : sequence of (n,) int64

    Returns
    -------
    list of (n,) int64
    """
    prefixes = [torch.cat([reference.new_tensor([EOS]), reference[:-1]]) for reference in references]
    return [logits.argmax(dim=-1) for logits in decoder.teacher_forced(prefixes, seen)]


def ctc_greedy(logits: Tensor) -> Tensor:
    """(n,) int64 characters of (T, 40) logits."""
    best: Tensor = torch.unique_consecutive(logits.argmax(dim=-1))
    return best[best != BLANK]


@dataclass(frozen=True)
class Hypothesis:
    """``ids`` (n,) int64 without the end mark; ``score`` is the log-probability of all of it."""

    ids: Tensor
    score: float


@dataclass
class _Beam:
    """The hypotheses of one clip that are still running, best first, and the best that has ended."""

    clip: int
    ids: Tensor  # (k, n) int64, the first is 39
    scores: Tensor  # (k,) float64
    best: Hypothesis

    def advance(self, logs: Tensor, beam: int, last: bool) -> Tensor:
        """One more character by (k, 40) log-probabilities. Returns the (k',) parents of those that run on."""
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
        run_on = (characters != EOS) & (scores > self.best.score)
        parents = parents[run_on]
        self.ids = torch.cat([self.ids[parents], characters[run_on, None]], dim=1)
        self.scores = scores[run_on]
        return parents


def beam_search(decoder: PackedDecoder, seen: Sequence[ClipMemory], beam: int = BEAM) -> list[Hypothesis]:
    """The best sentence of each clip. The clips share matrix products, never a decision."""
    device = seen[0].keys[0].device
    running = [
        _Beam(
            clip,
            torch.full((1, 1), EOS, device=device),
            torch.zeros(1, dtype=torch.float64, device=device),
            Hypothesis(torch.empty(0, dtype=torch.int64, device=device), -torch.inf),
        )
        for clip in range(len(seen))
    ]
    found: dict[int, Hypothesis] = {}
    said = PrefixCache(len(decoder.blocks))
    position = 0
    while running:
        rows = [len(one.ids) for one in running]
        last_characters = torch.cat([one.ids[:, -1] for one in running])
        logits = decoder.step(last_characters, position, said, [seen[one.clip] for one in running], rows)
        logs = logits.double().log_softmax(dim=-1)
        logs[:, BLANK] = -torch.inf
        parents, first = [], 0
        for one, own in zip(running, torch.split(logs, rows), strict=True):
            parents.append(first + one.advance(own, beam, last=position == seen[one.clip].frames))
            first += len(own)
        position += 1
        found |= {one.clip: one.best for one in running if not len(one.ids)}
        running = [one for one in running if len(one.ids)]
        said.follow(torch.cat(parents))
    return [found[clip] for clip in range(len(seen))]

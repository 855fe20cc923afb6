"""CTC scores of prefixes for the beam search, for all candidates of a step at once.

Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", algorithm 2, with the rules
of espnet's ``ctc_prefix_score.py`` as mpc001/auto_avsr uses it (no window). For a prefix g and a frame t, ``tokens`` is
the log-probability of g over frames 0..t with its last token at t, ``blanks`` the same with a blank at t.

The original walks through the frames for every candidate. A candidate's score needs no walk: it is one sum over frames.
Only the hypotheses that go on need their two rows, and these recursions are cumulative sums: with X(t) the running sum
of the token's log-probabilities, ``tokens(t) - X(t)`` is the logarithm of a running sum of exponentials. Sums are in
float64, because X is large. What is impossible has :data:`NEVER`, and stays exactly that, as in the original, whose
float32 swallows what is added to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = -1e10  # logzero of espnet


class CTCPrefixes:
    """The running hypotheses of one clip, as CTC sees them.

    Parameters
    ----------
    logs : (T, V) float
        Log-probabilities of tokens at each frame; the blank is token 0.
    end : int
        The token of a text's end.
    """

    def __init__(self, logs: Tensor, end: int) -> None:
        self._by_token = logs.detach().cpu().double().t().contiguous()  # (V, T)
        self._end = end
        frames = self._by_token.shape[1]
        self._blank_sums = self._by_token[0].cumsum(0)  # (T,)
        self._tokens = torch.full((1, frames), NEVER, dtype=torch.float64)  # (n, T)
        self._blanks = self._blank_sums[None].clone()  # (n, T)
        self._last = torch.full((1,), -1)  # (n,) last token, -1 before the first
        self._scores = torch.zeros(1, dtype=torch.float64)  # (n,)
        self._length = 0

    @property
    def _first(self) -> int:
        """The first frame that the recursion computes."""
        return max(self._length, 1)

    def scores(self, candidates: Tensor) -> Tensor:
        """The log-probability that each hypothesis goes on with each of its (n, P) candidates: (n, P) float64."""
        first = self._first
        own = self._by_token[candidates]  # (n, P, T)
        before = torch.logaddexp(self._tokens, self._blanks)  # (n, T)
        repeated = candidates.eq(self._last[:, None])  # (n, P)
        sums = torch.where(repeated[..., None], self._blanks[:, None], before[:, None])[..., first - 1 : -1]
        sums = sums + own[..., first:]
        start = own[..., 0] if self._length == 0 else torch.full(candidates.shape, NEVER, dtype=torch.float64)
        found = _kept(torch.logsumexp(torch.cat([start[..., None], sums], dim=2), dim=2))
        found = torch.where(candidates.eq(self._end), before[:, -1:], found)
        return found.masked_fill(candidates.eq(0), NEVER)

    def gains(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`scores` of the (n, P) candidates, and by how much they change each hypothesis's own (float32)."""
        scores = self.scores(candidates)
        return scores, (scores - self._scores[:, None]).float()

    def follow(self, parents: Tensor, tokens: Tensor, scores: Tensor) -> None:
        """Replace the hypotheses by (n',) ``parents`` continued with ``tokens``, whose ``scores`` were computed."""
        first = self._first
        own = self._by_token[tokens]  # (n', T)
        before = torch.logaddexp(self._tokens, self._blanks)[parents]
        before = torch.where(tokens.eq(self._last[parents])[:, None], self._blanks[parents], before)
        start = own[:, :1] if self._length == 0 else torch.full((len(own), 1), NEVER, dtype=torch.float64)
        never = torch.full((len(own), 1), NEVER, dtype=torch.float64)
        unreached = never.expand(-1, first - 1)
        self._tokens = torch.cat([unreached, _walk(start, before, own.cumsum(1), first)], dim=1)
        blank_sums = self._blank_sums.expand(len(own), -1)
        self._blanks = torch.cat([unreached, _walk(never, self._tokens, blank_sums, first)], dim=1)
        self._last = tokens
        self._scores = scores
        self._length += 1


def _walk(start: Tensor, before: Tensor, sums: Tensor, first: int) -> Tensor:
    """r(t) = logaddexp(r(t - 1), before(t - 1)) + sums(t) - sums(t - 1) from ``first`` on, with r(first - 1) = start.

    ``start`` is (n, 1), ``before`` and ``sums`` are (n, T). Returns (n, T - first + 1), from frame first - 1 on.
    """
    known = sums[:, first - 1 :]  # (n, T - first + 1)
    terms = torch.cat([start - known[:, :1], before[:, first - 1 : -1] - known[:, :-1]], dim=1)
    return _kept(known + terms.logcumsumexp(dim=1))


def _kept(logs: Tensor) -> Tensor:
    """What is impossible is so by the same number."""
    return logs.masked_fill(logs < NEVER / 2, NEVER)

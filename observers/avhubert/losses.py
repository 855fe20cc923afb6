"""What AV-HuBERT is fine-tuned with, and what TalkLip's lip-reading expert charges its generator."""

from __future__ import annotations

from torch import Tensor

from tlbench.training.expert import TokenLoss

from .decoder import PAD

SMOOTHING = 0.1  # av_hubert conf/finetune/*.yaml, label_smoothing; TalkLip's expert has the same


def label_smoothed_loss(logits: Tensor, targets: Tensor, smoothing: float = SMOOTHING) -> TokenLoss:
    """Cross-entropy against targets that leave a little weight to every other token.

    The rule is fairseq's ``label_smoothed_nll_loss`` (criterions/label_smoothed_cross_entropy.py): with
    ``e = smoothing / (V - 1)`` the loss is ``(1 - smoothing - e)`` times the true token's negative log probability plus
    ``e`` times the sum of all tokens'. So the true token weighs ``1 - smoothing`` and every other ``e``. Summed, not
    averaged: values above 90 for a sentence are usual.

    Parameters
    ----------
    logits : (B, L, V) float32
    targets : (B, L) int64
        Padded with ``PAD``.
    """
    found = logits.float().log_softmax(2)
    counted = targets.ne(PAD)
    true = -found.gather(2, targets[..., None])[..., 0][counted]
    every = -found.sum(2)[counted]
    share = smoothing / (logits.shape[2] - 1)
    chosen = found.argmax(2)[counted].eq(targets[counted])
    smoothed = (1 - smoothing - share) * true.sum() + share * every.sum()
    return TokenLoss(smoothed, true.sum(), int(counted.sum()), int(chosen.sum()))


def shifted_targets(targets: Tensor) -> Tensor:
    """What the decoder is given to foretell ``targets`` (B, L): the end mark first, then all but the last of each.

    fairseq's collate with ``move_eos_to_beginning``: the end mark of a shorter row moves, its padding stays behind.
    """
    shifted = targets.clone()
    lengths = targets.ne(PAD).sum(1)
    for row, length in enumerate(lengths.tolist()):
        shifted[row, 1:length] = targets[row, : length - 1]
        shifted[row, 0] = targets[row, length - 1]
    return shifted

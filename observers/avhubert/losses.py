"""The label-smoothed loss that AV-HuBERT is fine-tuned with; also the loss of TalkLip's lip-reading expert."""

from __future__ import annotations

from torch import Tensor

from tlbench.training.expert import TokenLoss

from .decoder import PAD

SMOOTHING = 0.1  # av_hubert conf/finetune/*.yaml, label_smoothing; the same for TalkLip's expert


def label_smoothed_loss(logits: Tensor, targets: Tensor, smoothing: float = SMOOTHING) -> TokenLoss:
    """Label-smoothed cross-entropy, summed over tokens.

    fairseq's ``label_smoothed_nll_loss`` (criterions/label_smoothed_cross_entropy.py): with ``e = smoothing / (V - 1)``
    the loss is ``(1 - smoothing - e)`` times the target token's negative log-probability plus ``e`` times the sum of
    all tokens'. So the target has the weight ``1 - smoothing`` and every other token ``e``. As it is a sum, values
    above 90 for a sentence are usual.

    Parameters
    ----------
    logits : (B, L, V) float32
    targets : (B, L) int64
        Padded with ``PAD``.
    """
    logs = logits.float().log_softmax(2)
    counted = targets.ne(PAD)
    target_loss = -logs.gather(2, targets[..., None])[..., 0][counted]
    all_losses = -logs.sum(2)[counted]
    share = smoothing / (logits.shape[2] - 1)
    correct = logs.argmax(2)[counted].eq(targets[counted])
    smoothed = (1 - smoothing - share) * target_loss.sum() + share * all_losses.sum()
    return TokenLoss(smoothed, target_loss.sum(), int(counted.sum()), int(correct.sum()))


def shifted_targets(targets: Tensor) -> Tensor:
    """The decoder's input for ``targets`` (B, L): each row's end token first, then its other tokens.

    fairseq's collate with ``move_eos_to_beginning``; the padding of shorter rows stays at the end.
    """
    shifted = targets.clone()
    lengths = targets.ne(PAD).sum(1)
    for row, length in enumerate(lengths.tolist()):
        shifted[row, 1:length] = targets[row, : length - 1]
        shifted[row, 0] = targets[row, length - 1]
    return shifted

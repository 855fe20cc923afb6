"""Tokens of a checkpoint fine-tuned with CTC: the best symbol of every frame, repeats merged, blanks dropped.

What fairseq's ``criterions/ctc.py`` does when it validates. The blank is entry 0 of the dictionary: there is no symbol
of its own for it, ``<s>`` serves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BLANK = 0  # fairseq criterions/ctc.py: 0, unless the task names a blank symbol, which av_hubert's does not


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

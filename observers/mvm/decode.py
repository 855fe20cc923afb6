"""From logits to words, as ``test.py`` of the original decides, with or without the mirrored clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOP = 5


@dataclass(frozen=True)
class Prediction:
    """What the network takes a clip for.

    Attributes
    ----------
    top : list of int
        The five likeliest labels, best first.
    rank : int
        How many labels are likelier than the true one; 0 if that is the answer.
    """

    top: list[int]
    rank: int


def read(logits: np.ndarray, label: int) -> Prediction:
    """The reading of (words,) logits. Of equals the smaller label comes first, as ``argmax`` decides."""
    ranked = np.argsort(-logits, kind="stable")
    return Prediction(ranked[:TOP].tolist(), int(np.flatnonzero(ranked == label)[0]))


def read_both(logits: np.ndarray, mirrored: np.ndarray, label: int) -> Prediction:
    """The reading of a clip and its mirror image (``--test_aug``), as the published accuracy was measured.

    The logits are added, not the probabilities.
    """
    return read(logits + mirrored, label)

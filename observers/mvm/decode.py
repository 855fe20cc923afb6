"""Logits to words, as in the original's ``test.py``, with or without the mirrored clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOP = 5


@dataclass(frozen=True)
class Prediction:
    """The prediction for one clip.

    Attributes
    ----------
    top : list of int
        The five classes with the highest logits, best first.
    rank : int
        How many classes have a higher logit than the true one; 0 if the prediction is right.
    """

    top: list[int]
    rank: int


def predict(logits: np.ndarray, label: int) -> Prediction:
    """The prediction from (words,) logits. Of equal logits the lower class comes first, as with ``argmax``."""
    ranked = np.argsort(-logits, kind="stable")
    return Prediction(ranked[:TOP].tolist(), int(np.flatnonzero(ranked == label)[0]))


def predict_both(logits: np.ndarray, mirrored: np.ndarray, label: int) -> Prediction:
    """The prediction from a clip and its mirror image (``--test_aug``), as the published accuracy was measured.

    The logits are added, not the probabilities.
    """
    return predict(logits + mirrored, label)

"""The dimensions of an auto_avsr network: the published ones, or those of a network trained with tlbench."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.observing.espnet_dims import EspnetDims


@dataclass(frozen=True)
class Dims(EspnetDims):
    """The defaults are the published networks' (mpc001/auto_avsr ``espnet/nets/pytorch_backend/e2e_asr_conformer.py``).

    Attributes
    ----------
    vocabulary : int
        Tokens: the blank, the pieces, and the mark of both ends.

    Raises
    ------
    ValueError
        If a dimension can't be used, or the dimensions do not fit together.
    """

    side: int = 88
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    vocabulary: int = 5049

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary < 3:
            raise ValueError(f"vocabulary {self.vocabulary} must have a blank, a piece and the end mark")


PUBLISHED = Dims()

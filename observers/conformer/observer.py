"""The Conformer as an observer: which characters it would write under the true text, and what it reads freely.

What the network does stands in :mod:`.watching`, which is imported when the first clip needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import LipReader
from tlbench.observing.observer import ClipState, Needs

from .view import VIEWS

if TYPE_CHECKING:
    from tlbench.checkpoints.package import Package
    from tlbench.training.trainable import Trainable

    from .inference import ConformerInference

FREE = "free"


class Conformer(LipReader):
    """WER2 and CER: the next character after each beginning of the true text, as published.

    Evidence
    --------
    reference : str
        The clip's transcript as the data set writes it.
    reference_ids : (n,) int64
        The same in upper case, as :mod:`.characters` numbers it; respelled where its alphabet lacks a character.
    forced_ids : (n,) int64
        The character written at each place by a decoder that is told all characters before it; 39 and 0 may be among
        them.
    With the mode ``free``, what is read without the text, by rules of our own (:mod:`.decode`): ``free_hypothesis`` by
    attention beam search, ``ctc_hypothesis`` from CTC's best of each frame.
    """

    name: ClassVar[str] = "conformer"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(transcript=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "lrs2-112"
    modes: ClassVar[tuple[str, ...]] = (FREE,)
    answer: ClassVar[str] = "forced_ids"
    has_half: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 8

    def __init__(self, reader: ConformerInference) -> None:
        self._reader = reader

    @classmethod
    def load(
        cls, weights: Path | None, views: Sequence[str], device: str, modes: Sequence[str] = (), *, half: bool = False
    ) -> Conformer:
        """Build the network from the published file or its package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, neither does the view, or several views are asked for: what is
            read through each would need a name of its own.
        """
        path, view = cls.weights_and_view(weights, views)
        import torch

        from .checkpoint import load_model
        from .inference import ConformerInference

        model = load_model(path)
        cls.check_side(view, model.dims.side)
        return cls(ConformerInference(model, view, torch.device(device), free=FREE in modes, half=half))

    @classmethod
    def read_published(cls, path: Path) -> Package:
        from .checkpoint import read_published

        return read_published(path)

    @classmethod
    def learner(cls) -> type[Trainable]:
        from .train import TrainableConformer

        return TrainableConformer

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """Begin with a clip. Raises ClipError if nobody knows what is said in it, or if that can't be spelt."""
        if clip.transcript is None:
            raise ClipError(
                "no-transcript", f"clip {clip.id}: no transcript (WER2 needs one); leave wer2 out, or add it"
            )
        return self._reader.start_clip(clip)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """What was read of each clip; clips share matrix products, but never a decision."""
        return self._reader.compute(states)

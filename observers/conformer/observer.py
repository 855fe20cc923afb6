"""The Conformer as an observer: its characters under teacher forcing, and optionally free decoding.

:mod:`.inference` runs the network; it is imported when the observer is loaded.
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
from tlbench.observing.observer import ClipState, Needs, StartClip

from .view import VIEWS

if TYPE_CHECKING:
    from .inference import ConformerInference

FREE = "free"


class Conformer(LipReader):
    """WER2 and CER: the next character given the reference before it (teacher forcing), as published.

    Evidence
    --------
    reference : str
        The clip's transcript as in the data set.
    reference_ids : (n,) int64
        The same in upper case as character ids (:mod:`.tokenizer`); respelled where the alphabet lacks a character.
    forced_ids : (n,) int64
        The character that the decoder predicts at each position, given the reference before it. It may contain end
        marks (39) and blanks (0).
    free_hypothesis, ctc_hypothesis : str
        Only with the mode ``free``: the text decoded without the reference, by attention beam search and by CTC
        (:mod:`.decode`).
    """

    name: ClassVar[str] = "conformer"
    version: ClassVar[int] = 2  # 2: sums of convolutions in another order (last digits)
    needs: ClassVar[Needs] = Needs(transcript=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "lrs2-112"
    modes: ClassVar[tuple[str, ...]] = (FREE,)
    answer: ClassVar[str] = "forced_ids"
    has_half: ClassVar[bool] = True
    has_packed: ClassVar[bool] = True
    has_cropper: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 8
    read_published: ClassVar[str] = "tlbench.observers.conformer.checkpoint:FORMAT.read_published"
    trainable: ClassVar[str] = "tlbench.observers.conformer.train:TrainableConformer"
    original: ClassVar[str] = "tlbench.observers.conformer.original:OriginalConformer.load_original"

    def __init__(self, inference: ConformerInference) -> None:
        self._inference = inference

    @classmethod
    def load(
        cls,
        weights: Path | None,
        views: Sequence[str],
        device: str,
        modes: Sequence[str] = (),
        *,
        half: bool = False,
        packed: bool = False,
    ) -> Conformer:
        """Load the network from the published file or a package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, the view has another size, or several views are given.
        """
        path, view = cls.weights_and_view(weights, views)
        import torch

        from .checkpoint import FORMAT
        from .inference import ConformerInference

        model = FORMAT.load(path)
        cls.check_side(view, model.dims.side)
        place = torch.device(device)
        return cls(ConformerInference(model, view, place, free=FREE in modes, half=half, packed=packed))

    @classmethod
    def cropper(cls, weights: Path | None, views: Sequence[str], modes: Sequence[str]) -> StartClip:
        _, view = cls.weights_and_view(weights, views)
        from .inference import ConformerStart

        return ConformerStart(view)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError if it has no transcript, or one that can't be spelled."""
        return self._inference.start_clip(clip)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip. Clips share matrix products, but do not influence each other."""
        return self._inference.compute(states)

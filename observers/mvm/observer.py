"""MVM as an observer: its prediction among LRW's 500 words, or among the words it was trained on.

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
    from .inference import MVMInference


class MVM(LipReader):
    """ACC: whether the predicted word is right, as published.

    Evidence
    --------
    word : str
        The clip's word label.
    predicted, rank, top5 : str, int, list of str
        The word with the highest logit, how many words have a higher logit than the label (0 if it is right), and the
        five words with the highest logits. The logits of the clip and of its mirror image are added, as published.
    predicted_plain, rank_plain : str, int
        The same without the mirror image.
    """

    name: ClassVar[str] = "mvm"
    version: ClassVar[int] = 2  # 2: sums of convolutions in another order (last digits)
    needs: ClassVar[Needs] = Needs(word=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "lrw"
    answer: ClassVar[str] = "predicted"
    has_half: ClassVar[bool] = True
    has_packed: ClassVar[bool] = True
    has_cropper: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 16
    read_published: ClassVar[str] = "tlbench.observers.mvm.checkpoint:read_published"
    trainable: ClassVar[str] = "tlbench.observers.mvm.train:TrainableMVM"

    def __init__(self, inference: MVMInference) -> None:
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
    ) -> MVM:
        """Load the network from the published file or a package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, the view has another size, or several views are given.
        """
        path, view = cls.weights_and_view(weights, views)
        import torch

        from .checkpoint import load_model
        from .fast_model import FastMVM
        from .inference import MVMInference

        model, words = load_model(path)
        cls.check_side(view, model.dims.side)
        place = torch.device(device)
        return cls(MVMInference(FastMVM(model), view, place, words=words, half=half, packed=packed))

    @classmethod
    def cropper(cls, weights: Path | None, views: Sequence[str], modes: Sequence[str]) -> StartClip:
        path, view = cls.weights_and_view(weights, views)
        from .checkpoint import load_model
        from .inference import MVMStart

        _, words = load_model(path)
        return MVMStart(view, words)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError if it has no word label, or one that the network does not know."""
        return self._inference.start(clip, samples)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip; clips do not influence each other."""
        return self._inference.compute(states)

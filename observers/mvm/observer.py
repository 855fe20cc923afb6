"""MVM as an observer: which of LRW's 500 words, or of those it was trained on, it takes a clip for.

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

    from .inference import MVMInference


class MVM(LipReader):
    """ACC: whether the word is the right one, as published.

    Evidence
    --------
    word : str
        The clip's label.
    predicted, rank, top5 : str, int, list of str
        The likeliest word, how many are likelier than the label (0 if it is right), and the five likeliest, from the
        logits of the clip and of its mirror image together, as published.
    predicted_plain, rank_plain : str, int
        Without the mirror image.
    """

    name: ClassVar[str] = "mvm"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(word=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "lrw"
    answer: ClassVar[str] = "predicted"
    has_half: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 16

    def __init__(self, reader: MVMInference) -> None:
        self._reader = reader

    @classmethod
    def load(
        cls, weights: Path | None, views: Sequence[str], device: str, modes: Sequence[str] = (), *, half: bool = False
    ) -> MVM:
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
        from .fast_model import FastMVM
        from .inference import MVMInference

        model, words = load_model(path)
        cls.check_side(view, model.dims.side)
        return cls(MVMInference(FastMVM(model), view, torch.device(device), words=words, half=half))

    @classmethod
    def read_published(cls, path: Path) -> Package:
        from .checkpoint import read_published

        return read_published(path)

    @classmethod
    def learner(cls) -> type[Trainable]:
        from .train import TrainableMVM

        return TrainableMVM

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """Begin with a clip. Raises ClipError if nobody knows which word it holds, or the network does not know it."""
        if not clip.word:
            raise ClipError("no-word", f"clip {clip.id}: no word label (ACC needs one); leave acc out, or add it")
        return self._reader.start_clip(clip, clip.word)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """What each clip was taken for; who else is in the batch changes nothing."""
        return self._reader.compute(states)

"""MVM as an observer of sentences: its prediction for each word, from the 29 frames around it.

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
from tlbench.observing.observer import ClipState, Needs

from ..view import VIEWS

if TYPE_CHECKING:
    from .inference import SentenceInference


class AlignedMVM(LipReader):
    """ACC aligned: whether the predicted words of a sentence are right.

    Each word has a window of 29 frames, LRW's length: the frame that shows the middle of the word in the real video,
    the 14 frames before it and the 14 after it. The window is cut by time from the generated video. Frames that this
    video does not have, before its first or after its last frame, are zeros after normalising (a mean grey), as at the
    end of MVM's short clips. So a word after the end of a video is read from grey pictures.

    Evidence
    --------
    words : list of str
        The words of the sentence, in upper case.
    predicted : list of str
        The predicted word of each window. The logits of the window and of its mirror image are added, as in MVM.
    ranks : (n,) int64
        How many words have a higher logit than the right one; 0 if the prediction is right.
    predicted_plain, ranks_plain
        The same without the mirror image.
    """

    name: ClassVar[str] = "mvm-aligned"
    version: ClassVar[int] = 2  # 2: sums of convolutions in another order (last digits)
    needs: ClassVar[Needs] = Needs(transcript=True, word_times=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "small-mouth"
    answer: ClassVar[str] = "predicted"
    has_half: ClassVar[bool] = True
    has_packed: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 4
    trainable: ClassVar[str] = "tlbench.observers.mvm.aligned.train:TrainableAlignedMVM"

    def __init__(self, inference: SentenceInference) -> None:
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
    ) -> AlignedMVM:
        """Load the network from a package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, the view has another size, or several views are given.
        """
        path, view = cls.weights_and_view(weights, views)
        import torch

        from ..checkpoint import load_model
        from ..fast_model import FastMVM
        from ..inference import MVMInference
        from .inference import SentenceInference

        model, words = load_model(path, cls.name)
        cls.check_side(view, model.dims.side)
        place = torch.device(device)
        network = MVMInference(FastMVM(model), view, place, words=words, half=half, packed=packed)
        return cls(SentenceInference(network, view, words))

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError without word times, or for a word that is not known."""
        return self._inference.start_clip(clip)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip; clips do not influence each other."""
        return self._inference.compute(states)

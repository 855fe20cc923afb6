"""auto_avsr as an observer: the text that it reads from the lips, and how like the real video its encoding is.

:mod:`.inference` runs the network; it is imported when the observer is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    from .inference import AutoAVSRInference, AutoAVSRStart

BEAM, CTC, SIMILARITY = "beam", "ctc", "similarity"


class AutoAVSR(LipReader):
    """WER3: the words that auto_avsr reads from the lips. LipScore: how like the real video's its encoding is.

    Evidence
    --------
    reference, reference_spelled : str
        The clip's transcript as in the data set, and written in the network's tokens: what has no token is ``<unk>``.
        With the mode ``beam`` or ``ctc``.
    hypothesis : str
        With the mode ``beam``, which is that of a run without modes: the text read by beam search as published.
    tokens : (n,) int64
        Of the hypothesis, with the end mark; also with ``beam``.
    ctc_hypothesis : str
        With the mode ``ctc``: the text of the CTC output, the best token of each frame.
    lip_score : float
        With the mode ``similarity``: mean cosine over frames of the encoder's output for the generated and the
        reference video (KeySync ``evaluation/lipscore.py``).
    """

    name: ClassVar[str] = "autoavsr"
    version: ClassVar[int] = 2  # 2: sums of convolutions in another order (last digits)
    needs: ClassVar[Needs] = Needs(transcript=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "retinaface"
    modes: ClassVar[tuple[str, ...]] = (BEAM, CTC, SIMILARITY)
    answer: ClassVar[str] = "tokens"
    has_half: ClassVar[bool] = True
    has_packed: ClassVar[bool] = True
    has_cropper: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 8
    read_published: ClassVar[str] = "tlbench.observers.autoavsr.checkpoint:read_published"
    original: ClassVar[str] = "tlbench.observers.autoavsr.original:OriginalAutoAVSR.load_original"
    trainable: ClassVar[str] = "tlbench.observers.autoavsr.train:TrainableAutoAVSR"

    def __init__(self, inference: AutoAVSRInference, start: AutoAVSRStart) -> None:
        self._inference = inference
        self._start = start

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
    ) -> AutoAVSR:
        """Load the network from the published file or a package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, the view has another size, or several views are given.
        """
        path, view = cls.weights_and_view(weights, views)
        import torch

        from .checkpoint import load_model
        from .inference import AutoAVSRInference, AutoAVSRStart

        model, tokens = load_model(path)
        cls.check_side(view, model.dims.side)
        place = torch.device(device)
        inference = AutoAVSRInference(model, tokens, view, place, modes or (BEAM,), half=half, packed=packed)
        return cls(inference, AutoAVSRStart(view, cls._read_by(modes)))

    @classmethod
    def cropper(cls, weights: Path | None, views: Sequence[str], modes: Sequence[str]) -> StartClip:
        _, view = cls.weights_and_view(weights, views)
        from .inference import AutoAVSRStart

        return AutoAVSRStart(view, cls._read_by(modes))

    @staticmethod
    def _read_by(modes: Sequence[str]) -> bool:
        """Whether these modes read text, and not only compare encodings."""
        return not modes or BEAM in modes or CTC in modes

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        return replace(super().needs_for(views, modes), transcript=cls._read_by(modes), reference=SIMILARITY in modes)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError if it is read and has no transcript."""
        return self._start(clip, samples)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip. Clips share matrix products, but do not influence each other."""
        return self._inference.compute(states)

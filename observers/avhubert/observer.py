"""AV-HuBERT as an observer: the text that a lip reader reads from the generated video, without audio.

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
    from .inference import AVHubertInference

SIMILARITY = "similarity"


class AVHubert(LipReader):
    """WER1: the words AV-HuBERT reads from the lips, by beam search as published.

    Evidence
    --------
    hypothesis, reference : str
        The text that was read, and the clip's transcript as in the data set.
    tokens : (n,) int64
        Of the hypothesis, with the end token.
    score : float
        Mean log-probability of the tokens.
    avs_u, avs_m, avs_v : float
        Only with the mode ``similarity``: mean cosine of encoder features over frames (after Yaman et al. 2024,
        arXiv 2405.04327). ``avs_u`` compares audio and lips of the generated clip, ``avs_m`` audio with lips of the
        generated and of the reference clip, ``avs_v`` the lips of both.
    """

    name: ClassVar[str] = "avhubert"
    version: ClassVar[int] = 2  # 2: sums of convolutions in another order (last digits)
    needs: ClassVar[Needs] = Needs(transcript=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "lrs2-center"
    modes: ClassVar[tuple[str, ...]] = (SIMILARITY,)
    answer: ClassVar[str] = "tokens"
    has_half: ClassVar[bool] = True
    has_packed: ClassVar[bool] = True
    has_cropper: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 8
    read_published: ClassVar[str] = "tlbench.observers.avhubert.checkpoint:read_published"
    trainable: ClassVar[str] = "tlbench.observers.avhubert.train:TrainableAVHubert"
    original: ClassVar[str] = "tlbench.observers.avhubert.original:OriginalAVHubert.load_original"
    expert: ClassVar[str] = "tlbench.observers.avhubert.expert:AVHubertExpert.of"
    audio_encoder: ClassVar[str] = "tlbench.observers.avhubert.expert:build_audio_encoder"

    def __init__(self, inference: AVHubertInference) -> None:
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
    ) -> AVHubert:
        """Load the network from the published file or a package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, the network is only pre-trained, or several views are given.
        """
        path, view = cls.weights_and_view(weights, views)
        from .inference import AVHubertInference

        similarity = SIMILARITY in modes
        return cls(AVHubertInference.load(path, view, device, similarity=similarity, half=half, packed=packed))

    @classmethod
    def cropper(cls, weights: Path | None, views: Sequence[str], modes: Sequence[str]) -> StartClip:
        _, view = cls.weights_and_view(weights, views)
        from .inference import AVHubertStart

        return AVHubertStart(view, SIMILARITY in modes)

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        compared = SIMILARITY in modes
        return replace(super().needs_for(views, modes), reference=compared, audio=compared)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError if it has no transcript, or lacks audio for the similarities."""
        return self._inference.start_clip(clip, samples)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip. Clips share matrix products, but do not influence each other."""
        return self._inference.compute(states)

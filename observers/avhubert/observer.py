"""AV-HuBERT as an observer: what a lip reader reads, without a sound, from the generated video.

What the network does stands in :mod:`.watching`, which is imported when the first clip needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import LipReader
from tlbench.observing.observer import ClipState, Needs

from .view import VIEWS

if TYPE_CHECKING:
    from torch import Tensor

    from tlbench.checkpoints.package import Package
    from tlbench.training.expert import AudioEncoder, Expert
    from tlbench.training.trainable import Trainable

    from .inference import AVHubertInference

SIMILARITY = "similarity"


class AVHubert(LipReader):
    """WER1: the words AV-HuBERT reads from the lips, by beam search as published.

    Evidence
    --------
    hypothesis, reference : str
        What was read, and the clip's transcript as the data set writes it.
    tokens : (n,) int64
        Of the hypothesis, the end mark included.
    score : float
        Mean log-probability of its tokens.
    With the mode ``similarity``, cosines of encoder features, mean over frames (after Yaman et al. 2024,
    arXiv 2405.04327): ``avs_u`` speech against lips of the generated clip, ``avs_m`` speech and lips of the generated
    against the reference clip, ``avs_v`` lips against lips.
    """

    name: ClassVar[str] = "avhubert"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(transcript=True, weights=True)
    views: ClassVar[Mapping[str, str]] = {name: view.id for name, view in VIEWS.items()}
    recipes: ClassVar[Mapping[str, View]] = VIEWS
    default_view: ClassVar[str] = "lrs2-center"
    modes: ClassVar[tuple[str, ...]] = (SIMILARITY,)
    answer: ClassVar[str] = "tokens"
    has_half: ClassVar[bool] = True
    clips_per_batch: ClassVar[int] = 8

    def __init__(self, reader: AVHubertInference) -> None:
        self._reader = reader

    @classmethod
    def load(
        cls, weights: Path | None, views: Sequence[str], device: str, modes: Sequence[str] = (), *, half: bool = False
    ) -> AVHubert:
        """Build the network from the published file or its package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, they can't read (pre-trained only), or several views are asked
            for: what is read through each would need a name of its own.
        """
        path, view = cls.weights_and_view(weights, views)
        from .inference import AVHubertInference

        return cls(AVHubertInference.load(path, view, device, similarity=SIMILARITY in modes, half=half))

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        compared = SIMILARITY in modes
        return replace(super().needs_for(views, modes), reference=compared, audio=compared)

    @classmethod
    def read_published(cls, path: Path) -> Package:
        from .checkpoint import read_published

        return read_published(path)

    @classmethod
    def learner(cls) -> type[Trainable]:
        from .train import TrainableAVHubert

        return TrainableAVHubert

    @classmethod
    def teacher(cls, package: Package, path: Path) -> Expert:
        from .expert import AVHubertExpert

        return AVHubertExpert.of(package, path)

    @classmethod
    def audio_encoder(cls, tensors: Mapping[str, Tensor], sizes: Mapping[str, Any] | None, whose: str) -> AudioEncoder:
        from .expert import build_audio_encoder

        return build_audio_encoder(tensors, sizes, whose)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """Begin with a clip. Raises ClipError if nobody knows what is said in it, or if it has no sound to compare."""
        if not clip.transcript:
            raise ClipError(
                "no-transcript", f"clip {clip.id}: no transcript (WER needs one); leave wer1 out, or add it"
            )
        return self._reader.start_clip(clip, samples)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """What was read of each clip; beams of several clips share matrix products, but never a decision."""
        return self._reader.compute(states)

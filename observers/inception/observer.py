"""Inception-v3 as an observer: the features of each generated frame, for FID and KID.

:mod:`.inference` runs the network; it is imported when the observer is loaded, so that a run with all evidence in the
cache does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tlbench.checkpoints.catalogue import given_checkpoint
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import CROPS
from tlbench.media.views import View
from tlbench.observing.crop_observer import CropObserver
from tlbench.observing.cropping import CropStream, check_face
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs

if TYPE_CHECKING:
    from torch import Tensor

    from .inference import InceptionInference


class _InceptionClipState(ClipState):
    """The features of one clip so far, and the frames that wait for a whole pass of the network."""

    def __init__(self, clip: Clip, crop: View, inference: InceptionInference) -> None:
        from .inference import FRAMES_A_PASS

        self._clip = clip
        self._crop = CropStream(crop)
        self._inference = inference
        self._waiting: Tensor | None = None
        self._pass = FRAMES_A_PASS
        self._done: list[np.ndarray] = []

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is None:
            return
        import torch

        check_face(self._clip, self._crop, self.clip_boxes)
        pictures = self._crop.pictures(chunk.generated, chunk.boxes)
        if not len(pictures):  # the boxes of the crop have ended
            return
        prepared = self._inference.prepared(pictures)
        waiting = prepared if self._waiting is None else torch.cat([self._waiting, prepared])
        whole = len(waiting) // self._pass * self._pass
        if whole:
            self._done.append(self._inference.features(waiting[:whole]))
        self._waiting = waiting[whole:].clone()

    def features(self) -> np.ndarray:
        """(frames, features) float32 of the clip, once it has ended."""
        if self._waiting is not None and len(self._waiting):
            self._done.append(self._inference.features(self._waiting))
        self._waiting = None
        return np.concatenate([self._inference.empty(), *self._done])


class Inception(CropObserver):
    """The features of each frame of the generated video.

    Evidence
    --------
    frames : int
    features : (frames, 2048) float32
        The input of the classifier: means over the pixels of the last block.
    """

    name: ClassVar[str] = "inception"
    version: ClassVar[int] = 2  # 2: in a crop of the face, a clip that shows none is an error
    needs: ClassVar[Needs] = Needs(weights=True)
    default_view: ClassVar[str] = "whole-frame"
    of_sets: ClassVar[bool] = True
    read_published: ClassVar[str] = "tlbench.observers.inception.checkpoint:FORMAT.read_published"

    def __init__(self, inference: InceptionInference, crop: View) -> None:
        self._inference = inference
        self._crop = crop

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
    ) -> Inception:
        """Load the network from the published file or a package. Raises TlbenchError if there is none, or it is other.

        One view at a time: the features of a set are of one crop.
        """
        path = given_checkpoint(cls.name, weights)
        from .checkpoint import FORMAT
        from .inference import InceptionInference

        return cls(InceptionInference(FORMAT.load(path), device), CROPS[views[0]])

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _InceptionClipState(clip, self._crop, self._inference)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _InceptionClipState)]

    def _compute(self, state: _InceptionClipState) -> Evidence | ClipError:
        features = state.features()
        if not len(features):
            return ClipError("no-frames", "the generated video has no frame, or none with a box; check the file")
        return Evidence(self.name, {"frames": len(features), "features": features})

"""I3D as an observer: the logits of windows of 16 generated frames, for FVD.

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

    from .inference import I3DInference


class _I3DClipState(ClipState):
    """The logits of one clip so far, and the frames that wait for a whole window."""

    def __init__(self, clip: Clip, crop: View, inference: I3DInference) -> None:
        self._clip = clip
        self._crop = CropStream(crop)
        self._inference = inference
        self._waiting: Tensor | None = None
        self._done: list[np.ndarray] = []
        self._frames = 0

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is None:
            return
        import torch

        check_face(self._clip, self._crop, self.clip_boxes)
        pictures = self._crop.pictures(chunk.generated, chunk.boxes)
        if not len(pictures):  # the boxes of the crop have ended
            return
        prepared = self._inference.prepared(pictures)
        self._frames += prepared.shape[1]
        waiting = prepared if self._waiting is None else torch.cat([self._waiting, prepared], 1)
        whole = waiting.shape[1] // self._inference.frames * self._inference.frames
        if whole:
            self._done.append(self._inference.logits(waiting[:, :whole]))
        self._waiting = waiting[:, whole:].clone()

    def evidence(self, observer: str) -> Evidence | ClipError:
        """Of the clip, once it has ended."""
        self._waiting = None  # less than a window
        if not self._frames:
            return ClipError("no-frames", "the generated video has no frame, or none with a box; check the file")
        if not self._done:
            return ClipError(
                "too-short",
                f"clip {self._clip.id}: {self._frames} frames, a window of FVD has {self._inference.frames}; leave the "
                "clip or fvd out",
            )
        return Evidence(observer, {"frames": self._frames, "features": np.concatenate(self._done)})


class I3D(CropObserver):
    """The logits of each window of 16 frames of the generated video, one window after the other.

    Evidence
    --------
    frames : int
    features : (windows, 400) float32
        The logits of Kinetics-400. Frames behind the last whole window are left out.
    """

    name: ClassVar[str] = "i3d"
    version: ClassVar[int] = 2  # 2: all convolutions by oneDNN (last digits); no face is an error
    needs: ClassVar[Needs] = Needs(weights=True)
    default_view: ClassVar[str] = "whole-frame"
    of_sets: ClassVar[bool] = True
    read_published: ClassVar[str] = "tlbench.observers.i3d.checkpoint:FORMAT.read_published"

    def __init__(self, inference: I3DInference, crop: View) -> None:
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
    ) -> I3D:
        """Load the network from the published file or a package. Raises TlbenchError if there is none, or it is other.

        One view at a time: the features of a set are of one crop.
        """
        path = given_checkpoint(cls.name, weights)
        from .checkpoint import FORMAT
        from .inference import I3DInference

        return cls(I3DInference(FORMAT.load(path), device), CROPS[views[0]])

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _I3DClipState(clip, self._crop, self._inference)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [state.evidence(self.name) for state in states if isinstance(state, _I3DClipState)]

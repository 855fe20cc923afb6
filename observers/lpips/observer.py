"""LPIPS of each pair of frames, of the whole frame or of the face."""

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
from tlbench.observing.cropping import CropStream, faces_shown, first_frames
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs

from .channel_file import lacking_channels

if TYPE_CHECKING:
    from .inference import PairDistance


class _LPIPSClipState(ClipState):
    """The distances of one clip so far."""

    def __init__(self, clip: Clip, crop: View, distance: PairDistance) -> None:
        self._clip = clip
        self._distance = distance
        self._seen, self._real = CropStream(crop), CropStream(crop)
        self.frames = 0
        self.cropped = 0
        self.distances: list[float] = []

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is None or chunk.reference is None:
            return  # as many frames are compared as both videos have
        count = min(len(chunk.generated), len(chunk.reference))
        generated, reference = first_frames(chunk.generated, count), first_frames(chunk.reference, count)
        seen = self._seen.pictures(generated, chunk.boxes)
        real = self._real.pictures(reference, chunk.boxes_in_reference)
        self.frames += count
        both = min(len(seen), len(real))
        self.cropped += both
        shown = np.ones(count, dtype=bool)
        if self._seen.by_box:
            shown = faces_shown(reference, self.clip_boxes, self.clip_reference_boxes or self.clip_boxes)
        if both:
            self._check_sizes(seen.shape[1:3], real.shape[1:3])
        compared = np.flatnonzero(shown[:both])
        self.distances += self._distance.each([(seen[number], real[number]) for number in compared])

    def _check_sizes(self, seen: tuple[int, ...], real: tuple[int, ...]) -> None:
        """Raises ClipError for (height, width) that can't be compared."""
        smallest = self._distance.smallest_side
        width, height = seen[1], seen[0]
        way_out = "or compare faces with --view lpips=face-256"
        if seen != real:
            raise ClipError(
                "other-size",
                f"clip {self._clip.id}: frames of {width}x{height}, real ones of {real[1]}x{real[0]}; render it at the "
                f"real video's size, {way_out}",
            )
        if min(seen) < smallest:
            raise ClipError(
                "too-small",
                f"clip {self._clip.id}: frames of {width}x{height}, LPIPS needs {smallest} pixels each way; score "
                f"larger videos, {way_out}",
            )


class LPIPS(CropObserver):
    """The perceptual distance of each pair of frames.

    Evidence
    --------
    frames : int
        As many frames as both videos have.
    distance : (shown,) float64
        Of the frames in which both videos show the followed face, or of all if the view is the whole frame.
    """

    name: ClassVar[str] = "lpips"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, weights=True)
    default_view: ClassVar[str] = "whole-frame"
    read_published: ClassVar[str] = "tlbench.observers.lpips.checkpoint:FORMAT.read_published"

    def __init__(self, crop: View, distance: PairDistance) -> None:
        self._crop = crop
        self._distance = distance

    @classmethod
    def lacking(cls, views: Sequence[str]) -> str:
        """The extra ``quality``."""
        return lacking_channels()

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
    ) -> LPIPS:
        """Load AlexNet from the published file or a package, and the weights of its channels from the package lpips.

        Raises TlbenchError if there are no weights, they do not fit, or the package lpips is not installed.
        """
        path = given_checkpoint(cls.name, weights)
        from .checkpoint import load_model
        from .inference import PairDistance

        return cls(CROPS[views[0]], PairDistance(load_model(path), device))

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _LPIPSClipState(clip, self._crop, self._distance)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _LPIPSClipState)]

    def _compute(self, state: _LPIPSClipState) -> Evidence | ClipError:
        if not state.frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        if not state.cropped:
            return ClipError("boxes-too-short", "no face box for any frame; give one for each frame of the reference")
        return Evidence(self.name, {"frames": state.frames, "distance": np.array(state.distances, dtype=np.float64)})

"""SyncNet as an observer: the distances of lips and speech, for each view and each shift.

:mod:`.inference` runs the network; it is imported when the observer is loaded, so that a run with all evidence in the
cache does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tlbench.checkpoints.catalogue import given_checkpoint
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipState, Needs, Observer, StartClip

from .view import FACE_TRACK, VIEWS, shown

if TYPE_CHECKING:
    from .fast_model import FastSyncNet


class SyncNet(Observer):
    """LSE-D, LSE-C and offset.

    Evidence
    --------
    windows : int
        Number of windows of 5 frames.
    {paper,sound}_{lse_d,lse_c,offset_frames,zero_offset_distance} : float or int
    {paper,sound}_mean_distance : (31,) float32
    {paper,sound}_{window_distance,window_distance_at_zero,window_confidence} : (windows,) float32
        See :class:`.decode.Sync`, with the published arithmetic. ``paper_`` is through the published view, ``sound_``
        through the run's own view: ``sound``, or that of a small network.
    common_* : as above
        The same through the run's own view, over the same speech at every shift. The curves start
        ``common_max_shift_frames`` windows after the clip.
    common_max_shift_frames, common_windows : int
        The largest shift, 3 to 15 frames, and the number of speech windows. The shift is 0 if the clip is too short;
        there are then no other ``common_`` values.
    track_shots : int
        Only for the view ``face-track``: the number of shots.
    track_{start,frames,faces,offset_frames} : (tracks,) int64
    track_{lse_d,lse_c} : (tracks,) float64
        One entry for each track of more than 50 faces, with the published arithmetic; none if there is no such track.
        ``faces`` counts the frames in which the face was detected.
    track_common_faces : (k,) int64
    track_common_{lse_d,lse_c} : (k,) float64
        Over the same speech at every shift, of the tracks that have enough sound for it.
    """

    name: ClassVar[str] = "syncnet"
    version: ClassVar[int] = 2  # 2: common_
    needs: ClassVar[Needs] = Needs(audio=True, weights=True)
    views: ClassVar[dict[str, str]] = {
        **{name: view.id for name, view in VIEWS.items()},
        FACE_TRACK.name: FACE_TRACK.id,
    }
    default_view: ClassVar[str] = "sound"
    has_cropper: ClassVar[bool] = True
    read_published: ClassVar[str] = "tlbench.observers.syncnet.checkpoint:FORMAT.read_published"
    trainable: ClassVar[str] = "tlbench.observers.syncnet.train:TrainableSyncNet"
    original: ClassVar[str] = "tlbench.observers.syncnet.original:OriginalSyncNet.load_original"

    @classmethod
    def fits(cls, view: str, trained: str) -> bool:
        """The published network takes the large views, a small network the small views."""
        own = next((name for name, view_id in cls.views.items() if view_id == trained), cls.default_view)
        return shown(view) == shown(own)

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """Also face boxes if a view frames faces."""
        framed = any(VIEWS[view].frames_face for view in views if view in VIEWS)
        return replace(cls.needs, boxes=framed, framing=framed)

    @classmethod
    def recipe(cls, view: str) -> View | None:
        """The steps of a view; None for ``face-track``, which is not made of steps."""
        return VIEWS.get(view)

    def __init__(self, net: FastSyncNet, views: Sequence[str], device: str) -> None:
        from .inference import SyncNetInference

        self._inference = SyncNetInference(net, views, device)

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
    ) -> SyncNet:
        """Load the network from the published file or a package.

        Raises
        ------
        TlbenchError
            If there are no weights, they do not fit, or a view shows other pictures than the network needs.
        """
        from .checkpoint import FORMAT
        from .fast_model import FastSyncNet

        return cls(FastSyncNet(FORMAT.load(given_checkpoint(cls.name, weights))), views, device)

    @classmethod
    def cropper(cls, weights: Path | None, views: Sequence[str], modes: Sequence[str]) -> StartClip:
        from .checkpoint import FORMAT
        from .inference import SyncNetStart

        return SyncNetStart(FORMAT.load(given_checkpoint(cls.name, weights)).dims, views)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError as :class:`.inference.SyncNetStart`."""
        return self._inference.start(clip, samples)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip; each is computed alone."""
        return [self._inference.compute(state) for state in states]

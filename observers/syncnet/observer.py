"""SyncNet as an observer: how far apart lips and speech lie, for each view and each shift.

What the network does stands in :mod:`.watching`, which is imported when the first clip needs it: a run that finds all
evidence in the cache does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tlbench.checkpoints.card import read_card
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import FULL_SCALE, LEAST_SOUND_SECONDS, sounding_seconds
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipState, Needs, Observer

from .view import FACE_TRACK, VIEWS, shown

if TYPE_CHECKING:
    from tlbench.checkpoints.package import Package
    from tlbench.training.trainable import Trainable

    from .fast_model import FastSyncNet


class SyncNet(Observer):
    """LSE-D, LSE-C and offset.

    Evidence
    --------
    windows : int
    ``lse_d``, ``lse_c``, ``offset_frames``, ``zero_offset_distance``, ``mean_distance`` (31,), ``window_distance``,
    ``window_distance_at_zero`` and ``window_confidence`` (windows,), see :class:`.decode.Sync`; with ``paper_`` in
    front through the published view, with ``sound_`` through the one the run has chosen: ``sound``, or that of a small
    network. Both with the published arithmetic.
    The same with ``common_`` in front: through the view the run has chosen, over the same speech at every shift.
    ``common_max_shift_frames``: how far either way, 3 to 15, so that ``common_mean_distance`` has one row a shift; 0 if
    the clip is too short, and then there is no other ``common_`` value. ``common_windows``: how many windows of speech.
    The curves begin that many windows after the clip does: the windows at both ends have no partner at some shift.
    For ``face-track``, one entry a track: ``track_start``, ``track_frames``, ``track_lse_d``, ``track_lse_c``,
    ``track_offset_frames``; ``track_common_lse_d`` and ``track_common_lse_c`` of those long enough. No face that is
    followed long enough means no entry, not a failure.
    """

    name: ClassVar[str] = "syncnet"
    version: ClassVar[int] = 2  # 2: common_
    needs: ClassVar[Needs] = Needs(audio=True, weights=True)
    views: ClassVar[dict[str, str]] = {
        **{name: view.id for name, view in VIEWS.items()},
        FACE_TRACK.name: FACE_TRACK.id,
    }
    default_view: ClassVar[str] = "sound"

    @classmethod
    def fits(cls, view: str, trained: str) -> bool:
        """Networks of the published size see all but the small views, small ones the small views only."""
        behind = next((name for name, view_id in cls.views.items() if view_id == trained), cls.default_view)
        return shown(view) == shown(behind)

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """Boxes as well if a view frames faces."""
        framed = any(VIEWS[view].frames_face for view in views if view in VIEWS)
        return replace(cls.needs, boxes=framed, framing=framed)

    @classmethod
    def recipe(cls, view: str) -> View | None:
        """How a frame becomes what the network sees; a followed face is no recipe."""
        return VIEWS.get(view)

    def __init__(self, net: FastSyncNet, views: Sequence[str], device: str) -> None:
        from .inference import SyncNetInference

        self._eye = SyncNetInference(net, views, device)

    @classmethod
    def load(
        cls, weights: Path | None, views: Sequence[str], device: str, modes: Sequence[str] = (), *, half: bool = False
    ) -> SyncNet:
        """Load the published network, or a package.

        Raises
        ------
        TlbenchError
            If there are no weights, if they do not fit, or if the views do not fit them.
        """
        if weights is None:
            card = read_card(Path(__file__).with_name("card.toml"))
            raise TlbenchError(
                f"syncnet needs its checkpoint: download {card.url} and pass --weights {card.name}={card.file}"
            )
        from .checkpoint import load_model
        from .fast_model import FastSyncNet

        return cls(FastSyncNet(load_model(weights)), views, device)

    @classmethod
    def read_published(cls, path: Path) -> Package:
        from .checkpoint import read_published

        return read_published(path)

    @classmethod
    def learner(cls) -> type[Trainable]:
        from .train import TrainableSyncNet

        return TrainableSyncNet

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """Begin with a clip.

        Raises
        ------
        ClipError
            ``no-audio``; ``silent-audio`` if less than one window of it can be heard, since silence fits any mouth;
            ``too-short`` if there is too little for a single window.
        """
        if samples is None:
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream (LSE needs one); leave lse out, or add audio")
        state = self._eye.start_clip(clip, samples)
        heard_seconds = sounding_seconds(samples / FULL_SCALE, SAMPLE_RATE)
        if heard_seconds < LEAST_SOUND_SECONDS:
            raise ClipError(
                "silent-audio",
                f"clip {clip.id}: {heard_seconds:.2f} s of its sound rise above -60 dB of full scale, LSE needs "
                f"{LEAST_SOUND_SECONDS:g} s; mux the speech in, or leave lse out",
            )
        return state

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """Evidence of each clip. Each is computed by itself, so it can't depend on its neighbours."""
        return [self._eye.compute(state) for state in states]

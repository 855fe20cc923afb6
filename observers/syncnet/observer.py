"""SyncNet as an observer: how far apart lips and speech lie, for each view and each shift."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import mfcc
from tlbench.media.video import Frames
from tlbench.media.views import View, open_view
from tlbench.observing.card import read_card
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.observer import Needs, Observer, Watcher

from .checkpoint import load_model
from .decode import (
    FRAMES_LOST,
    MFCC_STEPS_A_FRAME,
    SAMPLES_A_FRAME,
    read_sync,
    shifted_distances,
    window_count,
)
from .fast import FRAMES_A_WINDOW, MFCC_A_WINDOW, SIDE, WINDOWS_A_PASS, FastSyncNet
from .view import VIEWS


class _LipWatcher:
    """The lip embeddings of one clip through one view; keeps no more frames than the windows to come need."""

    def __init__(self, view: View, net: FastSyncNet, device: torch.device) -> None:
        self._stream = open_view(view)
        self._net = net
        self._device = device
        self._pending = np.empty((0, SIDE, SIDE, 3), np.uint8)
        self._embeddings: list[Tensor] = []

    def see(self, frames: Frames) -> None:
        self._pending = np.concatenate([self._pending, self._stream.see(frames)])
        # Full passes only, so that how the clip was cut into runs changes not even the rounding.
        while len(self._pending) >= WINDOWS_A_PASS + FRAMES_LOST:
            self._embed(WINDOWS_A_PASS)

    def embeddings(self, windows: int) -> Tensor:
        """(windows, 1024), of the first windows of the clip."""
        missing = windows - sum(map(len, self._embeddings))
        if missing > 0:
            self._embed(missing)
        return torch.cat(self._embeddings)[:windows]

    def _embed(self, windows: int) -> None:
        frames = torch.from_numpy(self._pending[: windows + FRAMES_A_WINDOW - 1]).to(self._device)
        self._embeddings.append(self._net.lips(frames).cpu())
        self._pending = self._pending[windows:]


class _SyncNetWatcher(Watcher):
    def __init__(self, samples: np.ndarray, lips: dict[str, _LipWatcher]) -> None:
        self.samples = samples
        self.lips = lips
        self.frames = 0

    def see(self, generated: Frames | None, reference: Frames | None, boxes: np.ndarray | None) -> None:
        if generated is None:
            return
        if self.frames < len(self.samples) // SAMPLES_A_FRAME:  # what is shown after the sound has ended can't count
            for lips in self.lips.values():
                lips.see(generated)
        self.frames += len(generated)


class SyncNet(Observer):
    """LSE-D, LSE-C and offset.

    Evidence
    --------
    windows : int
    For each view, with its name and ``_`` in front: ``lse_d``, ``lse_c``, ``offset_frames``,
    ``zero_offset_distance``, ``mean_distance`` (31,), ``window_distance``, ``window_distance_at_zero`` and
    ``window_confidence`` (windows,); see :class:`.decode.Sync`.
    """

    name: ClassVar[str] = "syncnet"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(audio=True, weights=True)
    views: ClassVar[dict[str, str]] = {name: view.id for name, view in VIEWS.items()}

    def __init__(self, net: FastSyncNet, views: Sequence[str], device: str) -> None:
        self._device = torch.device(device)
        self._net = net.to(self._device)
        self._views = {name: VIEWS[name] for name in views}

    @classmethod
    def load(cls, weights: Path | None, views: Sequence[str], device: str) -> SyncNet:
        """Load the published network. Raises TlbenchError if there are no weights, or if they do not fit."""
        if weights is None:
            card = read_card(Path(__file__).with_name("card.toml"))
            raise TlbenchError(
                f"syncnet needs its checkpoint: download {card.url} and pass --weights {card.name}={card.file}"
            )
        return cls(FastSyncNet(load_model(weights)), views, device)

    def watch(self, clip: Clip, samples: np.ndarray | None) -> Watcher:
        """Begin with a clip. Raises ClipError if it has no audio, or too little for a single window."""
        if samples is None:
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream (LSE needs one); leave lse out, or add audio")
        window_count(FRAMES_LOST + 1, len(samples))
        return _SyncNetWatcher(
            samples, {name: _LipWatcher(view, self._net, self._device) for name, view in self._views.items()}
        )

    def conclude(self, watchers: Sequence[Watcher]) -> list[Evidence | ClipError]:
        """Evidence of each clip. Each is computed by itself, so it can't depend on its neighbours."""
        return [self._conclude(watcher) for watcher in watchers if isinstance(watcher, _SyncNetWatcher)]

    def _conclude(self, watcher: _SyncNetWatcher) -> Evidence | ClipError:
        try:
            windows = window_count(watcher.frames, len(watcher.samples))
        except ClipError as error:
            return error
        speech = self._speech(watcher.samples, windows)
        values: dict[str, Value] = {"windows": windows}
        for view, lips in watcher.lips.items():
            sync = read_sync(shifted_distances(lips.embeddings(windows), speech))
            values |= {
                f"{view}_lse_d": sync.lse_d,
                f"{view}_lse_c": sync.lse_c,
                f"{view}_offset_frames": sync.offset_frames,
                f"{view}_zero_offset_distance": sync.zero_offset_distance,
                f"{view}_mean_distance": sync.mean_distance.numpy(),
                f"{view}_window_distance": sync.window_distance.numpy(),
                f"{view}_window_distance_at_zero": sync.window_distance_at_zero.numpy(),
                f"{view}_window_confidence": sync.window_confidence.numpy(),
            }
        return Evidence(self.name, values)

    def _speech(self, samples: np.ndarray, windows: int) -> Tensor:
        """(windows, 1024) speech embeddings."""
        coefficients = torch.from_numpy(mfcc(samples)).float().T  # (13, frames)
        blocks = coefficients.unfold(1, MFCC_A_WINDOW, MFCC_STEPS_A_FRAME)[:, :windows].movedim(1, 0)  # (n, 13, 20)
        passes = torch.split(blocks.to(self._device), WINDOWS_A_PASS)
        return torch.cat([self._net.speech(block).cpu() for block in passes])

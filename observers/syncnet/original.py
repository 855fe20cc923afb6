"""SyncNet by syncnet-python, for ``tlbench checkpoints verify --against original`` and ``tests/live``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from scipy.io import wavfile

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.views import open_view
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.originals import original_file, quiet

from .decode import MAX_SHIFT_FRAMES, window_count
from .dims import PUBLISHED
from .observer import SyncNet
from .view import OWN_PREFIX, VIEWS, shown

PACKAGE = "syncnet-python"
BATCH = 20  # the original's default; no number depends on it but by rounding


def original_network() -> Any:
    """syncnet-python's network, class ``S``, with random weights. Raises TlbenchError if the package is missing."""
    return original_file(PACKAGE, "syncnet_python.SyncNetModel").S().eval()


def original_instance(network: Any) -> Any:
    """syncnet-python's ``SyncNetInstance`` on the CPU. Raises TlbenchError if the package is missing."""
    return original_file(PACKAGE, "syncnet_python.SyncNetInstance").SyncNetInstance(network, device="cpu")


def evaluate(instance: Any, pictures: np.ndarray, samples: np.ndarray) -> tuple[int, float, float]:
    """The original's ``evaluate`` on pictures and sound that it reads from files.

    Parameters
    ----------
    pictures : (n, 224, 224, 3) uint8
        BGR. They are written without loss, under the name that the original looks for.
    samples : (N,) int16
        16 kHz.

    Returns
    -------
    offset_frames, lse_c, lse_d
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures):
            coded = cv2.imencode(".png", picture)[1]
            (Path(folder) / f"{number:06d}.jpg").write_bytes(coded.tobytes())
        wavfile.write(Path(folder) / "audio.wav", SAMPLE_RATE, samples)
        with quiet():
            found: tuple[int, float, float] = instance.evaluate(
                SimpleNamespace(tmp_dir=folder, batch_size=BATCH, vshift=MAX_SHIFT_FRAMES)
            )
    return found


class Pictures(ClipState):
    """The pictures and the sound of a clip."""

    def __init__(self, clip: Clip, samples: np.ndarray, view: str) -> None:
        self.clip = clip
        self.samples = samples
        self.stream = open_view(VIEWS[view])
        self.pictures: list[np.ndarray] = []

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is not None:
            boxes = None if chunk.boxes is None else chunk.boxes[: len(chunk.generated)]
            self.pictures.append(self.stream.apply(chunk.generated, boxes))


class OriginalSyncNet(SyncNet):
    """The observer whose MFCC, network and arithmetic are syncnet-python's; pictures and samples are ours."""

    def __init__(self, instance: Any, view: str) -> None:
        self._instance, self._view = instance, view

    @classmethod
    def load_original(cls, weights: Path, view: str, code: Path | None = None) -> OriginalSyncNet:
        """Load the published file as the original does.

        Raises
        ------
        TlbenchError
            If the package is missing, or the weights are no file of the published sizes.
        """
        if code is not None:
            raise TlbenchError(
                f"--original-code {code}: for avhubert and autoavsr only; syncnet is compared with {PACKAGE}"
            )
        if weights.is_dir() or shown(view) != (PUBLISHED.side, PUBLISHED.colours):
            raise TlbenchError(f"weights {weights}: syncnet-python reads the published syncnet_v2.model only")
        instance = original_instance(original_network())
        instance.loadParameters(weights)
        return cls(instance, view)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state of a new clip. Raises ClipError if there is no sound."""
        if samples is None:
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream")
        return Pictures(clip, samples, self._view)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence ``sound_offset_frames``, ``sound_lse_c`` and ``sound_lse_d`` of each clip."""
        return [self._evaluated(state) for state in states if isinstance(state, Pictures)]

    def _evaluated(self, state: Pictures) -> Evidence | ClipError:
        pictures = np.concatenate(state.pictures)
        try:
            window_count(len(pictures), len(state.samples))
        except ClipError as error:
            return error
        offset, confidence, distance = evaluate(self._instance, pictures, state.samples)
        return Evidence(
            "syncnet",
            {
                f"{OWN_PREFIX}_offset_frames": offset,
                f"{OWN_PREFIX}_lse_c": confidence,
                f"{OWN_PREFIX}_lse_d": distance,
            },
        )

"""SyncNet at work on one clip: frames become lip embeddings as they come, speech and distances follow at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import mfcc
from tlbench.media.faces import HaarDetector
from tlbench.media.tracks import Track, crop_track, find_tracks
from tlbench.media.video import Footage, Frames
from tlbench.media.views import View, ViewStream, open_view
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.observer import Watcher

from .decode import (
    FRAMES_LOST,
    MFCC_STEPS_A_FRAME,
    SAMPLES_A_FRAME,
    Sync,
    read_sync,
    shifted_distances,
    window_count,
)
from .fast import FRAMES_A_WINDOW, MFCC_A_WINDOW, SIDE, WINDOWS_A_PASS, FastSyncNet
from .view import FACE_TRACK, VIEWS

PASSES_SIDE_BY_SIDE = 4  # at most: each holds some 60 MB; on more cores a pass gets several


class Passes:
    """The network's passes over windows, side by side, each on a core of its own.

    All cores on one pass would have to meet after each of its some hundred small products. Where anything else runs on
    the machine they then wait for each other most of the time: with one of two cores taken that was five times slower
    than this, and slower than the original's large products.
    """

    def __init__(self, net: FastSyncNet, device: torch.device) -> None:
        self._net = net.to(device)
        self._device = device
        threads = torch.get_num_threads()
        self._count = min(threads, PASSES_SIDE_BY_SIDE) if device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None
        if self._count > 1:
            # PyTorch counts threads for each thread that calls it, so the caller's own number stays as it is.
            each = threads // self._count
            self._pool = ThreadPoolExecutor(self._count, "syncnet", torch.set_num_threads, (each,))
        self._under_way: deque[Future[Tensor]] = deque()

    def lips(self, frames: np.ndarray) -> Future[Tensor]:
        """Of (n + 4, 224, 224, 3) uint8 BGR, which must not change any more, (n, 1024) on the CPU."""
        return self._begin(self._net.lips, torch.from_numpy(frames))

    def speech(self, mfcc: Tensor) -> Future[Tensor]:
        """Of (n, 13, 20) float32, (n, 1024) on the CPU."""
        return self._begin(self._net.speech, mfcc)

    def _begin(self, tower: Callable[[Tensor], Tensor], seen: Tensor) -> Future[Tensor]:
        if self._pool is None:
            done: Future[Tensor] = Future()
            done.set_result(tower(seen.to(self._device)).cpu())
            return done
        while len(self._under_way) > self._count:  # what waits takes memory: let nobody run far ahead
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(tower, seen))
        return self._under_way[-1]


class Lips:
    """The lip embeddings of a row of images; keeps no more of them than the windows to come need."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._pending = np.empty((0, SIDE, SIDE, 3), np.uint8)
        self._embeddings: list[Future[Tensor]] = []
        self._begun = 0  # windows

    def take(self, images: np.ndarray) -> None:
        """The next (n, 224, 224, 3) uint8 BGR images."""
        self._pending = np.concatenate([self._pending, images])
        # Full passes only, so that how the clip was cut into runs changes not even the rounding.
        while len(self._pending) >= WINDOWS_A_PASS + FRAMES_LOST:
            self._embed(WINDOWS_A_PASS)

    def embeddings(self, windows: int) -> Tensor:
        """(windows, 1024), of the first windows of the clip."""
        if windows > self._begun:
            self._embed(windows - self._begun)
        return torch.cat([embedding.result() for embedding in self._embeddings])[:windows]

    def _embed(self, windows: int) -> None:
        self._embeddings.append(self._passes.lips(self._pending[: windows + FRAMES_A_WINDOW - 1]))
        self._pending = self._pending[windows:]
        self._begun += windows


class SyncNetWatcher(Watcher):
    """One clip: its lips through each view of the whole frame, and the faces in each frame if tracks are asked for."""

    def __init__(
        self, clip: Clip, samples: np.ndarray, lips: dict[str, tuple[ViewStream, Lips]], detector: HaarDetector | None
    ) -> None:
        self.clip = clip
        self.samples = samples
        self.lips = lips
        self.frames = 0
        self.faces: list[np.ndarray] = []  # (k, 5) a frame
        self._detector = detector

    def see(
        self,
        generated: Frames | None,
        reference: Frames | None,
        boxes: np.ndarray | None,
        placements: np.ndarray | None = None,
    ) -> None:
        if generated is None:
            return
        if self.frames < len(self.samples) // SAMPLES_A_FRAME:  # what is shown after the sound has ended can't count
            for stream, lips in self.lips.values():
                lips.take(stream.see(generated))
        if self._detector is not None:
            self.faces += self._detector.detect_all(generated.rgb, self._detector.sure_score)
        self.frames += len(generated)


class Eye:
    """The network and the views of a run."""

    def __init__(self, net: FastSyncNet, views: Sequence[str], device: str) -> None:
        self._passes = Passes(net, torch.device(device))
        self._views: dict[str, View] = {name: VIEWS[name] for name in views if name in VIEWS}
        self._detector = HaarDetector() if FACE_TRACK.name in views else None

    def watch(self, clip: Clip, samples: np.ndarray) -> SyncNetWatcher:
        """Begin with a clip. Raises ClipError if there is too little sound for a single window."""
        window_count(FRAMES_LOST + 1, len(samples))
        lips = {name: (open_view(view), Lips(self._passes)) for name, view in self._views.items()}
        return SyncNetWatcher(clip, samples, lips, self._detector)

    def conclude(self, watcher: Watcher) -> Evidence | ClipError:
        """The evidence of a clip that has been seen."""
        assert isinstance(watcher, SyncNetWatcher)
        try:
            windows = window_count(watcher.frames, len(watcher.samples))
            values: dict[str, Value] = {"windows": windows}
            speech = self._speech(watcher.samples, windows)
            for view, (_, lips) in watcher.lips.items():
                values |= _of_whole_frame(view, read_sync(shifted_distances(lips.embeddings(windows), speech)))
            if self._detector is not None:
                values |= self._of_tracks(watcher)
        except ClipError as error:
            return error
        return Evidence("syncnet", values)

    def _of_tracks(self, watcher: SyncNetWatcher) -> dict[str, Value]:
        """Each track by itself. The video is read a second time: what is a track is known only at its end."""
        tracks = find_tracks(watcher.faces, FACE_TRACK.rule)
        seen = [Lips(self._passes) for _ in tracks]
        assert watcher.clip.generated is not None  # it has just been seen
        for run in Footage(watcher.clip.generated, 0).frames() if tracks else ():
            for track, lips in zip(tracks, seen, strict=True):
                crops = _crops(run, track)
                if len(crops):
                    lips.take(crops)
        found: list[tuple[Track, Sync]] = []
        for track, lips in zip(tracks, seen, strict=True):
            samples = watcher.samples[SAMPLES_A_FRAME * track.start : SAMPLES_A_FRAME * track.stop]
            if len(samples) // SAMPLES_A_FRAME <= FRAMES_LOST:
                continue  # the sound ended before this face came
            windows = window_count(len(track), len(samples))
            speech = self._speech(samples, windows)
            found.append((track, read_sync(shifted_distances(lips.embeddings(windows), speech))))
        return {
            "track_start": np.array([track.start for track, _ in found], np.int64),
            "track_frames": np.array([len(track) for track, _ in found], np.int64),
            "track_lse_d": np.array([sync.lse_d for _, sync in found], np.float64),
            "track_lse_c": np.array([sync.lse_c for _, sync in found], np.float64),
            "track_offset_frames": np.array([sync.offset_frames for _, sync in found], np.int64),
        }

    def _speech(self, samples: np.ndarray, windows: int) -> Tensor:
        """(windows, 1024) speech embeddings."""
        coefficients = torch.from_numpy(mfcc(samples)).float().T  # (13, frames)
        blocks = coefficients.unfold(1, MFCC_A_WINDOW, MFCC_STEPS_A_FRAME)[:, :windows].movedim(1, 0)  # (n, 13, 20)
        begun = [self._passes.speech(block) for block in torch.split(blocks, WINDOWS_A_PASS)]
        return torch.cat([embedding.result() for embedding in begun])


def _of_whole_frame(view: str, sync: Sync) -> dict[str, Value]:
    return {
        f"{view}_lse_d": sync.lse_d,
        f"{view}_lse_c": sync.lse_c,
        f"{view}_offset_frames": sync.offset_frames,
        f"{view}_zero_offset_distance": sync.zero_offset_distance,
        f"{view}_mean_distance": sync.mean_distance.numpy(),
        f"{view}_window_distance": sync.window_distance.numpy(),
        f"{view}_window_distance_at_zero": sync.window_distance_at_zero.numpy(),
        f"{view}_window_confidence": sync.window_confidence.numpy(),
    }


def _crops(run: Frames, track: Track) -> np.ndarray:
    """(n, 224, 224, 3) uint8 BGR: the track's face in those frames of a run that it spans."""
    first, last = max(run.start, track.start), min(run.start + len(run), track.stop)
    crops = [crop_track(run.rgb[index - run.start], track, index - track.start) for index in range(first, last)]
    return np.stack(crops)[..., ::-1] if crops else np.empty((0, SIDE, SIDE, 3), np.uint8)

"""SyncNet on clips: lip embeddings are computed while frames arrive, speech embeddings and distances at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import FULL_SCALE, LEAST_SOUND_SECONDS, mfcc, read_audio, sounding_seconds
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.face_tracks import Track, crop_track, find_tracks
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.shots import ShotCutter
from tlbench.media.timeline import timeline
from tlbench.media.video_reader import KEPT_VIDEO_BYTES, FrameChunk, VideoReader
from tlbench.media.views import ViewStream, open_view
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.observer import ClipChunk, ClipState

from .decode import (
    FEWEST_WINDOWS,
    FRAMES_LOST,
    MFCC_STEPS_A_FRAME,
    SAMPLES_A_FRAME,
    Sync,
    common_distances,
    read_sync,
    shifted_distances,
    widest_shift,
    window_count,
)
from .dims import Dims
from .fast_model import FRAMES_A_WINDOW, MFCC_A_WINDOW, SIDE, WINDOWS_A_PASS, FastSyncNet
from .view import COMMON_PREFIX, FACE_TRACK, OWN_PREFIX, PAPER_PREFIX, VIEWS, shown

MAX_PARALLEL_PASSES = 4  # each needs about 60 MB; with more cores a pass gets several


class Passes:
    """Runs the network on batches of windows, several at a time on a CPU, each on cores of its own.

    All cores on one batch would wait for each other after each of about a hundred small products. With another process
    on one of two cores, that was five times slower than this, and slower than the original's large products.
    """

    def __init__(self, net: FastSyncNet, device: torch.device) -> None:
        self._net = net.to(device)
        self._device = device
        threads = torch.get_num_threads()
        self._count = min(threads, MAX_PARALLEL_PASSES) if device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None
        if self._count > 1:
            # set_num_threads applies to the calling thread: the main thread's number does not change.
            each = threads // self._count
            self._pool = ThreadPoolExecutor(self._count, "syncnet", torch.set_num_threads, (each,))
        self._running: deque[Future[Tensor]] = deque()

    def lips(self, frames: np.ndarray) -> Future[Tensor]:
        """The (n, embedding) lip embeddings, on the CPU, of n + 4 pictures. Do not change the array afterwards."""
        return self._submit(self._net.lips, torch.from_numpy(frames))

    def speech(self, mfcc: Tensor) -> Future[Tensor]:
        """The (n, embedding) speech embeddings, on the CPU, of (n, 13, 20) float32 MFCC."""
        return self._submit(self._net.speech, mfcc)

    def _submit(self, tower: Callable[[Tensor], Tensor], batch: Tensor) -> Future[Tensor]:
        if self._pool is None:
            done: Future[Tensor] = Future()
            done.set_result(tower(batch.to(self._device)).cpu())
            return done
        while len(self._running) > self._count:  # waiting batches take memory
            self._running.popleft().result()
        self._running.append(self._pool.submit(tower, batch))
        return self._running[-1]


class Lips:
    """The lip embeddings of consecutive pictures; keeps only the pictures that later windows need.

    ``passes`` is None in a process without the network, which keeps all pictures until :meth:`embed_with`.
    """

    def __init__(self, passes: Passes | None, dims: Dims) -> None:
        self._passes = passes
        coloured = dims.colours == 3
        shape = (0, dims.side, dims.side, 3) if coloured else (0, dims.side, dims.side)
        self._pending = np.empty(shape, np.uint8 if coloured else np.float32)
        self._embeddings: list[Future[Tensor]] = []
        self._submitted = 0  # windows

    def take(self, images: np.ndarray) -> None:
        """Add the next pictures: (n, side, side, 3) uint8 BGR, or (n, side, side) float32 grey."""
        self._pending = np.concatenate([self._pending, images])
        self._embed_full()

    def embed_with(self, passes: Passes) -> None:
        """Let this network embed what was kept without one."""
        if self._passes is None:
            self._passes = passes
            self._pending = self._pending.copy()  # it may be read-only memory that processes share
            self._embed_full()

    def _embed_full(self) -> None:
        # Only full batches, so that the chunks of the clip do not influence the rounding.
        while self._passes is not None and len(self._pending) >= WINDOWS_A_PASS + FRAMES_LOST:
            self._embed(WINDOWS_A_PASS)

    def embeddings(self, windows: int) -> Tensor:
        """(windows, embedding) of the first windows of the clip."""
        if windows > self._submitted:
            self._embed(windows - self._submitted)
        return torch.cat([embedding.result() for embedding in self._embeddings])[:windows]

    def _embed(self, windows: int) -> None:
        assert self._passes is not None
        self._embeddings.append(self._passes.lips(self._pending[: windows + FRAMES_A_WINDOW - 1]))
        self._pending = self._pending[windows:]
        self._submitted += windows


@dataclass(frozen=True)
class Dump:
    """What the published commands read from a video whose pictures start later than the file.

    Attributes
    ----------
    filled : int
        Copies of the first picture that they insert before it.
    samples : (N,) int16
        The audio, counted from the start of the file.
    """

    filled: int
    samples: np.ndarray


def dump_of(clip: Clip, samples: np.ndarray) -> Dump:
    """How the published commands read a clip: ``ffmpeg -i FILE -f image2`` and ``ffmpeg -i FILE -async 1``.

    Both count from the start of the file. For images ffmpeg keeps a constant rate, so it repeats the first picture:
    ``llrintf(late + 1)`` times if more than 1.1 frames are due (``video_sync_process`` in fftools/ffmpeg_enc.c). Audio
    from a separate file is read unchanged.
    """
    if clip.generated is None:
        return Dump(0, samples)
    late_seconds = timeline(clip.generated).pictures_late_seconds
    late_frames = late_seconds * FRAMES_PER_SECOND
    filled = round(late_frames + 1) - 1 if late_frames > Fraction(1, 10) else 0
    if late_seconds and clip.audio is None:
        samples = read_audio(clip.generated, from_file_start=True)
    return Dump(filled, samples)


class TrackLips:
    """The lips of each tracked face of one clip, which are known only once all frames have passed.

    Frames are kept as long as all of them fit into :data:`KEPT_VIDEO_BYTES`, or if they come from no file; a longer
    video is read a second time.

    Parameters
    ----------
    start : callable
        Gives Lips without pictures.
    detector : BlazeFaceDetector
    generated : Path or None
        The video.

    Attributes
    ----------
    shots : int
        Number of shots.
    lips : list of (Track, Lips)
    """

    def __init__(self, start: Callable[[], Lips], detector: BlazeFaceDetector, generated: Path | None) -> None:
        self.shots = 0
        self.lips: list[tuple[Track, Lips]] = []
        self._start = start
        self._generated = generated
        self._detector = detector
        self._cutter = ShotCutter()
        self._faces: list[np.ndarray] = []  # (k, 5) per frame
        self._kept: list[FrameChunk] | None = []
        self._bytes_left = KEPT_VIDEO_BYTES

    def take(self, frames: FrameChunk) -> None:
        """Look for faces and cuts in the next frames."""
        self._faces += self._detector.detect_all(frames.rgb, self._detector.sure_score)
        self._cutter.take(frames.rgb)
        self._bytes_left -= frames.rgb.nbytes * 3 // 2  # the decoder's layout too
        if self._kept is not None:
            self._kept.append(frames)
            if self._bytes_left < 0 and self._generated is not None:
                self._kept = None

    def crop(self) -> None:
        """After the last frame: find the tracks and crop their faces. Raises ClipError if the video can't be read."""
        shots = self._cutter.shots()
        self.shots = len(shots)
        tracks = find_tracks(self._faces, FACE_TRACK.rule, shots)
        if tracks:
            chunks: Iterable[FrameChunk] = self._kept or ()
            if self._kept is None and self._generated is not None:
                chunks = VideoReader(self._generated, 0).frames()
            self.lips = track_lips(tracks, chunks, self._start)
        self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        """What :meth:`crop` has found."""
        return {"shots": self.shots, "lips": self.lips}


class SyncNetClipState(ClipState):
    """The lips of one clip through each view of the whole frame, and of each tracked face if tracks are needed."""

    def __init__(
        self,
        clip: Clip,
        samples: np.ndarray,
        dump: Dump,
        lips: dict[str, tuple[ViewStream | None, Lips]],
        tracks: TrackLips | None,
    ) -> None:
        self.clip = clip
        self.samples = samples
        self.dump = dump
        self.lips = lips
        self.frames = 0
        self.tracks = tracks

    def __getstate__(self) -> dict[str, Any]:
        """Without views: a clip that goes to another process has shown all its frames."""
        return {**self.__dict__, "lips": {prefix: (None, lips) for prefix, (_, lips) in self.lips.items()}}

    def update(self, chunk: ClipChunk) -> None:
        generated = chunk.generated
        if generated is None:
            return
        # There may be more boxes than frames: they cover the longer of both videos.
        boxes = None if chunk.boxes is None else chunk.boxes[: len(generated)]
        for prefix, (stream, lips) in self.lips.items():
            assert stream is not None
            dumped = prefix == PAPER_PREFIX
            before = self.dump.filled if dumped else 0
            samples = self.dump.samples if dumped else self.samples
            if self.frames + before >= len(samples) // SAMPLES_A_FRAME:
                continue  # frames after the end of the audio are not compared
            shown_frames = generated
            if before and not self.frames:
                shown_frames = replace(generated, native=(generated.native[0],) * before + generated.native)
            lips.take(stream.apply(shown_frames, boxes))
        if self.tracks is not None:
            self.tracks.take(generated)
        self.frames += len(generated)

    def end(self) -> None:
        if self.tracks is not None:
            self.tracks.crop()


class SyncNetStart:
    """Starts clips for the views of a run; without ``passes`` their lips wait for a network in another process.

    Raises
    ------
    TlbenchError
        If a view shows other pictures than the network needs, or two views would have the same prefix.
    """

    def __init__(self, dims: Dims, views: Sequence[str], passes: Passes | None = None) -> None:
        self._dims = dims
        self._passes = passes
        self._views = {_prefix(name): VIEWS[name] for name in views if name in VIEWS}
        own = [name for name in views if name in VIEWS and _prefix(name) == OWN_PREFIX]
        if len(own) > 1:
            raise TlbenchError(f"syncnet has one view of the run at a time; got {', '.join(own)}")
        for name in views:
            _check_pictures(name, self._dims)
        self._detector = BlazeFaceDetector() if FACE_TRACK.name in views else None

    def __call__(self, clip: Clip, samples: np.ndarray | None) -> SyncNetClipState:
        """The state of a new clip.

        Raises
        ------
        ClipError
            ``no-audio``; ``silent-audio`` if less than one window is audible, because silence matches any mouth;
            ``too-short`` if the audio is shorter than one window.
        """
        if samples is None:
            raise ClipError("no-audio", f"clip {clip.id}: no audio stream (LSE needs one); leave lse out, or add audio")
        window_count(FRAMES_LOST + 1, len(samples))
        start = partial(Lips, self._passes, self._dims)
        lips: dict[str, tuple[ViewStream | None, Lips]] = {
            prefix: (open_view(view), start()) for prefix, view in self._views.items()
        }
        dump = dump_of(clip, samples) if PAPER_PREFIX in lips else Dump(0, samples)
        tracks = None if self._detector is None else TrackLips(start, self._detector, clip.generated)
        state = SyncNetClipState(clip, samples, dump, lips, tracks)
        audible_seconds = sounding_seconds(samples / FULL_SCALE, SAMPLE_RATE)
        if audible_seconds < LEAST_SOUND_SECONDS:
            raise ClipError(
                "silent-audio",
                f"clip {clip.id}: {audible_seconds:.2f} s of its audio are above -60 dB of full scale, LSE needs "
                f"{LEAST_SOUND_SECONDS:g} s; mux the speech in, or leave lse out",
            )
        return state


class SyncNetInference:
    """The network and the views of a run.

    Raises
    ------
    TlbenchError
        If a view shows other pictures than the network needs, or two views would have the same prefix.
    """

    def __init__(self, net: FastSyncNet, views: Sequence[str], device: str) -> None:
        self._dims = net.dims
        self._passes = Passes(net, torch.device(device))
        self.start = SyncNetStart(net.dims, views, self._passes)

    def compute(self, state: ClipState) -> Evidence | ClipError:
        """The evidence of a clip, or the reason why there is none."""
        assert isinstance(state, SyncNetClipState)
        try:
            lips_by_prefix = {prefix: lips for prefix, (_, lips) in state.lips.items()}
            for lips in lips_by_prefix.values():
                lips.embed_with(self._passes)
            values: dict[str, Value] = {}
            dump = state.dump
            if dump.samples is not state.samples or dump.filled:
                published = {name: lips_by_prefix.pop(name) for name in (PAPER_PREFIX,) if name in lips_by_prefix}
                values |= sync_values(self._passes, published, state.frames + dump.filled, dump.samples)
            if lips_by_prefix or not values:
                values |= sync_values(self._passes, lips_by_prefix, state.frames, state.samples)
            if state.tracks is not None:
                values |= {
                    "track_shots": state.tracks.shots,
                    **track_values(self._passes, state.tracks.lips, state.samples),
                }
        except ClipError as error:
            return error
        return Evidence("syncnet", values)


def track_lips(
    tracks: Sequence[Track], chunks: Iterable[FrameChunk], start: Callable[[], Lips]
) -> list[tuple[Track, Lips]]:
    """Each track with the lips of its face.

    Parameters
    ----------
    tracks : sequence of Track
    chunks : iterable of FrameChunk
        The frames of the video.
    start : callable
        Gives Lips without pictures.
    """
    found = [(track, start()) for track in tracks]
    for chunk in chunks:
        for track, lips in found:
            crops = _crops(chunk, track)
            if len(crops):
                lips.take(crops)
    return found


def track_values(passes: Passes, lips_of_tracks: Sequence[tuple[Track, Lips]], samples: np.ndarray) -> dict[str, Value]:
    """The values of each track that has sound.

    Parameters
    ----------
    passes : Passes
    lips_of_tracks : sequence of (Track, Lips)
        See :func:`track_lips`.
    samples : (N,) int16
        The sound of the video.
    """
    for _, lips in lips_of_tracks:
        lips.embed_with(passes)
    found: list[tuple[Track, Sync]] = []
    common: list[tuple[Track, Sync]] = []
    for track, lips in lips_of_tracks:
        own = samples[SAMPLES_A_FRAME * track.start : SAMPLES_A_FRAME * track.stop]
        if len(own) // SAMPLES_A_FRAME <= FRAMES_LOST:
            continue  # the audio ends before this track starts
        windows = window_count(len(track), len(own))
        speech = speech_embeddings(passes, own, windows)
        embeddings = lips.embeddings(windows)
        found.append((track, read_sync(shifted_distances(embeddings, speech))))
        if windows >= FEWEST_WINDOWS:
            common.append((track, read_sync(common_distances(embeddings, speech, widest_shift(windows)))))
    return {
        "track_start": np.array([track.start for track, _ in found], np.int64),
        "track_frames": np.array([len(track) for track, _ in found], np.int64),
        "track_faces": np.array([track.faces for track, _ in found], np.int64),
        "track_lse_d": np.array([sync.lse_d for _, sync in found], np.float64),
        "track_lse_c": np.array([sync.lse_c for _, sync in found], np.float64),
        "track_offset_frames": np.array([sync.offset_frames for _, sync in found], np.int64),
        "track_common_faces": np.array([track.faces for track, _ in common], np.int64),
        "track_common_lse_d": np.array([sync.lse_d for _, sync in common], np.float64),
        "track_common_lse_c": np.array([sync.lse_c for _, sync in common], np.float64),
    }


def sync_values(
    passes: Passes, lips_by_prefix: Mapping[str, Lips], frames: int, samples: np.ndarray
) -> dict[str, Value]:
    """The evidence of a clip.

    Parameters
    ----------
    passes : Passes
    lips_by_prefix : mapping of str to Lips
        The lips through each view, by the prefix of the view's values.
    frames : int
    samples : (N,) int16

    Raises
    ------
    ClipError
        ``too-short``.
    """
    windows = window_count(frames, len(samples))
    values: dict[str, Value] = {"windows": windows}
    speech = speech_embeddings(passes, samples, windows)
    for prefix, lips_of_view in lips_by_prefix.items():
        lips = lips_of_view.embeddings(windows)
        values |= _of_whole_frame(prefix, read_sync(shifted_distances(lips, speech)))
        if prefix == OWN_PREFIX:
            values |= _over_common_speech(lips, speech)
    return values


def _over_common_speech(lips: Tensor, speech: Tensor) -> dict[str, Value]:
    """The values over the same speech at every shift; only a shift of 0 for a clip that is too short."""
    try:
        shift = widest_shift(len(speech))
    except ClipError:
        return {f"{COMMON_PREFIX}_max_shift_frames": 0}
    values = _of_whole_frame(COMMON_PREFIX, read_sync(common_distances(lips, speech, shift)))
    return values | {
        f"{COMMON_PREFIX}_max_shift_frames": shift,
        f"{COMMON_PREFIX}_windows": len(speech) - 2 * shift,
    }


def speech_embeddings(passes: Passes, samples: np.ndarray, windows: int) -> Tensor:
    """The (windows, embedding) speech embeddings of the first windows of a clip."""
    futures = [passes.speech(block) for block in torch.split(speech_blocks(samples, windows), WINDOWS_A_PASS)]
    return torch.cat([embedding.result() for embedding in futures])


def speech_blocks(samples: np.ndarray, windows: int) -> Tensor:
    """(windows, 13, 20) float32: the MFCC of the first windows of a clip."""
    coefficients = torch.from_numpy(mfcc(samples)).float().T  # (13, steps)
    return coefficients.unfold(1, MFCC_A_WINDOW, MFCC_STEPS_A_FRAME)[:, :windows].movedim(1, 0)


def _prefix(view: str) -> str:
    """The prefix of a view's values: ``paper`` for the published view, ``sound`` for the run's own view."""
    return view if view == PAPER_PREFIX else OWN_PREFIX


def _check_pictures(view: str, dims: Dims) -> None:
    """Raises TlbenchError if a view shows other pictures than the network needs."""
    wanted = (dims.side, dims.colours)
    if shown(view) != wanted:
        fitting = [other for other in VIEWS if shown(other) == wanted]
        way_out = f"choose --view syncnet={' or '.join(fitting)}" if fitting else "no view fits it"
        raise TlbenchError(
            f"syncnet: this network sees {_in_words(wanted)}, view {view!r} shows {_in_words(shown(view))}; {way_out}, "
            "and leave out metrics with another view"
        )


def _in_words(pictures: tuple[int, int]) -> str:
    side, colours = pictures
    return f"{side}x{side} {'coloured' if colours == 3 else 'grey'}"


def _of_whole_frame(prefix: str, sync: Sync) -> dict[str, Value]:
    return {
        f"{prefix}_lse_d": sync.lse_d,
        f"{prefix}_lse_c": sync.lse_c,
        f"{prefix}_offset_frames": sync.offset_frames,
        f"{prefix}_zero_offset_distance": sync.zero_offset_distance,
        f"{prefix}_mean_distance": sync.mean_distance.numpy(),
        f"{prefix}_window_distance": sync.window_distance.numpy(),
        f"{prefix}_window_distance_at_zero": sync.window_distance_at_zero.numpy(),
        f"{prefix}_window_confidence": sync.window_confidence.numpy(),
    }


def _crops(chunk: FrameChunk, track: Track) -> np.ndarray:
    """(n, 224, 224, 3) uint8 BGR: the track's face in those frames of a run that it spans."""
    first, last = max(chunk.start, track.start), min(chunk.start + len(chunk), track.stop)
    crops = [crop_track(chunk.rgb[index - chunk.start], track, index - track.start) for index in range(first, last)]
    return np.stack(crops)[..., ::-1] if crops else np.empty((0, SIDE, SIDE, 3), np.uint8)

"""SyncNet at work on one clip: frames become lip embeddings as they come, speech and distances follow at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import mfcc, read_audio
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.face_tracks import Track, crop_track, find_tracks
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.timeline import timeline
from tlbench.media.video_reader import FrameChunk, VideoReader
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
from .view import COMMON_FINDINGS, FACE_TRACK, OWN_FINDINGS, PAPER_FINDINGS, VIEWS, shown

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
        """Of n + 4 pictures, which must not change any more, (n, embedding) on the CPU."""
        return self._begin(self._net.lips, torch.from_numpy(frames))

    def speech(self, mfcc: Tensor) -> Future[Tensor]:
        """Of (n, 13, 20) float32, (n, embedding) on the CPU."""
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
    """The lip embeddings of a row of pictures; keeps no more of them than the windows to come need."""

    def __init__(self, passes: Passes, dims: Dims) -> None:
        self._passes = passes
        coloured = dims.colours == 3
        shape = (0, dims.side, dims.side, 3) if coloured else (0, dims.side, dims.side)
        self._pending = np.empty(shape, np.uint8 if coloured else np.float32)
        self._embeddings: list[Future[Tensor]] = []
        self._begun = 0  # windows

    def take(self, images: np.ndarray) -> None:
        """The next (n, side, side, 3) uint8 BGR pictures, or (n, side, side) float32 grey ones."""
        self._pending = np.concatenate([self._pending, images])
        # Full passes only, so that how the clip was cut into runs changes not even the rounding.
        while len(self._pending) >= WINDOWS_A_PASS + FRAMES_LOST:
            self._embed(WINDOWS_A_PASS)

    def embeddings(self, windows: int) -> Tensor:
        """(windows, embedding), of the first windows of the clip."""
        if windows > self._begun:
            self._embed(windows - self._begun)
        return torch.cat([embedding.result() for embedding in self._embeddings])[:windows]

    def _embed(self, windows: int) -> None:
        self._embeddings.append(self._passes.lips(self._pending[: windows + FRAMES_A_WINDOW - 1]))
        self._pending = self._pending[windows:]
        self._begun += windows


@dataclass(frozen=True)
class Dump:
    """What the published dump of a video has where its pictures begin after the file does.

    Attributes
    ----------
    filled : int
        Copies of the first picture before it.
    samples : (N,) int16
        The sound, counted from the start of the file.
    """

    filled: int
    samples: np.ndarray


def dump_of(clip: Clip, samples: np.ndarray) -> Dump:
    """How the published commands read a clip: ``ffmpeg -i FILE -f image2`` and ``ffmpeg -i FILE -async 1``.

    Both count from the start of the file. For images ffmpeg keeps a constant rate, so it writes the first picture as
    often as it takes to get there: ``llrintf(late + 1)`` times if more than 1.1 frames are due (``video_sync_process``
    in fftools/ffmpeg_enc.c). Sound given separately is read as it is.
    """
    if clip.generated is None:
        return Dump(0, samples)
    late_seconds = timeline(clip.generated).pictures_late_seconds
    late_frames = late_seconds * FRAMES_PER_SECOND
    filled = round(late_frames + 1) - 1 if late_frames > Fraction(1, 10) else 0
    if late_seconds and clip.audio is None:
        samples = read_audio(clip.generated, from_file_start=True)
    return Dump(filled, samples)


class SyncNetClipState(ClipState):
    """One clip: its lips through each view of the whole frame, and the faces in each frame if tracks are asked for."""

    def __init__(
        self,
        clip: Clip,
        samples: np.ndarray,
        dump: Dump,
        lips: dict[str, tuple[ViewStream, Lips]],
        detector: BlazeFaceDetector | None,
    ) -> None:
        self.clip = clip
        self.samples = samples
        self.dump = dump
        self.lips = lips
        self.frames = 0
        self.faces: list[np.ndarray] = []  # (k, 5) a frame
        self._detector = detector

    def update(self, chunk: ClipChunk) -> None:
        generated = chunk.generated
        if generated is None:
            return
        # There may be more boxes than frames: they cover the longer of both videos.
        boxes = None if chunk.boxes is None else chunk.boxes[: len(generated)]
        for prefix, (stream, lips) in self.lips.items():
            dumped = prefix == PAPER_FINDINGS
            before = self.dump.filled if dumped else 0
            samples = self.dump.samples if dumped else self.samples
            if self.frames + before >= len(samples) // SAMPLES_A_FRAME:
                continue  # what is shown after the sound has ended can't count
            seen = generated
            if before and not self.frames:
                seen = FrameChunk(0, (generated.native[0],) * before + generated.native)
            lips.take(stream.apply(seen, boxes))
        if self._detector is not None:
            self.faces += self._detector.detect_all(generated.rgb, self._detector.sure_score)
        self.frames += len(generated)


class SyncNetInference:
    """The network and the views of a run.

    Raises
    ------
    TlbenchError
        If a view shows other pictures than the network sees, or two views would give findings of one name.
    """

    def __init__(self, net: FastSyncNet, views: Sequence[str], device: str) -> None:
        self._dims = net.dims
        self._passes = Passes(net, torch.device(device))
        self._views = {_prefix(name): VIEWS[name] for name in views if name in VIEWS}
        own = [name for name in views if name in VIEWS and _prefix(name) == OWN_FINDINGS]
        if len(own) > 1:
            raise TlbenchError(f"syncnet looks through one view of the run at a time; got {', '.join(own)}")
        for name in views:
            _check_pictures(name, self._dims)
        self._detector = BlazeFaceDetector() if FACE_TRACK.name in views else None

    def start_clip(self, clip: Clip, samples: np.ndarray) -> SyncNetClipState:
        """Begin with a clip. Raises ClipError if there is too little sound for a single window."""
        window_count(FRAMES_LOST + 1, len(samples))
        lips = {prefix: (open_view(view), Lips(self._passes, self._dims)) for prefix, view in self._views.items()}
        dump = dump_of(clip, samples) if PAPER_FINDINGS in lips else Dump(0, samples)
        return SyncNetClipState(clip, samples, dump, lips, self._detector)

    def compute(self, state: ClipState) -> Evidence | ClipError:
        """The evidence of a clip that has been seen."""
        assert isinstance(state, SyncNetClipState)
        try:
            seen = {prefix: lips for prefix, (_, lips) in state.lips.items()}
            values: dict[str, Value] = {}
            dump = state.dump
            if dump.samples is not state.samples or dump.filled:
                published = {name: seen.pop(name) for name in (PAPER_FINDINGS,) if name in seen}
                values |= findings(self._passes, published, state.frames + dump.filled, dump.samples)
            if seen or not values:
                values |= findings(self._passes, seen, state.frames, state.samples)
            if self._detector is not None:
                values |= self._of_tracks(state)
        except ClipError as error:
            return error
        return Evidence("syncnet", values)

    def _of_tracks(self, state: SyncNetClipState) -> dict[str, Value]:
        """Each track by itself. The video is read a second time: what is a track is known only at its end."""
        tracks = find_tracks(state.faces, FACE_TRACK.rule)
        seen = [Lips(self._passes, self._dims) for _ in tracks]
        assert state.clip.generated is not None  # it has just been seen
        for chunk in VideoReader(state.clip.generated, 0).frames() if tracks else ():
            for track, lips in zip(tracks, seen, strict=True):
                crops = _crops(chunk, track)
                if len(crops):
                    lips.take(crops)
        found: list[tuple[Track, Sync]] = []
        common: list[Sync] = []
        for track, lips in zip(tracks, seen, strict=True):
            samples = state.samples[SAMPLES_A_FRAME * track.start : SAMPLES_A_FRAME * track.stop]
            if len(samples) // SAMPLES_A_FRAME <= FRAMES_LOST:
                continue  # the sound ended before this face came
            windows = window_count(len(track), len(samples))
            speech = speech_embeddings(self._passes, samples, windows)
            embeddings = lips.embeddings(windows)
            found.append((track, read_sync(shifted_distances(embeddings, speech))))
            if windows >= FEWEST_WINDOWS:
                common.append(read_sync(common_distances(embeddings, speech, widest_shift(windows))))
        return {
            "track_start": np.array([track.start for track, _ in found], np.int64),
            "track_frames": np.array([len(track) for track, _ in found], np.int64),
            "track_lse_d": np.array([sync.lse_d for _, sync in found], np.float64),
            "track_lse_c": np.array([sync.lse_c for _, sync in found], np.float64),
            "track_offset_frames": np.array([sync.offset_frames for _, sync in found], np.int64),
            "track_common_lse_d": np.array([sync.lse_d for sync in common], np.float64),
            "track_common_lse_c": np.array([sync.lse_c for sync in common], np.float64),
        }


def findings(passes: Passes, seen: Mapping[str, Lips], frames: int, samples: np.ndarray) -> dict[str, Value]:
    """What is said of a clip.

    Parameters
    ----------
    seen : mapping
        Its lips through each view of the frame, by what the names of the findings begin with.
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
    for prefix, seen_lips in seen.items():
        lips = seen_lips.embeddings(windows)
        values |= _of_whole_frame(prefix, read_sync(shifted_distances(lips, speech)))
        if prefix == OWN_FINDINGS:
            values |= _over_common_speech(lips, speech)
    return values


def _over_common_speech(lips: Tensor, speech: Tensor) -> dict[str, Value]:
    """What the same windows of speech say at every shift; of a clip that is too short for it, that it is."""
    try:
        shift = widest_shift(len(speech))
    except ClipError:
        return {f"{COMMON_FINDINGS}_max_shift_frames": 0}
    values = _of_whole_frame(COMMON_FINDINGS, read_sync(common_distances(lips, speech, shift)))
    return values | {
        f"{COMMON_FINDINGS}_max_shift_frames": shift,
        f"{COMMON_FINDINGS}_windows": len(speech) - 2 * shift,
    }


def speech_embeddings(passes: Passes, samples: np.ndarray, windows: int) -> Tensor:
    """(windows, embedding)."""
    begun = [passes.speech(block) for block in torch.split(speech_blocks(samples, windows), WINDOWS_A_PASS)]
    return torch.cat([embedding.result() for embedding in begun])


def speech_blocks(samples: np.ndarray, windows: int) -> Tensor:
    """(windows, 13, 20) float32: the MFCC of the first windows of a clip."""
    coefficients = torch.from_numpy(mfcc(samples)).float().T  # (13, steps)
    return coefficients.unfold(1, MFCC_A_WINDOW, MFCC_STEPS_A_FRAME)[:, :windows].movedim(1, 0)


def _prefix(view: str) -> str:
    """What the names of a view's findings begin with: ``paper``, or that of the view the run looks through."""
    return view if view == PAPER_FINDINGS else OWN_FINDINGS


def _check_pictures(view: str, dims: Dims) -> None:
    """Raises TlbenchError if a view shows other pictures than the network sees."""
    wanted = (dims.side, dims.colours)
    if shown(view) != wanted:
        fitting = [other for other in VIEWS if shown(other) == wanted]
        way_out = f"choose --view syncnet={' or '.join(fitting)}" if fitting else "no view fits it"
        raise TlbenchError(
            f"syncnet: this network sees {_in_words(wanted)}, view {view!r} shows {_in_words(shown(view))}; {way_out}, "
            "and leave out metrics that name another"
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

"""For each frame of a clip, the mouth of other clips at the moment with the most similar sound.

The oldest way to make a face speak (Video Rewrite, Bregler et al. 1997, chose by phonemes), and a floor: a generator
that maps sound to mouths frame by frame, without context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_whole_audio
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.media.video_reader import read_video

CONTEXT_FRAMES = 2  # on each side of a frame: 0.2 s of sound, as for generators with a local audio encoder
MOST = 200  # clips that are searched for one clip; if there are more, every k-th
KEPT_CLIPS = 256  # clips with mouths in memory, about 1 MB each
SAMPLES_PER_FRAME = 640  # 16 kHz, 25 frames a second


class MouthIndex:
    """Finds mouths in a set of clips by their sound. Deterministic.

    Parameters
    ----------
    clips : sequence of Clip
        With real videos.
    boxes_of : Clip -> (T, 4) int
        Face boxes of a real video.

    Raises
    ------
    TlbenchError
        If there are fewer than two clips.
    """

    def __init__(self, clips: Sequence[Clip], boxes_of: Callable[[Clip], np.ndarray]) -> None:
        check_enough(clips)
        self._clips = sorted(clips, key=lambda clip: clip.id)
        self._by_id = {clip.id: clip for clip in clips}
        self._boxes_of = boxes_of
        self._features: dict[str, np.ndarray | None] = {}  # (T, 104) float32; None for a clip without sound
        self._mouths = lru_cache(KEPT_CLIPS)(self._read_mouths)

    @property
    def ids(self) -> list[str]:
        """The ids of all clips, sorted; together with the sound they decide every choice."""
        return [clip.id for clip in self._clips]

    def mouths(self, clip: Clip, samples: np.ndarray, frames: int) -> tuple[np.ndarray, ...]:
        """For each frame of a clip the mouth of another clip: (height, width, 3) uint8 RGB each.

        Raises
        ------
        ClipError
            ``no-neighbour`` if no other clip has sound; the errors of reading the clip that a mouth is taken from.
        """
        return tuple(self._mouths(other)[frame] for other, frame in self.nearest(clip, samples, frames))

    def nearest(self, clip: Clip, samples: np.ndarray, frames: int) -> list[tuple[str, int]]:
        """For each frame of a clip, the id of another clip and its frame with the most similar sound.

        Another clip of the same speaker if there is one, else of any speaker. Of equally similar ones, the first by
        id. Raises ClipError ``no-neighbour``.
        """
        wanted = in_context(stacked_filterbanks(samples, frames))
        nearest_squared = np.full(frames, np.inf)
        chosen = [("", 0)] * frames
        for other in self._others(clip):
            features = self._features_of(other)
            if features is None:
                continue
            there = in_context(features)
            squared = np.square(wanted).sum(1)[:, None] - 2 * wanted @ there.T + np.square(there).sum(1)  # (T, M)
            best = squared.argmin(axis=1)
            for frame in np.flatnonzero(squared.min(axis=1) < nearest_squared):
                nearest_squared[frame] = squared[frame, best[frame]]
                chosen[frame] = other.id, int(best[frame])
        if frames and not chosen[0][0]:
            raise ClipError("no-neighbour", f"clip {clip.id}: no other clip has sound to find mouths by")
        return chosen

    def _others(self, clip: Clip) -> list[Clip]:
        others = [other for other in self._clips if other.id != clip.id]
        same = [other for other in others if clip.speaker is not None and other.speaker == clip.speaker]
        found = same or others
        return found[:: -(-len(found) // MOST)]

    def _features_of(self, clip: Clip) -> np.ndarray | None:
        """Audio features of the frames with both sound and picture; None if the clip can't be used."""
        if clip.id not in self._features:
            self._features[clip.id] = self._read_features(clip)
        return self._features[clip.id]

    def _read_features(self, clip: Clip) -> np.ndarray | None:
        if clip.reference is None:
            return None
        try:
            samples, boxes = read_whole_audio(clip.reference), self._boxes_of(clip)
        except ClipError:
            return None
        frames = min(len(samples) // SAMPLES_PER_FRAME, len(boxes))
        return stacked_filterbanks(samples, frames) if frames else None

    def _read_mouths(self, clip_id: str) -> list[np.ndarray]:
        clip = self._by_id[clip_id]
        assert clip.reference is not None  # it has features
        frames, boxes = read_video(clip.reference), self._boxes_of(clip)
        if len(boxes) < len(frames):
            raise ClipError("bad-boxes", f"clip {clip_id}: {len(boxes)} boxes for {len(frames)} frames; make them anew")
        halves = mouth_halves(boxes[: len(frames)], *frames.shape[1:3])
        return [frame[half].copy() for frame, half in zip(frames, halves, strict=True)]


def check_enough(clips: Sequence[Clip]) -> None:
    """Raise TlbenchError for fewer than two clips."""
    if len(clips) < 2:
        raise TlbenchError(
            f"nearest-mouth: {len(clips)} clip has no other one to take mouths from; select at least two"
        )


def in_context(rows: np.ndarray) -> np.ndarray:
    """(T, C) to (T, 5 C) float64: each row with the two before and the two after it; the ends are repeated."""
    padded = np.pad(rows, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)), "edge")
    windows = [padded[shift : shift + len(rows)] for shift in range(2 * CONTEXT_FRAMES + 1)]
    return np.concatenate(windows, axis=1).astype(np.float64)


def mouth_halves(boxes: np.ndarray, height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the lower half of each frame's face box, clipped to the frame."""
    halves = []
    for x1, y1, x2, y2 in boxes.tolist():
        top, bottom = np.clip([(y1 + y2) // 2, y2], 0, height)
        left, right = np.clip([x1, x2], 0, width)
        halves.append((slice(int(top), int(bottom)), slice(int(left), int(right))))
    return halves

"""Mouths that were seen when the same was heard: for each frame of a clip, that of the most alike moment of others.

The oldest way to make a face speak (Video Rewrite, Bregler et al. 1997, had it by phonemes) and a floor with a meaning:
a generator that learned nothing but which sound goes with which mouth, without a thought for what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.media.video_reader import read_video

CONTEXT_FRAMES = 2  # on each side of a frame: 0.2 s in all, as generators with a local audio encoder hear
MOST = 200  # clips that are looked through for one; of more, every so-manieth
KEPT_CLIPS = 256  # whose mouths stay in memory, about 1 MB each
SAMPLES_PER_FRAME = 640  # 16 kHz, 25 frames a second


class MouthIndex:
    """The mouths of a set of clips, found by what is heard. Nothing is drawn by chance.

    Parameters
    ----------
    clips : sequence of Clip
        With references.
    boxes_of : Clip -> (T, 4) int
        Face boxes of a reference.

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
        self._heard: dict[str, np.ndarray | None] = {}  # (T, 104) float32; None where there is no sound
        self._mouths = lru_cache(KEPT_CLIPS)(self._read_mouths)

    @property
    def ids(self) -> list[str]:
        """Of all clips, in order: they decide every choice."""
        return [clip.id for clip in self._clips]

    def mouths(self, clip: Clip, samples: np.ndarray, frames: int) -> tuple[np.ndarray, ...]:
        """For each frame of a clip the mouth of another clip: (height, width, 3) uint8 RGB each.

        Raises
        ------
        ClipError
            ``no-neighbour`` if no other clip has sound, and whatever is wrong with a clip that a mouth is taken from.
        """
        return tuple(self._mouths(other)[frame] for other, frame in self.nearest(clip, samples, frames))

    def nearest(self, clip: Clip, samples: np.ndarray, frames: int) -> list[tuple[str, int]]:
        """For each frame of a clip the id of another, and the frame of it at which the most similar thing is heard.

        Of the same speaker if the data set knows another clip of him or her, else of anybody. Equally near ones: the
        first by id. Raises ClipError ``no-neighbour``.
        """
        wanted = in_context(stacked_filterbanks(samples, frames))
        nearest_squared = np.full(frames, np.inf)
        chosen = [("", 0)] * frames
        for other in self._others(clip):
            heard = self._listen(other)
            if heard is None:
                continue
            there = in_context(heard)
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

    def _listen(self, clip: Clip) -> np.ndarray | None:
        """Features of the frames that have both sound and picture; None if the clip can't be used."""
        if clip.id not in self._heard:
            self._heard[clip.id] = self._features(clip)
        return self._heard[clip.id]

    def _features(self, clip: Clip) -> np.ndarray | None:
        if clip.reference is None:
            return None
        try:
            samples, boxes = read_audio(clip.reference), self._boxes_of(clip)
        except ClipError:
            return None
        frames = min(len(samples) // SAMPLES_PER_FRAME, len(boxes))
        return stacked_filterbanks(samples, frames) if frames else None

    def _read_mouths(self, clip_id: str) -> list[np.ndarray]:
        clip = self._by_id[clip_id]
        assert clip.reference is not None  # it was heard
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
    """(T, C) to (T, 5 C) float64: each row between the two before and the two after it; the ends are repeated."""
    padded = np.pad(rows, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)), "edge")
    windows = [padded[shift : shift + len(rows)] for shift in range(2 * CONTEXT_FRAMES + 1)]
    return np.concatenate(windows, axis=1).astype(np.float64)


def mouth_halves(boxes: np.ndarray, height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each frame's mouth: the face box from half its height down, cut to the frame."""
    halves = []
    for x1, y1, x2, y2 in boxes.tolist():
        top, bottom = np.clip([(y1 + y2) // 2, y2], 0, height)
        left, right = np.clip([x1, x2], 0, width)
        halves.append((slice(int(top), int(bottom)), slice(int(left), int(right))))
    return halves

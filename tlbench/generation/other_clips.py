"""What a generator takes from other clips of the run: the speech of one, mouths of many, or the face of one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError, shortened
from tlbench.generation.generator import GeneratorNeeds, StandIn
from tlbench.generation.nearest_mouth import MouthIndex
from tlbench.generation.stand_ins import StandInMatch, envelope, match_stand_ins
from tlbench.media.audio import read_whole_audio
from tlbench.media.frame_rows import repeat_last
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.video_reader import read_video
from tlbench.observing.face_boxes import BoxFinder


class OtherClips:
    """The clips of a run, as donors of speech, mouths and faces.

    Parameters
    ----------
    needs : GeneratorNeeds
    clips : sequence of Clip
    finder : BoxFinder or None
        Needed for mouths and faces.
    seed : int
        Decides which clip's speech each clip is given.

    Raises
    ------
    TlbenchError
        If there are fewer than two clips and something is needed of others, or no clip has a stand-in.
    """

    def __init__(self, needs: GeneratorNeeds, clips: Sequence[Clip], finder: BoxFinder | None, seed: int) -> None:
        self._by_id = {clip.id: clip for clip in clips}
        self._finder, self._seed = finder, seed
        self._donors = donors([clip.id for clip in clips], seed) if needs.donor else {}
        self._mouths = MouthIndex(clips, self._boxes) if needs.mouths else None
        self._stand_in_of = needs.stand_in
        self._stand_ins: dict[str, StandInMatch] = {}
        if needs.stand_in:
            self._stand_ins = match_stand_ins(clips, envelopes(clips), needs.stand_in)
            if not self._stand_ins:
                raise TlbenchError(
                    f"no clip has another one of {needs.stand_in} with another text, whose face could take its place "
                    "(or the data set names no speakers); select more clips"
                )

    def log_entry(self) -> dict[str, Any]:
        """Who gives what, as JSON for the generation log."""
        given: dict[str, Any] = {"seed": self._seed, "donors": self._donors} if self._donors else {}
        if self._mouths is not None:
            given["gallery"] = self._mouths.ids
        if self._stand_ins:
            given["stand_ins"] = {name: match.id for name, match in self._stand_ins.items()}
        return given

    def donor(self, clip: Clip) -> np.ndarray | None:
        """(M,) int16: the speech that a clip is given; None if none is needed. Raises ClipError if it has no sound."""
        return read_speech(self._by_id[self._donors[clip.id]]) if self._donors else None

    def mouths(self, clip: Clip, samples: np.ndarray | None, frames: int) -> tuple[np.ndarray, ...] | None:
        """A mouth for each frame; None if none are needed. Raises ClipError without sound to find them by."""
        if self._mouths is None:
            return None
        if samples is None:
            raise ClipError("no-audio", f"clip {clip.id}: the reference has no sound to find mouths by")
        return self._mouths.mouths(clip, samples, frames)

    def stand_in(self, clip: Clip, frames: int) -> StandIn | None:
        """The face that takes the clip's place; None if none is needed. Raises ClipError if no other clip fits."""
        if not self._stand_in_of:
            return None
        match = self._stand_ins.get(clip.id)
        if match is None:
            raise no_stand_in(clip, self._stand_in_of)
        other = self._by_id[match.id]
        assert other.reference is not None  # it has speech
        return StandIn(read_video(other.reference), self._boxes(other)).shown_at(repeat_last(match.place, 0, frames))

    def _boxes(self, clip: Clip) -> np.ndarray:
        assert self._finder is not None  # whoever needs mouths or faces needs boxes
        return self._finder.of_clip(clip).face.xyxy


def no_stand_in(clip: Clip, of: str) -> ClipError:
    """The error of a clip that has no stand-in."""
    return ClipError("no-double", f"clip {shortened(clip.id)}: no clip of {of} with another text can stand in for it")


def envelopes(clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """The loudness over time of each clip, by clip id, without those that have no speech."""
    found = {}
    for clip in clips:
        try:
            found[clip.id] = envelope(read_speech(clip))
        except ClipError:
            continue  # it is told where the clip's own video is made
    return found


def donors(ids: Sequence[str], seed: int = 0) -> dict[str, str]:
    """Another clip for each clip, each used once, by a random cyclic order of all clips (Sattolo's algorithm).

    Depends on the set of ids and the seed, not on their order. Raises TlbenchError for fewer than two clips.
    """
    if len(ids) < 2:
        raise TlbenchError(f"swapped-audio: {len(ids)} clip has no other one to take speech from; select at least two")
    ordered = sorted(ids)
    cycle = list(ordered)
    # Only Random.random() gives the same numbers in every version of Python.
    generator = random.Random(seed)
    for last in range(len(cycle) - 1, 0, -1):
        chosen = int(generator.random() * last)
        cycle[last], cycle[chosen] = cycle[chosen], cycle[last]
    return dict(zip(ordered, cycle, strict=True))


def read_speech(donor: Clip) -> np.ndarray:
    """(N,) int16 samples of a clip's real video. Raises ClipError if there are none."""
    if donor.reference is None:
        raise ClipError("missing", f"clip {donor.id}: its speech was drawn for another clip, and it has no reference")
    return read_whole_audio(donor.reference, SAMPLE_RATE)

"""What a generator takes from other clips of the run: the speech of one, or mouths of many."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.generator import GeneratorNeeds
from tlbench.generation.nearest_mouth import MouthIndex
from tlbench.media.audio import read_whole_audio
from tlbench.media.rates import SAMPLE_RATE
from tlbench.observing.face_boxes import BoxFinder

SEED = 0  # of the order in which clips give their speech


class OtherClips:
    """The clips of a run, as donors of speech and mouths.

    Parameters
    ----------
    needs : GeneratorNeeds
    clips : sequence of Clip
    finder : BoxFinder or None
        Needed for mouths.

    Raises
    ------
    TlbenchError
        If there are fewer than two clips and something is needed of others.
    """

    def __init__(self, needs: GeneratorNeeds, clips: Sequence[Clip], finder: BoxFinder | None) -> None:
        self._by_id = {clip.id: clip for clip in clips}
        self._donors = donors([clip.id for clip in clips], SEED) if needs.donor else {}
        self._mouths: MouthIndex | None = None
        if needs.mouths:
            assert finder is not None  # whoever needs mouths needs boxes
            self._mouths = MouthIndex(clips, lambda clip: finder.of_clip(clip).face.xyxy)

    def log_entry(self) -> dict[str, Any]:
        """Who gives what, as JSON for the generation log."""
        given: dict[str, Any] = {"seed": SEED, "donors": self._donors} if self._donors else {}
        return given if self._mouths is None else given | {"gallery": self._mouths.ids}

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

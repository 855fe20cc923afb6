"""Evidence of a network for grey pictures: how much it gets right from the transcript and length it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import av
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.alignments import AVHUBERT_OWN, whole_picture
from tlbench.media.video_reader import FrameChunk
from tlbench.observing.cache import Cache
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Observer
from tlbench.observing.plan import ObserverPlan, Plan

GREY = 128
SIDE = 160  # pixels of the grey picture, as in LRS2
FACE = (50, 40, 110, 100)  # x1 y1 x2 y2; the crop around it, 1.4 times as wide, is inside the picture
CHUNK = 100  # frames given at once
FORM = "grey-160@1"  # part of the cache key; raise it when the pictures change


def grey_evidence(plan: Plan, name: str, clips: Iterable[tuple[Clip, int]]) -> dict[str, Evidence]:
    """Evidence of one observer of a plan, by clip id, for clips with grey pictures only.

    No file is read. The evidence is cached by transcript and number of frames, so that a second system with clips of
    the same length costs nothing.

    Parameters
    ----------
    plan : Plan
    name : str
        An observer of the plan that needs neither sound nor the frames of the real video.
    clips : iterable of (Clip, int)
        Each with its number of frames. Clips that the observer refuses are left out.
    """
    own = next(observer for observer in plan.observers if observer.name == name)
    cache = Cache(plan.cache / "evidence")
    found: dict[str, Evidence] = {}
    waiting: list[tuple[Clip, int]] = []
    for clip, frames in clips:
        kept = cache.read(_key(own, clip, frames))
        if kept is None:
            waiting.append((clip, frames))
        else:
            found[clip.id] = Evidence.from_json(kept["evidence"])
    if not waiting:
        return found
    observer = own.load(plan.device)
    todo = iter(waiting)
    while batch := list(islice(todo, observer.clips_per_batch)):
        for clip, frames, evidence in _observe(observer, own.needs.placements, batch):
            cache.write(_key(own, clip, frames), {"evidence": evidence.to_json()})
            found[clip.id] = evidence
    return found


def _key(plan: ObserverPlan, clip: Clip, frames: int) -> dict[str, Any]:
    return {"observer": plan.identity, "shown": FORM, "frames": frames, "transcript": clip.transcript}


def _observe(
    observer: Observer, alignment: str, batch: Sequence[tuple[Clip, int]]
) -> Iterator[tuple[Clip, int, Evidence]]:
    started: list[tuple[Clip, int, ClipState]] = []
    for clip, frames in batch:
        try:
            state = observer.start_clip(clip, None)
            _show(state, frames, alignment)
        except ClipError:
            continue
        started.append((clip, frames, state))
    if not started:
        return
    outcomes = observer.compute([state for _, _, state in started])
    for (clip, frames, _), evidence in zip(started, outcomes, strict=True):
        if not isinstance(evidence, ClipError):
            yield clip, frames, evidence


def _show(state: ClipState, frames: int, alignment: str) -> None:
    """Give the state all frames, the same grey picture, with boxes and placements inside it."""
    picture = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), GREY, np.uint8), format="rgb24")
    mouth = whole_picture(alignment or AVHUBERT_OWN, SIDE)  # an observer that needs none does not look
    for start in range(0, frames, CHUNK):
        count = min(CHUNK, frames - start)
        boxes = np.tile(np.array(FACE, np.int64), (count, 1))
        state.update(ClipChunk(FrameChunk(start, (picture,) * count), None, boxes, np.tile(mouth, (count, 1, 1))))

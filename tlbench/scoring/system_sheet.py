"""The contact sheet of a run: what each observer is shown of the first clips, drawn before they are observed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, shortened
from tlbench.media.probe import probe
from tlbench.media.scaling import Size, scale_boxes, scale_placements
from tlbench.observing.cache import Cache
from tlbench.observing.face_boxes import BoxFinder, GuideSource
from tlbench.observing.mouth_alignment import MouthFinder
from tlbench.observing.plan import Plan


def draw_system_sheet(systems: Mapping[str, Selection], plan: Plan, path: Path) -> None:
    """Draw the crops of the first clips of each system into a PNG: a wrong crop is seen while there is time to stop."""
    from tlbench.observing.contact_sheet import draw_contact_sheet  # imports Pillow, which few runs need

    boxes = BoxFinder(plan.boxes, Cache(plan.cache / "boxes"))
    mouths = MouthFinder(Cache(plan.cache / "landmarks"))
    each = plan.boxes.source == "generated"

    def boxes_of(clip: Clip, whose: GuideSource) -> np.ndarray:
        if each or whose == "reference":
            return boxes.of_clip(clip, whose).face.xyxy
        return scale_boxes(boxes.of_clip(clip).face.xyxy, *_sizes(clip))

    def placements_of(clip: Clip, whose: GuideSource, alignment: str) -> np.ndarray:
        if each or whose == "reference":
            return mouths.of_clip(clip, alignment, whose)
        return scale_placements(mouths.of_clip(clip, alignment), *_sizes(clip))

    draw_contact_sheet(
        {name: selection.clips for name, selection in systems.items()},
        [(observer.name, view) for observer in plan.observers for view in observer.views],
        boxes_of=boxes_of,
        placements_of=placements_of,
        path=path,
    )


def _sizes(clip: Clip) -> tuple[Size, Size]:
    """Frame sizes of the real and of the generated video. Raises ClipError if one is missing or can't be read."""
    for video, whose in ((clip.reference, "real"), (clip.generated, "generated")):
        if video is None:
            raise ClipError("missing", f"clip {shortened(clip.id)}: there is no {whose} video")
    assert clip.reference is not None
    assert clip.generated is not None
    real, generated = probe(clip.reference), probe(clip.generated)
    return (real.width, real.height), (generated.width, generated.height)

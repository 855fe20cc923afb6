"""Contact sheets: one picture of what each observer saw, so that a wrong crop is noticed before its numbers are.

For each clip and view, eight frames evenly spaced over the generated video, and the reference's beneath.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.face_crop import steady
from tlbench.media.video import FrameChunk, VideoReader
from tlbench.media.views import JpegDump, Normalise, ToBgr, View, open_view
from tlbench.observing.face_boxes import GuideSource
from tlbench.observing.registry import observer_class

TILES = 8  # frames a strip
TILE_PX = 112  # longest side of a frame; smaller pictures keep their size
GAP_PX = 4
LABEL_PX = 210
TITLE_PX = 22
LETTERS_A_LINE = 130  # of a note that stands where the frames would
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (120, 120, 120)


@dataclass
class Strip:
    """One view of one video.

    Attributes
    ----------
    label : tuple of str
        Lines beside it.
    pictures : list of ndarray
        (H, W, 3) RGB or (H, W) grey, uint8.
    note : str
        What to write if there are none.
    """

    label: tuple[str, ...]
    pictures: list[np.ndarray] = field(default_factory=list)
    note: str = ""


@dataclass
class ContactPanel:
    """The strips of one clip, under its id."""

    title: str
    strips: list[Strip]


def draw_contact_sheet(
    systems: Mapping[str, Sequence[Clip]],
    looks: Sequence[tuple[str, str]],
    boxes_of: Callable[[Clip, GuideSource], np.ndarray],
    placements_of: Callable[[Clip, GuideSource], np.ndarray],
    path: Path,
    clips_shown: int = 8,
) -> None:
    """Decode the first clips, look at them as the observers of a run do, and write the sheet.

    What can't be shown (a missing video, no face, a view that is no fixed crop) is said in its place.

    Parameters
    ----------
    systems : mapping of name to sequence of Clip
        The same clips as each system made them: they are drawn clip by clip, and named if there are several.
    looks : sequence of (observer, view)
        Names, as observers know their views.
    boxes_of, placements_of : callable
        (T, 4) face boxes as they were found, and (T, 2, 3) mouth placements, in the pixels of one of a clip's videos;
        asked only if a view needs them.
    path : Path
        A ``.png``. It appears whole or not at all.
    clips_shown : int
        Of each system.

    Raises
    ------
    TlbenchError
        If ``path`` is no PNG or can't be written, or if the landmarks' detector is needed and not installed.
    """
    panels = []
    for system, clip in (
        (name, clips[i]) for i in range(clips_shown) for name, clips in systems.items() if i < len(clips)
    ):
        named = [(name, view, observer_class(name).recipe(view)) for name, view in looks]
        generated = _strips(clip.generated, named, _ClipGuides(clip, "generated", boxes_of, placements_of))
        reference = _strips(clip.reference, named, _ClipGuides(clip, "reference", boxes_of, placements_of))
        strips = []
        for (name, view, recipe), seen, real in zip(named, generated, reference, strict=True):
            heading = (f"{name} {view}", *(() if recipe is None else (recipe.id,)))
            seen.label, real.label = (*heading, "generated"), (*heading, "reference")
            strips.append(seen)
            if recipe is not None and clip.reference is not None:
                strips.append(real)
        panels.append(ContactPanel(clip.id if len(systems) == 1 else f"{clip.id}: {system}", strips))
    contact_sheet(panels, path)


class _ClipGuides:
    """Where to look in the frames of one of a clip's videos, found when a view first asks."""

    def __init__(
        self,
        clip: Clip,
        whose: GuideSource,
        boxes_of: Callable[[Clip, GuideSource], np.ndarray],
        placements_of: Callable[[Clip, GuideSource], np.ndarray],
    ) -> None:
        self._clip = clip
        self._whose = whose
        self._boxes_of = boxes_of
        self._placements_of = placements_of

    @cached_property
    def boxes(self) -> np.ndarray:
        return self._boxes_of(self._clip, self._whose)

    @cached_property
    def placements(self) -> np.ndarray:
        return self._placements_of(self._clip, self._whose)

    def for_view(self, recipe: View) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Boxes and placements as the view wants them; raises ClipError if they can't be found."""
        boxes = None
        if recipe.frames_face:
            boxes = steady(self.boxes)
        elif recipe.crops:
            boxes = self.boxes
        return boxes, self.placements if recipe.aligns_mouth else None


class _Look:
    """One view opened on one video; what it saw of the wanted frames."""

    def __init__(self, recipe: View, guides: _ClipGuides) -> None:
        self.strip = Strip(())
        self._stream = open_view(recipe)
        self._recipe = recipe
        self._boxes, self._placements = guides.for_view(recipe)
        # The JPEG dump spends its bits over the whole video; without it a frame does not depend on those before.
        self._carries_on = any(isinstance(step, JpegDump) for step in recipe.steps)

    def see(self, run: FrameChunk, wanted: Sequence[int]) -> None:
        """Take the wanted frames of a run; after a ClipError, no more."""
        if self.strip.note:
            return
        try:
            if self._carries_on:
                seen = self._see(run)
                self.strip.pictures += [self._shown(seen[index - run.start]) for index in wanted]
            else:
                for index in wanted:
                    frame = FrameChunk(index, (run.native[index - run.start],))
                    self.strip.pictures.append(self._shown(self._see(frame)[0]))
        except ClipError as error:
            self.strip = Strip((), note=error.message)

    def _see(self, frames: FrameChunk) -> np.ndarray:
        boxes, placements = (
            None
            if rows is None
            else rows[np.minimum(np.arange(frames.start, frames.start + len(frames)), len(rows) - 1)]
            for rows in (self._boxes, self._placements)
        )
        return self._stream.see(frames, boxes, placements)

    def _shown(self, image: np.ndarray) -> np.ndarray:
        """What people can look at: uint8, RGB or grey."""
        for step in self._recipe.steps:
            if isinstance(step, Normalise):
                return np.asarray(np.clip(np.rint((image * step.std + step.mean) * 255), 0, 255), dtype=np.uint8)
            if isinstance(step, ToBgr):
                return image[..., ::-1]
        return image


def _strips(video: Path | None, named: Sequence[tuple[str, str, View | None]], guides: _ClipGuides) -> list[Strip]:
    """One strip a look; the video is decoded once for all of them if it is short, else twice."""
    if video is None:
        return [Strip((), note="there is no such video") for _ in named]
    looks: list[_Look | Strip] = []
    for _, view, recipe in named:
        if recipe is None:
            looks.append(Strip((), note=f"{view} is no fixed crop, so it can't be shown here"))
            continue
        try:
            looks.append(_Look(recipe, guides))
        except ClipError as error:
            looks.append(Strip((), note=error.message))
    footage = VideoReader(video)
    try:
        count = sum(len(run) for run in footage.frames())
        chosen = sorted(set(np.linspace(0, count - 1, TILES).round().astype(int).tolist()))
        for run in footage.frames():
            wanted = [index for index in chosen if run.start <= index < run.start + len(run)]
            for look in looks:
                if isinstance(look, _Look):
                    look.see(run, wanted)
    except ClipError as error:
        return [Strip((), note=error.message) for _ in named]
    return [look.strip if isinstance(look, _Look) else look for look in looks]


def contact_sheet(panels: Sequence[ContactPanel], path: Path) -> None:
    """Write panels one below the other as a PNG; see :func:`draw_contact_sheet` for ``path`` and errors."""
    if path.suffix.lower() != ".png":
        raise TlbenchError(f"a contact sheet is a PNG; {path.name!r} is none, name it {path.stem}.png")
    sheets = [_draw(panel) for panel in panels]
    width = LABEL_PX + TILES * (TILE_PX + GAP_PX) + GAP_PX
    sheet = Image.new("RGB", (width, max(1, sum(drawn.height for drawn in sheets))), PAPER)
    top = 0
    for drawn in sheets:
        sheet.paste(drawn, (0, top))
        top += drawn.height
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.part.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        raise TlbenchError(f"contact sheet {path} can't be written ({error.strerror or error})") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _draw(panel: ContactPanel) -> Image.Image:
    font = ImageFont.load_default()
    heights = [max([TILE_PX // 2, *(_fitted(picture).height for picture in s.pictures)]) + GAP_PX for s in panel.strips]
    width = LABEL_PX + TILES * (TILE_PX + GAP_PX) + GAP_PX
    drawn = Image.new("RGB", (width, TITLE_PX + sum(heights)), PAPER)
    pen = ImageDraw.Draw(drawn)
    pen.line([(0, 0), (width, 0)], fill=FAINT)
    pen.text((GAP_PX, GAP_PX), _printable(panel.title), fill=INK, font=font)
    top = TITLE_PX
    for strip, height in zip(panel.strips, heights, strict=True):
        pen.multiline_text((GAP_PX, top), _printable("\n".join(strip.label)), fill=INK, font=font)
        left = LABEL_PX
        for picture in strip.pictures:
            drawn.paste(_fitted(picture), (left, top))
            left += TILE_PX + GAP_PX
        if not strip.pictures:
            note = textwrap.fill(_printable(strip.note), LETTERS_A_LINE)
            pen.multiline_text((LABEL_PX, top), note, fill=FAINT, font=font)
        top += height
    return drawn


def _fitted(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((TILE_PX, TILE_PX))
    return image


def _printable(text: str) -> str:
    """Pillow's own font has no letters beyond Latin, and older versions stop at them."""
    return text.encode("ascii", "replace").decode()

"""Contact sheets: a picture of the crops that each observer gets, to notice wrong crops.

For each clip and view it shows eight frames, evenly spaced, of the generated video and below of the real video.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import atomic_path, unwritable
from tlbench.media.face_crop import steady
from tlbench.media.frame_rows import repeat_last
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.media.views import JpegDump, Normalise, NormaliseColour, ToBgr, View, open_view
from tlbench.observing.face_boxes import GuideSource
from tlbench.observing.registry import observer_class

TILES = 8  # frames per strip
TILE_PX = 112  # longest side of a frame; smaller pictures keep their size
GAP_PX = 4
LABEL_PX = 210
TITLE_PX = 22
LETTERS_A_LINE = 130  # of a note in place of frames
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (120, 120, 120)


@dataclass
class Strip:
    """One view of one video.

    Attributes
    ----------
    label : tuple of str
        Lines of its label.
    pictures : list of ndarray
        (H, W, 3) RGB or (H, W) grey, uint8.
    note : str
        Text if there are no pictures.
    """

    label: tuple[str, ...]
    pictures: list[np.ndarray] = field(default_factory=list)
    note: str = ""


@dataclass
class ContactPanel:
    """The strips of one clip, with its id as title."""

    title: str
    strips: list[Strip]


PlacementsOf: TypeAlias = Callable[[Clip, GuideSource, str], np.ndarray]


def draw_contact_sheet(
    systems: Mapping[str, Sequence[Clip]],
    looks: Sequence[tuple[str, str]],
    boxes_of: Callable[[Clip, GuideSource], np.ndarray],
    placements_of: PlacementsOf,
    path: Path,
    clips_shown: int = 8,
) -> None:
    """Decode the first clips, crop them by the views of a run, and write the sheet.

    If a strip can't be made (a missing video, no face, a view without a recipe), it holds the reason.

    Parameters
    ----------
    systems : mapping of name to sequence of Clip
        The same clips by each system, drawn clip by clip, with the system's name if there are several.
    looks : sequence of (observer, view)
        Names of observers and of their views.
    boxes_of, placements_of : callable
        Give (T, 4) face boxes as detected, and mouth placements in a way of :mod:`tlbench.media.alignments`, in pixels
        of one of a clip's videos; called only if a view needs them.
    path : Path
        A ``.png``, written whole or not at all.
    clips_shown : int
        Number of clips of each system.

    Raises
    ------
    TlbenchError
        If ``path`` is not a PNG or can't be written, or if the landmark detector is needed and not installed.
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
    """Boxes and placements of one of a clip's videos, found when a view first needs them."""

    def __init__(
        self,
        clip: Clip,
        role: GuideSource,
        boxes_of: Callable[[Clip, GuideSource], np.ndarray],
        placements_of: PlacementsOf,
    ) -> None:
        self._clip = clip
        self._role = role
        self._boxes_of = boxes_of
        self._placements_of = placements_of

    @cached_property
    def boxes(self) -> np.ndarray:
        return self._boxes_of(self._clip, self._role)

    def placements(self, alignment: str) -> np.ndarray:
        return self._placements_of(self._clip, self._role, alignment)

    def for_view(self, recipe: View) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The boxes and placements that the view needs; raises ClipError if they can't be found."""
        boxes = None
        if recipe.frames_face:
            boxes = steady(self.boxes)
        elif recipe.crops:
            boxes = self.boxes
        return boxes, self.placements(recipe.alignment) if recipe.alignment else None


class _Look:
    """One view of one video, with the pictures of the wanted frames."""

    def __init__(self, recipe: View, guides: _ClipGuides) -> None:
        self.strip = Strip(())
        self._stream = open_view(recipe)
        self._recipe = recipe
        self._boxes, self._placements = guides.for_view(recipe)
        # With the JPEG dump a frame depends on those before, because of its rate control.
        self._carries_on = any(isinstance(step, JpegDump) for step in recipe.steps)

    def update(self, chunk: FrameChunk, wanted: Sequence[int]) -> None:
        """Take the wanted frames of a chunk; none after a ClipError."""
        if self.strip.note:
            return
        try:
            if self._carries_on:
                seen = self._apply(chunk)
                self.strip.pictures += [self._shown(seen[index - chunk.start]) for index in wanted]
            else:
                for index in wanted:
                    frame = FrameChunk(index, (chunk.native[index - chunk.start],))
                    self.strip.pictures.append(self._shown(self._apply(frame)[0]))
        except ClipError as error:
            self.strip = Strip((), note=error.message)

    def _apply(self, frames: FrameChunk) -> np.ndarray:
        boxes, placements = (
            None if rows is None else repeat_last(rows, frames.start, frames.start + len(frames))
            for rows in (self._boxes, self._placements)
        )
        return self._stream.apply(frames, boxes, placements)

    def _shown(self, image: np.ndarray) -> np.ndarray:
        """The picture for display: uint8, RGB or grey."""
        for step in self._recipe.steps:
            if isinstance(step, Normalise | NormaliseColour):
                return np.asarray(np.clip(np.rint((image * step.std + step.mean) * 255), 0, 255), dtype=np.uint8)
            if isinstance(step, ToBgr):
                return image[..., ::-1]
        return image


def _strips(video: Path | None, named: Sequence[tuple[str, str, View | None]], guides: _ClipGuides) -> list[Strip]:
    """One strip for each view. A short video is decoded once for all of them, a long one twice."""
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
    reader = VideoReader(video)
    try:
        count = sum(len(chunk) for chunk in reader.frames())
        chosen = sorted(set(np.linspace(0, count - 1, TILES).round().astype(int).tolist()))
        for chunk in reader.frames():
            wanted = [index for index in chosen if chunk.start <= index < chunk.start + len(chunk)]
            for look in looks:
                if isinstance(look, _Look):
                    look.update(chunk, wanted)
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            sheet.save(temporary, format="PNG")
    except OSError as error:
        raise unwritable(path, error) from error


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
    """ASCII text: Pillow's built-in font has only Latin letters, and older versions fail on others."""
    return text.encode("ascii", "replace").decode()

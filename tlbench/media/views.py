"""Views: recipes, as data, that turn decoded frames into what one observer sees. The crop is part of the metric.

A view is a name, a version and a row of steps. :func:`open_view` begins it on one clip; the stream it returns takes
the clip's frames in runs of any length and gives the same arrays however they are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from tlbench.errors import ClipError
from tlbench.media.jpeg import DEFAULT_BIT_RATE, JpegRoundTrip
from tlbench.media.video import Frames


@dataclass(frozen=True)
class JpegDump:
    """Frames as ffmpeg's image dump would give them back: see :mod:`tlbench.media.jpeg`. Only as the first step."""

    bit_rate: int = DEFAULT_BIT_RATE
    frames_per_second: int = 25


@dataclass(frozen=True)
class CropBox:
    """Each frame cut to its box, or to the box's lower half, with the meaning of ``frame[y1:y2, x1:x2]``.

    A box that reaches over the right or lower edge is cut there, and negative numbers count from the far edge, as in
    TalkLip's ``visual_quality.py``: nothing is clipped or padded.
    """

    region: Literal["face", "mouth-half"] = "face"


@dataclass(frozen=True)
class Resize:
    """Bilinear resizing of uint8 images by cv2.resize, without antialiasing: what the observers were trained behind."""

    height: int
    width: int


@dataclass(frozen=True)
class ToBgr:
    """RGB to BGR, for networks that were fed from cv2.imread."""


Step: TypeAlias = JpegDump | CropBox | Resize | ToBgr


@dataclass(frozen=True)
class View:
    """What one observer sees.

    Attributes
    ----------
    name : str
    version : int
        Raised when the same name gives other arrays.
    steps : tuple of Step
        Applied in order to each frame, beginning with (height, width, 3) uint8 RGB.
    """

    name: str
    version: int
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        """Stands in protocol ids and cache keys: ``syncnet-whole@1``."""
        return f"{self.name}@{self.version}"


class ViewStream:
    """One clip through one view."""

    def __init__(self, view: View) -> None:
        self.view = view
        first = view.steps[0] if view.steps else None
        self._jpeg = JpegRoundTrip(first.bit_rate, first.frames_per_second) if isinstance(first, JpegDump) else None
        steps = view.steps[1:] if self._jpeg else view.steps
        if any(isinstance(step, JpegDump) for step in steps):
            raise ValueError(f"view {view.id}: JpegDump reads the decoder's frames, so it can only be the first step")
        # Crops and resizing treat the three colours alike, so their order is settled once, at the end: it costs as
        # much as a resize, and the dump's images are BGR already.
        self._steps = [step for step in steps if not isinstance(step, ToBgr)]
        wants_bgr = len(steps) - len(self._steps) == 1
        self._swap = wants_bgr == (self._jpeg is None)

    def see(self, frames: Frames, boxes: np.ndarray | None = None) -> np.ndarray:
        """The next run of frames.

        Parameters
        ----------
        frames : Frames
            n frames, following on those of the call before.
        boxes : (n, 4) int64, optional
            x1 y1 x2 y2 for each; needed by views that crop.

        Returns
        -------
        (n, height, width, 3) uint8

        Raises
        ------
        ClipError
            ``empty-crop`` if a box leaves nothing of its frame.
        """
        # Through the JPEG dump the frames must not have been RGB before: it subsamples their colour anew.
        images = frames.rgb if self._jpeg is None else map(self._jpeg.bgr, frames.native)
        seen = []
        for index, image in enumerate(images):
            for step in self._steps:
                if isinstance(step, CropBox):
                    if boxes is None:
                        raise ValueError(f"view {self.view.id} crops, but no boxes were given")
                    image = _crop(image, boxes[index], step, frames.start + index)
                elif isinstance(step, Resize):
                    image = cv2.resize(image, (step.width, step.height), interpolation=cv2.INTER_LINEAR)
            seen.append(cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if self._swap else image)
        return np.stack(seen)


def open_view(view: View) -> ViewStream:
    """Begin a view on one clip. A stream is of no use for a second clip: some steps carry on from frame to frame."""
    return ViewStream(view)


def _crop(image: np.ndarray, box: np.ndarray, step: CropBox, frame_index: int) -> np.ndarray:
    x1, y1, x2, y2 = (int(edge) for edge in box)
    if step.region == "mouth-half":
        y1 = (y1 + y2) // 2
    crop = image[y1:y2, x1:x2]
    if crop.size == 0:
        height, width = image.shape[:2]
        raise ClipError(
            "empty-crop",
            f"frame {frame_index}: box {[x1, y1, x2, y2]} leaves nothing of a {width}x{height} frame; "
            "mend the boxes file",
        )
    return crop

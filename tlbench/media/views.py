"""Views: recipes, as data, that turn decoded frames into what one observer sees. The crop is part of the metric.

A view is a name, a version and a row of steps. :func:`open_view` begins it on one clip; the stream it returns takes
the clip's frames in runs of any length and gives the same arrays however they are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image

from tlbench.errors import ClipError
from tlbench.media.face_crop import cut_face, cut_window, face_window
from tlbench.media.jpeg import DEFAULT_BIT_RATE, JpegRoundTrip
from tlbench.media.mouth_patch import warp
from tlbench.media.video import FrameChunk

FACE_TO_FRAME_MAX = 4  # a face that is said to be larger than so many frames is a mistake in the boxes


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
class FrameFace:
    """The face brought to LRS2's framing, ``side`` pixels square: see :mod:`tlbench.media.face_crop`.

    Wants boxes that have been steadied (:func:`tlbench.media.face_crop.steady`): this step looks at each by itself, so
    whatever they jitter, the picture does.
    """

    side: int


@dataclass(frozen=True)
class AlignMouth:
    """The mouth, 96x96, turned and scaled to a mean face: see :mod:`tlbench.media.mouth_patch`. Needs placements."""


@dataclass(frozen=True)
class CropWindow:
    """A fixed window of the frame, with the meaning of Pillow's ``Image.crop``: outside the frame it is black."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class CenterCrop:
    """The middle of each image. An odd pixel left over lies on the right and below.

    ``int(round(w - tw) / 2.)`` in av_hubert's ``avhubert/utils.py``, the same for every size. There, an image smaller
    than the crop gave an empty one; here it is refused.
    """

    height: int
    width: int


@dataclass(frozen=True)
class Resize:
    """Bilinear resizing of uint8 images by cv2.resize, without antialiasing: what the observers were trained behind."""

    height: int
    width: int


@dataclass(frozen=True)
class ResizeAntialiased:
    """Bilinear resizing by Pillow, which widens its filter when it shrinks.

    What ``torchvision.transforms.Resize`` does to a PIL image.
    """

    height: int
    width: int


@dataclass(frozen=True)
class Grey:
    """Colour to grey, (height, width) uint8, by ITU-R BT.601's weights.

    ``opencv`` is what cv2.COLOR_BGR2GRAY makes of the same picture, ``pillow`` what ``convert("L")`` does. They round
    their weights differently: a few pixels in a thousand differ by 1.
    """

    rule: Literal["opencv", "pillow"]


@dataclass(frozen=True)
class Normalise:
    """Grey 0..255 to ``(x / 255 - mean) / std``, float32. Only as the last step, after `Grey`.

    Computed in float64 and rounded once, as av_hubert's ``hubert_dataset.py`` does (its transforms give float64, which
    goes into the network as float32). Code that computes in float32 throughout may differ in the last bit.
    """

    mean: float
    std: float


@dataclass(frozen=True)
class ToBgr:
    """RGB to BGR, for networks that were fed from cv2.imread."""


Step: TypeAlias = (
    JpegDump
    | FrameFace
    | AlignMouth
    | CropBox
    | CropWindow
    | CenterCrop
    | Resize
    | ResizeAntialiased
    | Grey
    | Normalise
    | ToBgr
)


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
    frame_sizes : tuple of (width, height)
        What frames it was made for, if it cuts by pixels: of frames of another size it shows another place. Empty if
        frames may be of any size.
    """

    name: str
    version: int
    steps: tuple[Step, ...]
    frame_sizes: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """Stands in protocol ids and cache keys: ``syncnet-whole@1``."""
        return f"{self.name}@{self.version}"

    @property
    def picture(self) -> tuple[int, int, bool] | None:
        """Height, width and whether it is grey, of what it ends with; None if the frame decides the size."""
        sized = [step for step in self.steps if isinstance(step, CenterCrop | Resize | ResizeAntialiased)]
        grey = any(isinstance(step, Grey) for step in self.steps)
        return (sized[-1].height, sized[-1].width, grey) if sized else None

    @property
    def scales_whole(self) -> bool:
        """Whether it scales the whole frame before anything is cut from it, so that the frame has to be a face."""
        cuts = (FrameFace, AlignMouth, CropBox, CropWindow, CenterCrop)
        placing = [step for step in self.steps if isinstance(step, (*cuts, Resize, ResizeAntialiased))]
        return bool(placing) and not isinstance(placing[0], cuts)

    @property
    def crops(self) -> bool:
        """Whether it has to be given face boxes as they were found."""
        return any(isinstance(step, CropBox) for step in self.steps)

    @property
    def frames_face(self) -> bool:
        """Whether it has to be given face boxes that do not jitter."""
        return any(isinstance(step, FrameFace) for step in self.steps)

    @property
    def aligns_mouth(self) -> bool:
        """Whether it has to be given mouth placements."""
        return any(isinstance(step, AlignMouth) for step in self.steps)


class ViewStream:
    """One clip through one view."""

    def __init__(self, view: View) -> None:
        self.view = view
        steps = list(view.steps)
        self._jpeg: JpegRoundTrip | None = None
        if steps and isinstance(steps[0], JpegDump):
            self._jpeg = JpegRoundTrip(steps[0].bit_rate, steps[0].frames_per_second)
            steps = steps[1:]
        # The levels 0..255 are few: their normalised values are looked up. Done last, it need not be done image by
        # image.
        self._levels: np.ndarray | None = None  # (256,) float32
        if steps and isinstance(steps[-1], Normalise):
            self._levels = ((np.arange(256) / 255.0 - steps[-1].mean) / steps[-1].std).astype(np.float32)
            steps = steps[:-1]
        grey = any(isinstance(step, Grey) for step in steps)
        wants_bgr = any(isinstance(step, ToBgr) for step in steps)
        if any(isinstance(step, JpegDump) for step in steps):
            raise ValueError(f"view {view.id}: JpegDump reads the decoder's frames, so it can only be the first step")
        if any(isinstance(step, Normalise) for step in steps) or (self._levels is not None and not grey):
            raise ValueError(f"view {view.id}: Normalise can only be the last step, and only of grey images")
        if grey and wants_bgr:
            raise ValueError(f"view {view.id}: grey images have no order of colours; leave ToBgr out")
        # Crops and resizing treat the three colours alike, so their order is settled once, at the end: it costs as
        # much as a resize, and the dump's images are BGR already.
        self._steps = [step for step in steps if not isinstance(step, ToBgr)]
        self._swap = not grey and wants_bgr == (self._jpeg is None)

    def apply(
        self, frames: FrameChunk, boxes: np.ndarray | None = None, placements: np.ndarray | None = None
    ) -> np.ndarray:
        """The next run of frames.

        Parameters
        ----------
        frames : FrameChunk
            n frames, following on those of the call before.
        boxes : (n, 4), optional
            x1 y1 x2 y2 for each; needed by `CropBox` and, steadied, by `FrameFace`.
        placements : (n, 2, 3) float64, optional
            Affine maps from frame to mouth patch (:func:`tlbench.media.mouth_patch.placements`), for `AlignMouth`.

        Returns
        -------
        ndarray
            (n, height, width, 3) uint8, or (n, height, width) after `Grey`: uint8, or float32 with `Normalise`.

        Raises
        ------
        ClipError
            ``empty-crop`` if a box leaves nothing of its frame, ``bad-boxes`` if a box is absurdly large,
            ``too-small`` if an image is smaller than what is to be cut from its middle.
        """
        # Through the JPEG dump the frames must not have been RGB before: it subsamples their colour anew.
        images = frames.rgb if self._jpeg is None else map(self._jpeg.bgr, frames.native)
        seen = []
        for index, image in enumerate(images):
            for step in self._steps:
                if isinstance(step, CropBox):
                    image = _crop(image, self._of(boxes, index, "boxes"), step, frames.start + index)
                elif isinstance(step, FrameFace):
                    image = _frame_face(image, self._of(boxes, index, "boxes"), step, frames.start + index)
                elif isinstance(step, AlignMouth):
                    image = warp(image, self._of(placements, index, "placements"))
                elif isinstance(step, CropWindow):
                    image = cut_window(image, (step.left, step.top, step.right, step.bottom), outside=0)
                elif isinstance(step, CenterCrop):
                    image = _centre(image, step, self.view)
                elif isinstance(step, Resize):
                    image = cv2.resize(image, (step.width, step.height), interpolation=cv2.INTER_LINEAR)
                elif isinstance(step, ResizeAntialiased):
                    image = np.asarray(
                        Image.fromarray(image).resize((step.width, step.height), Image.Resampling.BILINEAR)
                    )
                elif isinstance(step, Grey):
                    image = _grey(image, step, is_bgr=self._jpeg is not None)
            seen.append(cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if self._swap else image)
        stacked = np.stack(seen)
        return stacked if self._levels is None else self._levels[stacked]

    def _of(self, rows: np.ndarray | None, index: int, kind: str) -> np.ndarray:
        """One frame's row. A view without what it needs is a mistake of the caller."""
        if rows is None:
            raise ValueError(f"view {self.view.id} needs {kind}, but no {kind} were given")
        row: np.ndarray = rows[index]
        return row


def open_view(view: View) -> ViewStream:
    """Begin a view on one clip. A stream is of no use for a second clip: some steps carry on from frame to frame."""
    return ViewStream(view)


def _crop(image: np.ndarray, box: np.ndarray, step: CropBox, frame_index: int) -> np.ndarray:
    x1, y1, x2, y2 = (int(edge) for edge in box)
    if step.region == "mouth-half":
        y1 = (y1 + y2) // 2
    crop = image[y1:y2, x1:x2]
    if crop.size == 0:
        raise _empty(image, box, frame_index)
    return crop


def _frame_face(image: np.ndarray, box: np.ndarray, step: FrameFace, frame_index: int) -> np.ndarray:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(edge) for edge in box)
    size = max(x2 - x1, y2 - y1)
    if size > FACE_TO_FRAME_MAX * max(height, width):  # before memory is taken for it
        raise ClipError(
            "bad-boxes",
            f"frame {frame_index}: a face of {size:g} pixels in a {width}x{height} frame; mend the boxes file",
        )
    window = face_window((x1 + x2) / 2, (y1 + y2) / 2, size / 2)
    left, top, right, bottom = window
    if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
        raise _empty(image, box, frame_index)
    return cut_face(image, window, step.side)


def _empty(image: np.ndarray, box: np.ndarray, frame_index: int) -> ClipError:
    height, width = image.shape[:2]
    edges = ", ".join(f"{edge:g}" for edge in box)
    return ClipError(
        "empty-crop",
        f"frame {frame_index}: box [{edges}] leaves nothing of a {width}x{height} frame; mend the boxes file",
    )


def _centre(image: np.ndarray, step: CenterCrop, view: View) -> np.ndarray:
    height, width = image.shape[:2]
    if height < step.height or width < step.width:
        raise ClipError(
            "too-small",
            f"frames of {width}x{height} are too small: {view.id} cuts {step.width}x{step.height} from their middle; "
            "score larger videos, or let the face be brought to size with --view OBSERVER=face-framed",
        )
    top, left = (height - step.height) // 2, (width - step.width) // 2
    return image[top : top + step.height, left : left + step.width]


def _grey(image: np.ndarray, step: Grey, *, is_bgr: bool) -> np.ndarray:
    if step.rule == "opencv":
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if is_bgr else cv2.COLOR_RGB2GRAY)
    return np.asarray(Image.fromarray(image[..., ::-1] if is_bgr else image).convert("L"))

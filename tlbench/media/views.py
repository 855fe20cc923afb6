"""Views: crop recipes as data, from decoded frames to the pictures of one observer. The crop is part of the metric.

A view is a name, a version and a list of steps. :func:`open_view` starts it on one clip and returns a stream, which
takes the clip's frames in chunks of any length and gives the same arrays for any chunking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from tlbench.errors import ClipError
from tlbench.media.alignments import ALIGNMENTS, AVHUBERT_OWN
from tlbench.media.face_crop import cut_face, cut_square, cut_window, face_square, face_window
from tlbench.media.jpeg import DEFAULT_BIT_RATE, JpegRoundTrip
from tlbench.media.video_reader import FrameChunk

FACE_TO_FRAME_MAX = 4  # a box more than so many times larger than the frame is a mistake in the boxes


@dataclass(frozen=True)
class JpegDump:
    """Frames as read back from ffmpeg's JPEG dump, see :mod:`tlbench.media.jpeg`. Only as the first step."""

    bit_rate: int = DEFAULT_BIT_RATE
    frames_per_second: int = 25


@dataclass(frozen=True)
class CropBox:
    """Crop each frame to its box, or to the box's lower half, by ``frame[y1:y2, x1:x2]``.

    Nothing is clipped or padded, as in TalkLip's ``visual_quality.py``: NumPy cuts a box at the right and lower edge,
    and negative numbers count from the far edge.
    """

    region: Literal["face", "mouth-half"] = "face"


@dataclass(frozen=True)
class FrameFace:
    """Crop the face as LRS2's videos do, to ``side`` x ``side`` pixels; see :mod:`tlbench.media.face_crop`.

    Needs boxes smoothed by :func:`tlbench.media.face_crop.steady`: this step handles each frame by itself, so boxes
    that jitter give a picture that jitters.
    """

    side: int


@dataclass(frozen=True)
class CutSquare:
    """Cut a square around the face, with a margin on all four sides, at the frame's own size.

    Beyond the frame's edge the pixels of the edge are repeated. Needs smoothed boxes, as `FrameFace` does.
    """

    margin: float  # on each side, as a share of the face's longer side


@dataclass(frozen=True)
class AlignMouth:
    """Crop the mouth, 96x96, aligned to a mean face in one of the ways of :mod:`tlbench.media.alignments`.

    Needs placements.
    """

    alignment: str = AVHUBERT_OWN


@dataclass(frozen=True)
class CropWindow:
    """Crop a fixed window of the frame as Pillow's ``Image.crop`` does: black outside the frame."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class CenterCrop:
    """Crop the middle of each image. If the margins differ by a pixel, the right and the lower one are wider.

    Equal to ``int(round(w - tw) / 2.)`` of av_hubert's ``avhubert/utils.py``. An image smaller than the crop is an
    error here; the original gave an empty image.
    """

    height: int
    width: int


@dataclass(frozen=True)
class Resize:
    """Bilinear resizing of uint8 images by cv2.resize, without antialiasing, as in the observers' training."""

    height: int
    width: int


@dataclass(frozen=True)
class ResizeAntialiased:
    """Bilinear resizing by Pillow, with antialiasing; equal to ``torchvision.transforms.Resize`` of a PIL image."""

    height: int
    width: int


@dataclass(frozen=True)
class Grey:
    """Colour to grey, (height, width) uint8, with the weights of ITU-R BT.601.

    ``opencv`` is cv2.COLOR_BGR2GRAY, ``pillow`` is ``convert("L")``. They round the weights differently: a few pixels
    in a thousand differ by 1.
    """

    rule: Literal["opencv", "pillow"]


@dataclass(frozen=True)
class Normalise:
    """Grey 0..255 to ``(x / 255 - mean) / std``, float32. Only as the last step, after `Grey`.

    Computed in float64 and rounded once to float32, as in av_hubert's ``hubert_dataset.py``. Code that computes in
    float32 may differ in the last bit.
    """

    mean: float
    std: float


@dataclass(frozen=True)
class NormaliseColour:
    """RGB 0..255 to grey, ``(grey - mean) / std``, float32, without whole grey levels between. Only as the last step.

    Equal to torchvision's ``Grayscale`` and ``Normalize`` of a float tensor of 0..1: 0.2989 R + 0.587 G + 0.114 B,
    whose weights sum to 0.9999 (mpc001/auto_avsr ``datamodule/transforms.py``).
    """

    mean: float
    std: float


@dataclass(frozen=True)
class ToBgr:
    """RGB to BGR, for networks that were trained on pictures from cv2.imread."""


Step: TypeAlias = (
    JpegDump
    | FrameFace
    | CutSquare
    | AlignMouth
    | CropBox
    | CropWindow
    | CenterCrop
    | Resize
    | ResizeAntialiased
    | Grey
    | Normalise
    | NormaliseColour
    | ToBgr
)


@dataclass(frozen=True)
class View:
    """The crop recipe of one observer.

    Attributes
    ----------
    name : str
    version : int
        Raise it when the same name gives other arrays.
    steps : tuple of Step
        Applied in order to each frame, which is (height, width, 3) uint8 RGB.
    frame_sizes : tuple of (width, height)
        The frame sizes a crop in pixels was made for; in frames of another size it shows another part. Empty if frames
        may have any size.
    """

    name: str
    version: int
    steps: tuple[Step, ...]
    frame_sizes: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """Name and version, as written in protocol ids and cache keys: ``syncnet-whole@1``."""
        return f"{self.name}@{self.version}"

    @property
    def picture(self) -> tuple[int, int, bool] | None:
        """Height, width and whether it is grey, of the final picture; None if its size depends on the frame."""
        sized = [step for step in self.steps if isinstance(step, CenterCrop | Resize | ResizeAntialiased)]
        grey = any(isinstance(step, Grey | NormaliseColour) for step in self.steps)
        return (sized[-1].height, sized[-1].width, grey) if sized else None

    @property
    def scales_whole(self) -> bool:
        """Whether it scales the whole frame before cropping, so that the frame has to show just a face."""
        cuts = (FrameFace, CutSquare, AlignMouth, CropBox, CropWindow, CenterCrop)
        placing = [step for step in self.steps if isinstance(step, (*cuts, Resize, ResizeAntialiased))]
        return bool(placing) and not isinstance(placing[0], cuts)

    @property
    def crops(self) -> bool:
        """Whether it needs face boxes as the detector found them."""
        return any(isinstance(step, CropBox) for step in self.steps)

    @property
    def frames_face(self) -> bool:
        """Whether it needs smoothed face boxes."""
        return any(isinstance(step, FrameFace | CutSquare) for step in self.steps)

    @property
    def alignment(self) -> str:
        """The way in which it aligns mouths, which decides the placements it needs; "" if it needs none."""
        return next((step.alignment for step in self.steps if isinstance(step, AlignMouth)), "")


class ViewStream:
    """One view applied to the frames of one clip."""

    def __init__(self, view: View) -> None:
        self.view = view
        steps = list(view.steps)
        self._jpeg: JpegRoundTrip | None = None
        if steps and isinstance(steps[0], JpegDump):
            self._jpeg = JpegRoundTrip(steps[0].bit_rate, steps[0].frames_per_second)
            steps = steps[1:]
        # Normalisation is a table of 256 values, applied to all images of a chunk at once.
        self._levels: np.ndarray | None = None  # (256,) float32
        if steps and isinstance(steps[-1], Normalise):
            self._levels = ((np.arange(256) / 255.0 - steps[-1].mean) / steps[-1].std).astype(np.float32)
            steps = steps[:-1]
        self._colour: NormaliseColour | None = None
        if steps and isinstance(steps[-1], NormaliseColour):
            self._colour = steps[-1]
            steps = steps[:-1]
        grey = any(isinstance(step, Grey) for step in steps)
        wants_bgr = any(isinstance(step, ToBgr) for step in steps)
        if any(isinstance(step, JpegDump) for step in steps):
            raise ValueError(f"view {view.id}: JpegDump reads the decoder's frames, so it can only be the first step")
        if any(isinstance(step, Normalise) for step in steps) or (self._levels is not None and not grey):
            raise ValueError(f"view {view.id}: Normalise can only be the last step, and only of grey images")
        if any(isinstance(step, NormaliseColour) for step in steps) or (self._colour and (grey or wants_bgr)):
            raise ValueError(f"view {view.id}: NormaliseColour can only be the last step, and only of RGB images")
        if grey and wants_bgr:
            raise ValueError(f"view {view.id}: grey images have no order of colours; leave ToBgr out")
        # Crops and resizing do not depend on the order of the colours, so RGB and BGR are swapped at most once, at the
        # end: a swap costs as much as a resize, and images of the JPEG dump are BGR already.
        self._steps = [step for step in steps if not isinstance(step, ToBgr)]
        self._swap = not grey and wants_bgr == (self._jpeg is None)

    def apply(
        self, frames: FrameChunk, boxes: np.ndarray | None = None, placements: np.ndarray | None = None
    ) -> np.ndarray:
        """Apply the view to the next frames.

        Parameters
        ----------
        frames : FrameChunk
            The n frames that follow those of the last call.
        boxes : (n, 4), optional
            x1 y1 x2 y2 of each frame; needed by `CropBox` and, smoothed, by `FrameFace` and `CutSquare`.
        placements : (n, 2, 3) float64, optional
            Affine maps from frame to mouth patch (:func:`tlbench.media.mouth_patch.placements`), for `AlignMouth`.

        Returns
        -------
        ndarray
            (n, height, width, 3) uint8, or (n, height, width) after `Grey`: uint8, or float32 with `Normalise`.

        Raises
        ------
        ClipError
            ``empty-crop`` if a box does not overlap its frame, ``bad-boxes`` if a box is more than 4 times larger than
            the frame, ``too-small`` if an image is smaller than the centre crop.
        """
        # The JPEG dump takes the decoder's YUV: going through RGB would subsample the colour a second time.
        images = frames.rgb if self._jpeg is None else self._jpeg.bgr_of(frames.native, frames.sample_aspect)
        seen = []
        for index, image in enumerate(images):
            for step in self._steps:
                if isinstance(step, CropBox):
                    image = _crop(image, self._of(boxes, index, "boxes"), step, frames.start + index)
                elif isinstance(step, FrameFace):
                    image = _frame_face(image, self._of(boxes, index, "boxes"), step, frames.start + index)
                elif isinstance(step, CutSquare):
                    image = _cut_square(image, self._of(boxes, index, "boxes"), step, frames.start + index)
                elif isinstance(step, AlignMouth):
                    image = ALIGNMENTS[step.alignment].warp(image, self._of(placements, index, "placements"))
                elif isinstance(step, CropWindow):
                    image = cut_window(image, (step.left, step.top, step.right, step.bottom), outside=0)
                elif isinstance(step, CenterCrop):
                    image = _centre(image, step, self.view)
                elif isinstance(step, Resize):
                    image = cv2.resize(image, (step.width, step.height), interpolation=cv2.INTER_LINEAR)
                elif isinstance(step, ResizeAntialiased):
                    image = _resize_antialiased(image, step)
                elif isinstance(step, Grey):
                    image = _grey(image, step, is_bgr=self._jpeg is not None)
            seen.append(cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if self._swap else image)
        stacked = np.stack(seen)
        if self._colour is not None:
            return _normalised_colour(stacked, self._colour)
        return stacked if self._levels is None else self._levels[stacked]

    def _of(self, rows: np.ndarray | None, index: int, kind: str) -> np.ndarray:
        """One frame's row. Raises ValueError if the caller gave none."""
        if rows is None:
            raise ValueError(f"view {self.view.id} needs {kind}, but no {kind} were given")
        row: np.ndarray = rows[index]
        return row


def _normalised_colour(images: np.ndarray, step: NormaliseColour) -> np.ndarray:
    """(n, h, w, 3) uint8 to (n, h, w) float32."""
    red, green, blue = np.moveaxis(images.astype(np.float32) / np.float32(255), 3, 0)
    grey = np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    normalised: np.ndarray = (grey - np.float32(step.mean)) / np.float32(step.std)
    return normalised


def open_view(view: View) -> ViewStream:
    """Start a view on one clip. Open a new stream for each clip: some steps depend on the frames before."""
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
    x, y, half_px = _face_place(image, box, frame_index)
    window = face_window(x, y, half_px)
    _check_overlap(image, window, box, frame_index)
    return cut_face(image, window, step.side)


def _cut_square(image: np.ndarray, box: np.ndarray, step: CutSquare, frame_index: int) -> np.ndarray:
    window = face_square(*_face_place(image, box, frame_index), step.margin)
    _check_overlap(image, window, box, frame_index)
    return cut_square(image, window)


def _face_place(image: np.ndarray, box: np.ndarray, frame_index: int) -> tuple[float, float, float]:
    """Centre of a box, and half its longer side. Raises ClipError for a box so large that it is a mistake."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(edge) for edge in box)
    size = max(x2 - x1, y2 - y1)
    if size > FACE_TO_FRAME_MAX * max(height, width):
        raise ClipError(
            "bad-boxes",
            f"frame {frame_index}: a face of {size:g} pixels in a {width}x{height} frame; mend the boxes file",
        )
    return (x1 + x2) / 2, (y1 + y2) / 2, size / 2


def _check_overlap(image: np.ndarray, window: tuple[int, int, int, int], box: np.ndarray, frame_index: int) -> None:
    """Raises ClipError if the window shows nothing of the frame."""
    height, width = image.shape[:2]
    left, top, right, bottom = window
    if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
        raise _empty(image, box, frame_index)


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


def _resize_antialiased(image: np.ndarray, step: ResizeAntialiased) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((step.width, step.height), Image.Resampling.BILINEAR))


def _grey(image: np.ndarray, step: Grey, *, is_bgr: bool) -> np.ndarray:
    if step.rule == "opencv":
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if is_bgr else cv2.COLOR_RGB2GRAY)
    from PIL import Image

    return np.asarray(Image.fromarray(image[..., ::-1] if is_bgr else image).convert("L"))

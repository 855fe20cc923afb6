"""Pixel differences between generated and real frames: PSNR and SSIM, of the face, the mouth and the whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.faces import Boxes
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import CropBox, Resize, View, open_view
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer

from .psnr import mean_squared_error, wrapped_psnr_db
from .ssim import SMALLEST_SIDE, ssim_by_row

FACE_SIDE = 96  # TalkLip evaluation/visual_quality.py resizes both faces to 96x96
MOUTH_TOP = FACE_SIDE // 2
# Both videos are cropped by the reference's box, even beyond the frame's edges, as published. In a video of another
# size the box is scaled.
FACE = View("face-box-96", 1, (CropBox("face"), Resize(FACE_SIDE, FACE_SIDE)))
VIEWS = {
    "face": FACE,
    "mouth": View("face-box-96-lower-half", 1, FACE.steps),  # the lower half of what `face` shows
    "frame": View("whole-frame", 1, ()),
}


class _PixelsClipState(ClipState):
    """The evidence of one clip so far, see :class:`Pixels`.

    Attributes
    ----------
    numbers : dict of str to list of (n,) float64
        By the value's name in the evidence, the values of the frames of each chunk.
    same_size : bool
        Whether all frames compared so far had equal sizes in both videos.
    """

    def __init__(self, clip: Clip, regions: Sequence[str]) -> None:
        self._clip = clip
        self._regions = regions
        self.frames_generated = 0
        self.frames_reference = 0
        self.same_size = True
        self.numbers: dict[str, list[np.ndarray]] = {}

    def update(self, chunk: ClipChunk) -> None:
        generated, reference, boxes = chunk.generated, chunk.reference, chunk.boxes
        self.frames_generated += len(generated) if generated is not None else 0
        self.frames_reference += len(reference) if reference is not None else 0
        if generated is None or reference is None:
            return  # as many frames are compared as both videos have, as published
        count = min(len(generated), len(reference))
        generated, reference = _first(generated, count), _first(reference, count)
        if "face" in self._regions or "mouth" in self._regions:
            real_rows = chunk.boxes_in_reference
            fewest = min(0 if rows is None else len(rows) for rows in (boxes, real_rows))
            if boxes is None or real_rows is None or fewest < count:
                without = reference.start + fewest
                raise ClipError(
                    "boxes-too-short",
                    f"clip {self._clip.id}: no face box for frame {without}; give one for each frame of the reference",
                )
            self._add(self._of_faces(generated, reference, boxes[:count], real_rows[:count]))
            if self.clip_boxes is not None:
                real_boxes = self.clip_reference_boxes or self.clip_boxes
                if not (self.clip_boxes.plain and real_boxes.plain):
                    self._add(self._of_followed(generated, reference, self.clip_boxes, real_boxes))
        if "frame" in self._regions:
            self.same_size &= generated.rgb.shape == reference.rgb.shape
            if self.same_size:
                fits = min(reference.rgb.shape[1:3]) >= SMALLEST_SIDE
                of_frame = ssim_by_row(reference.rgb, generated.rgb) if fits else None
                self._add(_compared("frame", generated.rgb, reference.rgb, of_frame))

    def _of_faces(
        self, generated: FrameChunk, reference: FrameChunk, boxes: np.ndarray, real_boxes: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The values of the face and the mouth, (n,) each. Boxes are (n, 4), in pixels of the video that they crop."""
        face = open_view(FACE).apply(generated, boxes)
        real_face = open_view(FACE).apply(reference, real_boxes)
        rows = ssim_by_row(real_face, face)  # the rows of the lower half are the mouth's
        numbers: dict[str, np.ndarray] = {}
        if "face" in self._regions:
            numbers |= _compared("face", face, real_face, rows)
        if "mouth" in self._regions:
            numbers |= _compared("mouth", face[:, MOUTH_TOP:], real_face[:, MOUTH_TOP:], rows[:, MOUTH_TOP:])
        return numbers

    def _of_followed(
        self, generated: FrameChunk, reference: FrameChunk, boxes: Boxes, real_boxes: Boxes
    ) -> dict[str, np.ndarray]:
        """The values of the followed face, in those of these frames that show it; empty if few of the clip show it.

        ``boxes`` and ``real_boxes`` are of the whole videos.
        """
        rows = slice(reference.start, reference.start + len(reference))
        face, real_face = boxes.face, real_boxes.face
        shown = face.there[rows] & real_face.there[rows] & (not (face.faceless or real_face.faceless))
        numbers = self._of_faces(generated, reference, face.xyxy[rows], real_face.xyxy[rows])
        return {
            f"sound_{name}": values[shown]
            for name, values in numbers.items()
            if not name.endswith("_psnr_wrapped")  # the published arithmetic is of the best face alone
        }

    def _add(self, numbers: dict[str, np.ndarray]) -> None:
        for name, values in numbers.items():
            self.numbers.setdefault(name, []).append(values)


def _compared(
    region: str, generated: np.ndarray, real: np.ndarray, ssim_rows: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The values of one region, (n,) each.

    Frames are (n, height, width, 3) uint8; ``ssim_rows`` is (n, height), None for frames too small for SSIM.
    """
    numbers = {
        # The published script subtracts generated from real; the wrapped squares are the same in either order.
        f"{region}_psnr_wrapped": wrapped_psnr_db(real, generated),
        f"{region}_mse": mean_squared_error(real, generated),
    }
    if ssim_rows is not None:
        numbers[f"{region}_ssim"] = ssim_rows.mean(axis=1)
    return numbers


class Pixels(Observer):
    """PSNR and SSIM of each frame.

    Evidence
    --------
    frames, frames_generated, frames_reference : int
        The first ``min`` of both are compared.
    {face,mouth,frame}_psnr_wrapped : (frames,) float64
        In dB. The values of ``frame`` are left out if the videos differ in size.
    {face,mouth,frame}_mse : (frames,) float64
        In squared grey levels.
    {face,mouth,frame}_ssim : (frames,) float64
        ``frame_ssim`` is left out if the frames are too small for its window.
    sound_{face,mouth}_mse, sound_{face,mouth}_ssim : (faces,) float64
        Of the followed face, in the frames that show it; empty if most do not. Only if the best-scored face is not the
        followed one in every frame.
    """

    name: ClassVar[str] = "pixels"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True)
    views: ClassVar[dict[str, str]] = {name: view.id for name, view in VIEWS.items()}

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = tuple(regions)

    @classmethod
    def load(
        cls,
        weights: Path | None,
        views: Sequence[str],
        device: str,
        modes: Sequence[str] = (),
        *,
        half: bool = False,
        packed: bool = False,
    ) -> Pixels:
        return cls(views)

    @classmethod
    def recipe(cls, view: str) -> View:
        """The steps that crop a frame to the region."""
        return VIEWS[view]

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return _PixelsClipState(clip, self._regions)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _PixelsClipState)]

    def _compute(self, state: _PixelsClipState) -> Evidence | ClipError:
        frames = min(state.frames_generated, state.frames_reference)
        if not frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        arrays = {name: np.concatenate(parts) for name, parts in state.numbers.items()}
        if not state.same_size:  # the size may change within a video: some frames are not enough
            arrays = {name: array for name, array in arrays.items() if not name.startswith("frame_")}
        return Evidence(
            self.name,
            {
                "frames": frames,
                "frames_generated": state.frames_generated,
                "frames_reference": state.frames_reference,
                **arrays,
            },
        )


def _first(frames: FrameChunk, count: int) -> FrameChunk:
    """The first ``count`` frames of a chunk."""
    return frames if len(frames) == count else FrameChunk(frames.start, frames.native[:count])

"""Checks of the framing of the face in a generated video, with the embedded detector on a few of its frames.

Boxes found in the real video are used for the generated one. Many portrait generators write a square crop of their
source, sometimes scaled back to the real video's size; the boxes then show another part of the face. Views that scale
the whole frame need a frame that shows just a face, as in LRS2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tlbench.media.face_tracks import overlap
from tlbench.media.faces import FaceDetector
from tlbench.media.followed import FACELESS_SHARE
from tlbench.media.scaling import Size, scale_boxes
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.preflight.faces import ABSENT_SHARE
from tlbench.preflight.findings import Finding, finding

LOOKS = 5  # frames of a clip that are checked, evenly spread
FOUND_MIN = 3  # of them must show a face for a finding
# Median intersection over union of the detected face and the real video's box. Measured on 64 GRID clips (s1, s4, s10,
# s30) with the Haar cascade and with BlazeFace (minimum to maximum of both): the clip itself, at half and double size,
# blurred, as JPEG of quality 10 or with noise 0.85 to 1.00; the lower half of the face grey 0.67 to 0.94; its first
# frame repeated while the real head moves 0.74 to 0.99; a crop scaled back to the clip's size, 1.1 times as close 0.60
# to 0.81, 1.2 times 0.45 to 0.72 (94 % below the limit with Haar), 1.5 times 0.36 to 0.55.
SAME_FRAMING = 0.62
MOUTH_DOWN = 0.79  # of a face box's height: in LRS2's framing of 160, GRID's mouths are at y 90 and faces end at 114


def frames_to_look_at(frames: int) -> tuple[int, ...]:
    """At most :data:`LOOKS` different frame indices in the middles of equal parts of a video."""
    return tuple(sorted({int((part + 0.5) * frames / LOOKS) for part in range(LOOKS)})) if frames > 0 else ()


@dataclass(frozen=True)
class FacePlace:
    """The position of the face in the checked frames of a video: medians, as shares of the frame.

    The face is the one at the real video's box if they fit, else the largest.

    Attributes
    ----------
    looked, shown : int
        Number of checked frames, and of those that show a face.
    height, width : float
        The face's longer side over the frame's height and over its width; 0 without a face.
    mouth_x, mouth_y : float
        Position of the mouth from the left and from the top, estimated from the face box.
    """

    looked: int
    shown: int
    height: float = 0.0
    width: float = 0.0
    mouth_x: float = 0.0
    mouth_y: float = 0.0


class FaceLooks:
    """Detects the faces in a few frames of a generated video, as its frames are decoded.

    Parameters
    ----------
    detector : FaceDetector
    boxes : ndarray or None
        (T, 4) boxes of the real video in pixels of this video, the last one repeated; None to compare none.
    frames : int
        Number of frames of the video, by its header.
    """

    def __init__(self, detector: FaceDetector, boxes: np.ndarray | None, frames: int) -> None:
        self.detector = detector
        self.laid = boxes is not None  # whether boxes are compared
        self._boxes = boxes
        self._wanted = frames_to_look_at(frames)
        self.faces: dict[int, np.ndarray] = {}  # (k, 4) by frame index, of frames with faces
        self.overlaps: dict[int, float] = {}  # largest overlap of a face with the box, by frame index
        self.looked: list[int] = []  # indices of the checked frames
        self._places: list[np.ndarray] = []  # (4,) the numbers of FacePlace, of frames with faces

    def take(self, chunk: FrameChunk) -> None:
        """Take the next frames."""
        for index in self._wanted:
            if chunk.start <= index < chunk.start + len(chunk):
                picture = chunk.rgb[index - chunk.start]
                self._look(picture, index)
                self.looked.append(index)
                if index in self.faces:
                    self._places.append(_place(self.faces[index], picture.shape[1], picture.shape[0]))

    def _look(self, picture: np.ndarray, index: int) -> None:
        box = None if self._boxes is None else self._boxes[min(index, len(self._boxes) - 1)]
        if box is not None:
            (near,) = self.detector.detect(picture[None], box)
            if near is not None and overlap(near, box) >= SAME_FRAMING:  # usually this one short search is enough
                self.faces[index], self.overlaps[index] = near[None].astype(np.float64), overlap(near, box)
                return
        faces = sure_faces(self.detector, picture)
        if len(faces):
            self.faces[index] = faces
            if box is not None:
                self.overlaps[index] = max(overlap(face, box) for face in faces)

    @property
    def fit(self) -> float | None:
        """Median overlap of faces and boxes; None if fewer than `FOUND_MIN` frames show a face."""
        return _median(self.overlaps)

    @property
    def faceless(self) -> list[int]:
        """Indices of the checked frames without a face."""
        return [index for index in self.looked if index not in self.faces]

    @property
    def place(self) -> FacePlace:
        """The position of the face in the frames taken so far."""
        shares = np.median(self._places, axis=0).tolist() if self._places else ()
        return FacePlace(len(self.looked), len(self._places), *shares)


def check_framing(
    clip_id: str, looks: FaceLooks, size: Size, reference: VideoReader | None, reference_size: Size | None
) -> Iterator[Finding]:
    """``framing`` if the real video's boxes do not fit the faces of a generated video.

    Also ``faces-missing`` or ``no-face`` if more than a tenth or half of the checked frames show no face while the same
    frames of the real video do.

    Boxes may follow another convention than the detector's, be smoothed, or be a fallback. So if they do not fit, the
    same frames of the real video are checked too. There is no finding if some generated face is where a real face is
    (the head may be still while the real one moves), or if no real face is found.

    Parameters
    ----------
    looks : FaceLooks
        After the whole generated video, with frames of ``size``.
    reference : VideoReader or None
        The real video; read only if the boxes do not fit, or a frame shows no face.
    reference_size : (width, height) or None

    Raises
    ------
    ClipError
        If the real video is needed and can't be read.
    """
    fit, faceless = looks.fit, looks.faceless
    misfit = fit is not None and fit < SAME_FRAMING
    if not looks.laid or reference is None or reference_size is None or not (misfit or faceless):
        return
    real: dict[int, np.ndarray] = {}
    for chunk in reference.frames():
        for index in (*faceless, *(looks.faces if misfit else ())):
            if chunk.start <= index < chunk.start + len(chunk):
                faces = sure_faces(looks.detector, chunk.rgb[index - chunk.start])
                if len(faces):
                    real[index] = scale_boxes(faces, reference_size, size)
    lost = [index for index in faceless if index in real]
    if len(lost) > ABSENT_SHARE * len(looks.looked):
        code = "no-face" if len(lost) > FACELESS_SHARE * len(looks.looked) else "faces-missing"
        said = f"{len(lost)} of {len(looks.looked)} frames looked at show no face, where the real video's do"
        yield finding(code, clip_id, said)
    framed = [real[index] for index in looks.faces if index in real]
    if fit is None or not misfit or len(framed) < FOUND_MIN:
        return
    places = np.concatenate(framed)
    of_faces = _median(
        {index: max(overlap(face, place) for face in faces for place in places) for index, faces in looks.faces.items()}
    )
    if of_faces is not None and of_faces < SAME_FRAMING:
        yield finding(
            "framing",
            clip_id,
            f"its face overlaps the real video's by {of_faces:.2f} and the boxes by {fit:.2f} "
            f"(same framing: over {SAME_FRAMING:.2f})",
        )


def sure_faces(detector: FaceDetector, picture: np.ndarray) -> np.ndarray:
    """(k, 4) float64: the faces of one (H, W, 3) picture above the detector's `sure_score`."""
    (faces,) = detector.detect_all(picture[None], detector.sure_score)
    return faces[:, :4]


def _place(faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """(4,) height, width, mouth_x and mouth_y of :class:`FacePlace`, for the largest of (k, 4) faces."""
    sides = faces[:, 2:] - faces[:, :2]
    largest = int(sides.prod(axis=1).argmax())
    side = sides[largest].max()
    x = faces[largest, [0, 2]].mean()
    y = faces[largest, 1] + MOUTH_DOWN * sides[largest, 1]
    return np.array([side / height, side / width, x / width, y / height])


def _median(overlaps: Mapping[int, float]) -> float | None:
    return float(np.median(list(overlaps.values()))) if len(overlaps) >= FOUND_MIN else None

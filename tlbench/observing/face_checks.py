"""How a generated video frames the face: the embedded detector looks at a few of its frames.

Boxes found in the real video are laid over the generated one. Many portrait generators write a square crop of their
source, which may have the real video's size all the same; the boxes then show another part of the face.
Views that scale the whole frame take it for a face as LRS2's videos frame it.
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

LOOKS = 5  # frames of a clip that are looked at, evenly spread
FOUND_MIN = 3  # of them must show a face, else nothing is said
# Median intersection over union of the face that is found and the box that is laid over it. Measured on 64 GRID clips
# (s1, s4, s10, s30), with the Haar cascade and with BlazeFace, least to greatest of both: the clip itself, at half and
# double size, blurred, coded as JPEG of quality 10 or with noise 0.85 to 1.00; the lower half of the face greyed 0.67
# to 0.94; its first frame held while the head moves on 0.74 to 0.99; a crop brought back to the clip's size, 1.1 times
# as close 0.60 to 0.81, 1.2 times 0.45 to 0.72 (94 % below the limit with Haar), 1.5 times 0.36 to 0.55.
SAME_FRAMING = 0.62
MOUTH_DOWN = 0.79  # of a face box's height: GRID's mouths are at y 90 of LRS2-framed 160, whose face ends at 114


def frames_to_look_at(frames: int) -> tuple[int, ...]:
    """At most :data:`LOOKS` different frame indices in the middles of equal parts of a video."""
    return tuple(sorted({int((part + 0.5) * frames / LOOKS) for part in range(LOOKS)})) if frames > 0 else ()


@dataclass(frozen=True)
class FacePlace:
    """Where the face is in the frames of a video that were looked at: medians, as shares of the frame.

    It is the one near the boxes that are laid over the video, if these were found to fit, else the largest.

    Attributes
    ----------
    looked, shown : int
        How many frames were looked at, and how many of them show a face.
    height, width : float
        The face's longer side, of the frame's height and of its width; 0 without a face.
    mouth_x, mouth_y : float
        The mouth, from the left and from the top, told by the face's box.
    """

    looked: int
    shown: int
    height: float = 0.0
    width: float = 0.0
    mouth_x: float = 0.0
    mouth_y: float = 0.0


class FaceLooks:
    """The faces in some frames of a generated video, taken as its frames pass.

    Parameters
    ----------
    detector : FaceDetector
    boxes : ndarray or None
        (T, 4) the boxes laid over the video, in its pixels; the last one is held. None if none are to be compared.
    frames : int
        How many frames it has, by its header.
    """

    def __init__(self, detector: FaceDetector, boxes: np.ndarray | None, frames: int) -> None:
        self.detector = detector
        self.laid = boxes is not None  # whether boxes were laid over it
        self._boxes = boxes
        self._wanted = frames_to_look_at(frames)
        self.faces: dict[int, np.ndarray] = {}  # (k, 4) of the frames that show some
        self.overlaps: dict[int, float] = {}  # of the best of them with the box laid there
        self.looked: list[int] = []  # frame indices
        self._places: list[np.ndarray] = []  # (4,) as FacePlace has them, of the frames that show a face

    def take(self, chunk: FrameChunk) -> None:
        """The next run of frames."""
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
            if near is not None and overlap(near, box) >= SAME_FRAMING:  # the usual case costs one short search
                self.faces[index], self.overlaps[index] = near[None].astype(np.float64), overlap(near, box)
                return
        faces = sure_faces(self.detector, picture)
        if len(faces):
            self.faces[index] = faces
            if box is not None:
                self.overlaps[index] = max(overlap(face, box) for face in faces)

    @property
    def fit(self) -> float | None:
        """Median overlap of faces and boxes; None if too few frames show a face."""
        return _median(self.overlaps)

    @property
    def faceless(self) -> list[int]:
        """Indices of the frames looked at that show no face."""
        return [index for index in self.looked if index not in self.faces]

    @property
    def place(self) -> FacePlace:
        """Where the face is in the frames taken so far."""
        shares = np.median(self._places, axis=0).tolist() if self._places else ()
        return FacePlace(len(self.looked), len(self._places), *shares)


def check_framing(
    clip_id: str, looks: FaceLooks, size: Size, reference: VideoReader | None, reference_size: Size | None
) -> Iterator[Finding]:
    """``framing`` if the boxes laid over a generated video are not where its face is; and whether it has lost its face.

    ``faces-missing`` or ``no-face``, for more than a tenth or half of the frames looked at, if they show no face where
    the same frames of the real video do.

    Boxes may follow another convention than the detector's, be smoothed, or stand where no face was found. So where
    they do not fit, the same frames of the real video are looked at: nothing is said if the face is where the real one
    is in some of them (a head may be still while the real one moves), nor if that can't be seen.

    Parameters
    ----------
    looks : FaceLooks
        That have seen the whole generated video, whose frames are of ``size``.
    reference : VideoReader or None
        The real video; read only if the boxes do not fit, or a frame shows no face.
    reference_size : (width, height) or None

    Raises
    ------
    ClipError
        If the real video has to be read and can't be.
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
    """(k, 4) float64: the faces of one (H, W, 3) picture that are worth trusting."""
    (faces,) = detector.detect_all(picture[None], detector.sure_score)
    return faces[:, :4]


def _place(faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """(4,) height, width, mouth_x and mouth_y of :class:`FacePlace`, of the largest of (k, 4) faces."""
    sides = faces[:, 2:] - faces[:, :2]
    largest = int(sides.prod(axis=1).argmax())
    side = sides[largest].max()
    x = faces[largest, [0, 2]].mean()
    y = faces[largest, 1] + MOUTH_DOWN * sides[largest, 1]
    return np.array([side / height, side / width, x / width, y / height])


def _median(overlaps: Mapping[int, float]) -> float | None:
    return float(np.median(list(overlaps.values()))) if len(overlaps) >= FOUND_MIN else None

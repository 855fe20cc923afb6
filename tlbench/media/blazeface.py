"""BlazeFace: the embedded face detector, which also gives eyes, nose tip and the middle of the mouth.

The network is the short-range model of MediaPipe 0.10.21 (Bazarevsky et al., BlazeFace, arXiv:1907.05047), bundled as
published under Apache-2.0 and read by ``cv2.dnn``, whose answer is the same to the last bit in OpenCV 4.8 to 4.14.
How its answer is read follows MediaPipe: ``modules/face_detection/face_detection_short_range.pbtxt`` (128x128 pixels
from -1 to 1, zeros around a frame that is no square, anchors, scores cut at 100, sigmoid, 0.5, weighted suppression at
0.3), ``calculators/tflite/ssd_anchors_calculator.cc``, ``tflite_tensors_to_detections_calculator.cc`` and
``calculators/util/non_max_suppression_calculator.cc``. Where in a frame it looks is our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from tlbench.media.bundled_model import BundledModel
from tlbench.media.face_mesh import FaceMesh
from tlbench.media.full_range import FullRange
from tlbench.media.squares import cut, in_mirror, overlap

SHORT_RANGE = BundledModel(
    "face_detection_short_range.tflite", "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
)
INPUT_PX = 128
GRIDS = ((16, 2), (8, 6))  # cells a side and anchors a cell: strides 8, and 16 three times with two each
POINTS = ("right eye", "left eye", "nose tip", "mouth centre", "right ear", "left ear")  # right: the person's own
SCORE_CUT = 100.0
FACE_SCORE = 0.5
OVERLAP_MAX = 0.3

# Of 2,000 pictures without a face (`python -m benchmarks.detectors`) many show something that scores 0.5 to 0.7; faces
# that somebody newly looks for have to score more, and the face mesh has to agree unless they score much more.
CANDIDATE_SCORE = 0.3  # what is looked at a second time, close up
NEW_SCORE, NEW_FLAG = 0.68, 0.7
CLEAR_SCORE = 0.83
# Where no face was found, what scored less or the mesh did not agree upon, as on faces turned away, is looked at in a
# mirror too: both looks have to score so much on average (neither may fall short by more than 0.05), and the mesh has
# to agree there. Of 4,000 pictures without a face (seeds 0 and 1) one passed, which the looks before had taken for one.
MIRRORED_SCORE, MIRRORED_FLAG, MIRRORED_SLACK = 0.66, 0.8, 0.05
# Where that finds nothing either, a second network decides (`tlbench.media.full_range`): MediaPipe's own limit of 0.5
# for its mean score, and for the face's; both looks before have to score 0.55 on average (neither below 0.45). It takes
# a mouth that fills a picture for a face, whose brows would be outside: of 360 such pictures of GRID 11, all with at
# least 0.15 of the square's side outside, so at most 0.1 may be.
DOUBTFUL_SCORE, DOUBTFUL_SLACK = 0.55, 0.1
OUTSIDE_MAX = 0.1
CLEAR_WINDOW = 2.5  # a clear face in a window at most so much wider needs no second look
CLOSE_UP = 1.75  # side of the window of the second look over the face's: boxes of GRID's faces waver least there
FOLLOWED_OVERLAP = 0.2  # a face near another is the same if they overlap by more
STEADY_OVERLAP = 0.8  # a box that overlaps the one before by as much is drawn to it
WIDE = 0.8  # shorter over longer side of frames that are searched in squares as well: faces may stand side by side
BORDER = 1.5  # side of the window that finds faces larger than the frame, over the frame's longer side
TILE_PX = 128  # smaller tiles would only be enlarged


@dataclass(frozen=True)
class Face:
    """One face, in pixels of the frame.

    Attributes
    ----------
    square : ndarray
        (4,) float64 x1 y1 x2 y2: BlazeFace's own box, from brows to chin; may pass the frame's edge.
    points : ndarray
        (6, 2) float64 x y of `POINTS`.
    score : float
        0 to 1.
    """

    square: np.ndarray
    points: np.ndarray
    score: float


class BlazeFaceDetector:
    """The embedded detector, which needs no download.

    A face that is not clear at once is looked at a second time, in a narrow window around it, and the face mesh has to
    agree that it is one (its flag, `tlbench.media.face_mesh`). If there is none, the weak ones are looked at in a
    mirror, where network and mesh see another picture, and then by a second network, the full-range model: that finds
    faces turned far away. While a face is followed, the window is laid around the box before, one look is enough, and
    so is MediaPipe's own score of 0.5: a face that turns away stays found.

    A frame is searched whole, and if it is wide also in overlapping squares of its shorter side; if nothing is
    found there, with a border (faces larger than the frame); if nothing is found then, in squares of half the shorter
    side, where those have 128 pixels: faces down to about a sixteenth of the shorter side. Each box is a function of
    its frame and the box before it: one that nearly equals it goes half the way only, so that a face which keeps still
    keeps its box to a pixel.

    BlazeFace answers with squares from brows to chin, unlike detectors trained on WIDER FACE, which S3FD is. `INSET`,
    `TOP` and `BOTTOM` turn the one into the other: on 117 frames of 39 GRID videos (s1's training part, s2, s4, s10,
    s30) the box of MTCNN (facenet-pytorch 2.6.0), which learnt from the same data as S3FD, lay at 0.072, -0.183, 0.912,
    0.999 of the side of the square seen close up (medians of x1, y1, x2, y2; standard deviations 0.022, 0.035, 0.015,
    0.017). The two sides are made equal, since a face may turn either way.
    """

    name = "blazeface"
    sure_score = FACE_SCORE

    INSET, TOP, BOTTOM = 0.08, -0.183, 0.999  # of the square's side, from its left, right and upper edge

    def __init__(self) -> None:
        self._network = SHORT_RANGE.load()
        self._mesh = FaceMesh()

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        """The best face of each frame, clipped to the frame; see `FaceDetector.detect`."""
        found: list[np.ndarray | None] = []
        for frame in frames:
            face = self.find(frame, before)
            box = None if face is None else framed(face.square, frame.shape)
            before = box if box is None or before is None else steadied(before, box)
            found.append(before)
        return found

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        """The faces of each frame, each frame searched whole; see `FaceDetector.detect_all`.

        Where a frame shows faces of very different sizes, those are found that are visible at the size of the largest.
        """
        found: list[np.ndarray] = []
        for frame in frames:
            faces = [face for face in self._search(frame) if face.score > min_score]
            rows = [np.append(framed(face.square, frame.shape), face.score) for face in faces]
            found.append(np.array(rows, dtype=np.float64).reshape(-1, 5))
        return found

    def find(self, frame: np.ndarray, before: np.ndarray | None = None) -> Face | None:
        """The best face of a frame, with its points.

        Parameters
        ----------
        frame : ndarray
            (H, W, 3) uint8 RGB.
        before : ndarray or None
            (4,) the box that `detect` gave for the frame before.
        """
        if before is not None:
            followed = self._near(frame, square_of(before))
            if followed is not None and followed.score >= FACE_SCORE:
                return followed
        return next(iter(self._search(frame)), None)

    def _search(self, frame: np.ndarray) -> list[Face]:
        """The faces of a frame, best first; of the first kind of window in which there is one."""
        faces: list[Face] = []
        weak: list[Face] = []
        for windows in _windows(*frame.shape[:2]):
            seen = [(window, face) for window in windows for face in self.look(frame, window, CANDIDATE_SCORE)]
            for window, candidate in sorted(seen, key=lambda pair: -pair[1].score):
                if faces and overlap(candidate.square, np.stack([face.square for face in faces])).max() > OVERLAP_MAX:
                    continue  # another window showed it already
                if _is_clear(window, candidate):
                    faces.append(candidate)
                elif (face := self._near(frame, candidate.square)) is not None:
                    (faces if self._confirmed(frame, face) else weak).append(face)
            if faces:
                break
        return suppress(faces or self._confirmed_in_mirror(frame, weak) or self._confirmed_by_full_range(frame, weak))

    def _confirmed(self, frame: np.ndarray, face: Face) -> bool:
        """Whether a face seen close up is one."""
        if face.score < NEW_SCORE:
            return False
        return face.score >= CLEAR_SCORE or self._mesh.find(frame, face.square, *face.points[:2]).flag >= NEW_FLAG

    def _confirmed_in_mirror(self, frame: np.ndarray, weak: list[Face]) -> list[Face]:
        """Those of the faces seen close up that are one in a mirror as well."""
        weak = [face for face in weak if face.score >= MIRRORED_SCORE - MIRRORED_SLACK]
        mirrored = np.ascontiguousarray(frame[:, ::-1]) if weak else frame
        found = []
        for face in weak:
            other = self._near(mirrored, in_mirror(face.square, frame.shape[1]))
            if other is None or other.score < MIRRORED_SCORE - MIRRORED_SLACK:
                continue
            mesh = self._mesh.find(mirrored, other.square, *other.points[:2])
            flag = max(mesh.flag, self._mesh.follow(mirrored, mesh).flag)
            if (face.score + other.score) / 2 >= MIRRORED_SCORE and flag >= MIRRORED_FLAG:
                found.append(face)
        return found

    def _confirmed_by_full_range(self, frame: np.ndarray, weak: list[Face]) -> list[Face]:
        """Those of the faces seen close up that the full-range network takes for one; the best of each place only."""
        mirrored = np.ascontiguousarray(frame[:, ::-1]) if weak else frame
        tried: list[Face] = []
        found = []
        for face in sorted(weak, key=lambda face: -face.score):
            if face.score < FACE_SCORE:
                break
            if _outside(face.square, frame.shape) > OUTSIDE_MAX:
                continue
            if tried and overlap(face.square, np.stack([other.square for other in tried])).max() > OVERLAP_MAX:
                continue
            tried.append(face)
            other = self._near(mirrored, in_mirror(face.square, frame.shape[1]))
            if other is None or other.score < DOUBTFUL_SCORE - DOUBTFUL_SLACK:
                continue
            if (face.score + other.score) / 2 < DOUBTFUL_SCORE:
                continue
            if self._full_range.confidence(frame, mirrored, face.square) >= FACE_SCORE:
                found.append(face)
        return found

    @cached_property
    def _full_range(self) -> FullRange:
        return FullRange()  # most videos never need it

    def _near(self, frame: np.ndarray, square: np.ndarray) -> Face | None:
        """The face at a square, seen close up: that which overlaps it most, if any does enough."""
        faces = self.look(frame, close_up(square), CANDIDATE_SCORE)
        if not faces:
            return None
        overlaps = overlap(square, np.stack([face.square for face in faces]))
        best = int(overlaps.argmax())
        return faces[best] if overlaps[best] > FOLLOWED_OVERLAP else None

    def look(self, frame: np.ndarray, window: tuple[int, int, int], min_score: float) -> list[Face]:
        """What the network sees in a square window (left, top, side) that scores at least ``min_score``, best first."""
        left, top, side = window
        picture = cut(frame, left, top, side, INPUT_PX)
        self._network.setInput(cv2.dnn.blobFromImage(picture, 1 / 127.5, (INPUT_PX, INPUT_PX), (127.5, 127.5, 127.5)))
        boxes, logits = self._network.forward(["regressors", "classificators"])
        faces = decode(boxes.reshape(-1, 16), logits.reshape(-1), min_score)
        corner = np.array([left, top], dtype=np.float64)
        return [
            Face((face.square.reshape(2, 2) * side + corner).reshape(4), face.points * side + corner, face.score)
            for face in faces
        ]


def _is_clear(window: tuple[int, int, int], candidate: Face) -> bool:
    """Whether a candidate needs no second look."""
    side = float(candidate.square[2] - candidate.square[0])
    return candidate.score >= CLEAR_SCORE and window[2] <= CLEAR_WINDOW * side


def _outside(square: np.ndarray, frame_shape: tuple[int, ...]) -> float:
    """How far a square passes the frame's edge at most, as a share of its side; 0 or less if it does not."""
    height, width = frame_shape[:2]
    left, top, right, bottom = square
    return float(max(-left, -top, right - width, bottom - height) / (right - left))


def anchors() -> np.ndarray:
    """(896, 2) float64 x y: the middles of the cells, as shares of the input, each repeated for its anchors."""
    parts = []
    for cells, each in GRIDS:
        y, x = np.mgrid[:cells, :cells]
        middles = np.stack([x + 0.5, y + 0.5], axis=-1).reshape(-1, 2) / cells
        parts.append(np.repeat(middles, each, axis=0))
    return np.concatenate(parts)


ANCHORS = anchors()


def decode(boxes: np.ndarray, logits: np.ndarray, min_score: float) -> list[Face]:
    """The network's answer as faces, in shares of its input, best first.

    Parameters
    ----------
    boxes : ndarray
        (896, 16) float32 in pixels of the input: x y of the middle from the anchor, width, height, x y of six points.
    logits : ndarray
        (896,) float32.
    min_score : float
    """
    kept = np.flatnonzero(logits >= math.log(min_score / (1 - min_score)))
    cut_off = np.clip(logits[kept].astype(np.float64), -SCORE_CUT, SCORE_CUT)
    scores = [1 / (1 + math.exp(-logit)) for logit in cut_off.tolist()]  # np.exp differs between NumPy's versions
    numbers = boxes[kept].astype(np.float64) / INPUT_PX
    places = ANCHORS[kept]
    middle, half = numbers[:, :2] + places, numbers[:, 2:4] / 2
    points = numbers[:, 4:].reshape(-1, len(POINTS), 2) + places[:, None]
    squares = np.concatenate([middle - half, middle + half], axis=1)
    return suppress([Face(*row) for row in zip(squares, points, scores, strict=True)])


def suppress(faces: list[Face]) -> list[Face]:
    """One face for each group that overlaps its best one: their mean, weighted by score; best first."""
    left = sorted(faces, key=lambda face: -face.score)
    kept: list[Face] = []
    while left:
        if len(left) == 1:
            return [*kept, *left]
        overlaps = overlap(left[0].square, np.stack([face.square for face in left]))
        overlaps[0] = 1.0
        group = [face for face, share in zip(left, overlaps, strict=True) if share > OVERLAP_MAX]
        left = [face for face, share in zip(left, overlaps, strict=True) if share <= OVERLAP_MAX]
        total = sum(face.score for face in group)
        square, points = np.zeros(4), np.zeros((len(POINTS), 2))
        for face in group:  # one after the other: a matrix product adds in an order that depends on NumPy's build
            square += face.square * (face.score / total)
            points += face.points * (face.score / total)
        kept.append(Face(square, points, group[0].score))
    return kept


def framed(square: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
    """BlazeFace's square as a face box framed as S3FD's, truncated to whole pixels and clipped to the frame.

    (4,) int64, at least a pixel wide and high.
    """
    left, top, right, bottom = square
    side = ((right - left) + (bottom - top)) / 2
    detector = BlazeFaceDetector
    inset = side * detector.INSET
    height, width = frame_shape[:2]
    box = np.array([left + inset, top + side * detector.TOP, right - inset, top + side * detector.BOTTOM])
    whole: np.ndarray = np.clip(box, 0, [width, height, width, height]).astype(np.int64)
    whole[:2] = np.minimum(whole[:2], [width - 1, height - 1])
    whole[2:] = np.maximum(whole[2:], whole[:2] + 1)
    return whole


def steadied(before: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box before, moved half the way to a new one, in whole pixels towards it; the new one if they differ much.

    The network's edges waver by about a fortieth of the face: mean jumps of 0.5 to 0.9 pixels between frames of GRID.
    """
    if overlap(before.astype(np.float64), box[None].astype(np.float64))[0] < STEADY_OVERLAP:
        return box
    moved: np.ndarray = before + np.trunc((box - before) / 2).astype(np.int64)
    return moved


def square_of(box: np.ndarray) -> np.ndarray:
    """(4,) float64: the square that a box of `framed` came from, to a pixel, unless the frame's edge cut it."""
    left, top, right, bottom = (float(edge) for edge in box)
    detector = BlazeFaceDetector
    side = max((right - left) / (1 - 2 * detector.INSET), (bottom - top) / (detector.BOTTOM - detector.TOP))
    middle, lower = (left + right) / 2, bottom - side * detector.BOTTOM
    return np.array([middle - side / 2, lower, middle + side / 2, lower + side])


def close_up(square: np.ndarray) -> tuple[int, int, int]:
    """The window (left, top, side) for a second look at a face.

    It is laid on a grid of an eighth to a sixteenth of the face, so that a box which wavers by a pixel mostly leads to
    the very same window.
    """
    side = max(1.0, float(square[2] - square[0]))
    grid = 2 ** max(0, math.floor(math.log2(side / 8)))
    window = math.ceil(side * CLOSE_UP / grid) * grid
    left, top = ((square[:2] + square[2:]) / 2 - window / 2) / grid
    return round(float(left)) * grid, round(float(top)) * grid, window


def _windows(height: int, width: int) -> Iterator[list[tuple[int, int, int]]]:
    """The kinds of windows (left, top, side) in which a frame is searched, one kind after the other."""
    longer, shorter = max(height, width), min(height, width)
    whole, bordered = (
        ((width - side) // 2, (height - side) // 2, side) for side in (longer, math.ceil(longer * BORDER))
    )
    yield [whole, *_tiles(height, width, shorter)] if shorter < WIDE * longer else [whole]
    yield [bordered]
    if shorter // 2 >= TILE_PX:
        yield _tiles(height, width, shorter // 2)


def _tiles(height: int, width: int, side: int) -> list[tuple[int, int, int]]:
    return [(left, top, side) for top in _steps(height, side) for left in _steps(width, side)]


def _steps(length: int, side: int) -> list[int]:
    """Where windows of a side begin that cover a length and overlap by half or more."""
    count = math.ceil((length - side) / (side / 2)) + 1
    return [round(step) for step in np.linspace(0, length - side, count)]

"""Following the face of one person through a video that may show several.

The published rule takes the best face of each frame, of whichever person. It is kept for ``paper`` numbers. For
``sound`` numbers the face of one person is followed by the overlap of boxes. A lost face is found again where it was,
or where its motion would have taken it, and is not replaced by another person's.

Most videos show one face, so all faces are detected in one of `SEARCH_EVERY` frames only. If there is a second face, or
the best face jumps, all faces of every frame are detected and joined into tracks, one per person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tlbench.errors import TlbenchError, quoted
from tlbench.media.face_tracks import overlap
from tlbench.media.faces import Boxes, FaceDetector, as_boxes, best_faces, check_smooth
from tlbench.media.followed import GAP_FRAMES, FollowedFace, fill_gaps
from tlbench.media.video_reader import FrameChunk

SEARCH_EVERY = 20  # frames; a person who is visible for a shorter time may be missed
OVERLAP_MIN = 0.2  # of the union: less is a jump, since at 25 frames/s a face moves by a few pixels
SAME_FACE = 0.5  # of the smaller box: two boxes that share more show the same face
SUPPORT_FRAMES = 3  # a face found in fewer frames counts as a detector error
START_FRAMES = 5  # faces found within so many frames of the first one count as present from the start
SPEED_FRAMES = 5  # number of boxes that a face's speed is computed from

Chunks = Callable[[], Iterable[FrameChunk]]  # starts a pass through a video


def check_choice(face: str) -> None:
    """Raises TlbenchError if ``face`` is not a valid choice of the face to follow."""
    if face in ("largest", "central") or (face.isascii() and face.isdigit() and int(face) >= 1):
        return
    raise TlbenchError(f"face {quoted(face)} is none of largest, central, or a number: 1 for the first from the left")


def find_people(chunks: Chunks, detector: FaceDetector, smooth: int = 0, face: str = "largest") -> Boxes:
    """Find the best face of every frame, and the face of one person.

    Parameters
    ----------
    chunks : callable
        Returns the chunks of the video from the beginning; called twice if there are several people.
    detector : FaceDetector
    smooth : int
        Width in frames, odd, of a running median over each coordinate; 0 for none, as published. The ends repeat
        the first and the last box.
    face : str
        The face to follow if there are several: ``largest`` (of equally large ones the most central), ``central``, or
        its number from the left, from ``1``, in the first frame with so many faces. A video without such a frame has no
        face to follow.

    Raises
    ------
    ClipError
        ``no-frames`` if the video has no frame.
    TlbenchError
        If ``smooth`` or ``face`` is invalid.
    """
    check_smooth(smooth)
    check_choice(face)
    counts: list[int] = []
    best, centre = best_faces(_counted(chunks(), detector, counts), detector)
    alone = max(counts) <= 1 and not _jumps(best) and face in ("largest", "central", "1")
    followed = (
        fill_gaps(best, centre, searched=len(counts)) if alone else _follow(chunks(), detector, best, centre, face)
    )
    return as_boxes(best, centre, followed, detector.name, smooth)


def _counted(chunks: Iterable[FrameChunk], detector: FaceDetector, counts: list[int]) -> Iterator[FrameChunk]:
    """The same chunks; the number of faces of every `SEARCH_EVERY`-th frame is appended to ``counts``."""
    for chunk in chunks:
        looked_at = [row for row in range(len(chunk)) if (chunk.start + row) % SEARCH_EVERY == 0]
        if looked_at:
            counts += [len(_distinct(rows)) for rows in detector.detect_all(chunk.rgb[looked_at], detector.sure_score)]
        yield chunk


def _jumps(best: np.ndarray) -> bool:
    """Whether the best face jumps from one frame to the next."""
    found = best[~np.isnan(best[:, 0])]
    return any(overlap(a, b) < OVERLAP_MIN for a, b in pairwise(found))


def _distinct(rows: np.ndarray) -> np.ndarray:
    """(k, 5) x1 y1 x2 y2 score, best first, without boxes that overlap mostly with a better one."""
    kept: list[np.ndarray] = []
    for row in rows:
        if (row[:2] < row[2:4]).all() and all(_shared(row, other) <= SAME_FACE for other in kept):
            kept.append(row)
    return np.array(kept, dtype=np.float64).reshape(-1, 5)


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """The shared area of two boxes over the area of the smaller one."""
    sides = np.maximum(np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2]), 0)
    return float(sides.prod() / min((a[2:4] - a[:2]).prod(), (b[2:4] - b[:2]).prod()))


@dataclass
class _Person:
    """The boxes of one person, in the frames in which the face was found."""

    frames: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)  # (4,) each

    def add(self, frame: int, box: np.ndarray) -> None:
        self.frames.append(frame)
        self.boxes.append(box)

    def likeness(self, frame: int, box: np.ndarray) -> float:
        """Overlap of a later box with the predicted position of the face; after a gap also with its last position."""
        gap = frame - self.frames[-1]
        last = self.boxes[-1]
        moved = last + self._speed() * min(gap, GAP_FRAMES)
        expected = overlap(moved, box)
        return expected if gap == 1 else max(expected, overlap(last, box))

    def _speed(self) -> np.ndarray:
        """(4,) pixels per frame, the same for both corners: the mean motion of the centre over the last boxes."""
        start = max(-SPEED_FRAMES, -len(self.frames))
        frames = self.frames[-1] - self.frames[start]
        if not frames:
            return np.zeros(4)
        moved = (self.boxes[-1] - self.boxes[start]).reshape(2, 2).mean(axis=0)
        return np.tile(moved / frames, 2)


def _follow(
    chunks: Iterable[FrameChunk], detector: FaceDetector, best: np.ndarray, centre: np.ndarray, face: str
) -> FollowedFace:
    """The face of the chosen person, from all faces of all frames."""
    faces: list[np.ndarray] = []
    size = np.zeros(2)
    for chunk in chunks:
        size = np.array(chunk.rgb.shape[2:0:-1])
        for rows in detector.detect_all(chunk.rgb, detector.sure_score / 2):
            faces.append(_with_best(rows, best[len(faces)]))
    people = people_of(faces, detector.sure_score)
    frames = np.array([frame for person in people for frame in person.frames], dtype=np.int64)
    several = int((np.bincount(frames, minlength=1) > 1).sum())
    chosen = _choose(people, face, size / 2)
    rows = np.full(best.shape, np.nan)
    if chosen is not None:
        rows[chosen.frames] = chosen.boxes
    return fill_gaps(rows, centre, several, len(best))


def _with_best(rows: np.ndarray, best: np.ndarray) -> np.ndarray:
    """All faces of a frame, (k, 5), in whole pixels; the best face of the published rule first, with infinite score."""
    whole = np.concatenate([np.trunc(np.clip(rows[:, :4], 0, None)), rows[:, 4:]], axis=1)
    if not np.isnan(best[0]):
        whole = np.concatenate([[[*best, np.inf]], whole])
    return _distinct(whole)


def people_of(faces: Sequence[np.ndarray], sure_score: float) -> list[_Person]:
    """Join the faces of a video's frames into people, in the order of their first frames.

    In each frame the pairs of a person and a face with the largest overlap are matched first. People who were found in
    the frame before come before those who were lost, so that nobody loses the face to a person who passes by.

    Parameters
    ----------
    faces : sequence of ndarray
        For each frame (k, 5) x1 y1 x2 y2 score.
    sure_score : float
        A new person needs a face with a higher score; faces with a lower score only continue a person.
    """
    people: list[_Person] = []
    for frame, rows in enumerate(faces):
        left = set(range(len(rows)))
        for lost in (False, True):
            waiting = [person for person in people if _waited_for(person, frame, lost)]
            pairs = [(p.likeness(frame, rows[row, :4]), -order, row) for order, p in enumerate(waiting) for row in left]
            for likeness, order, row in sorted(pairs, reverse=True):
                person = waiting[-order]
                if likeness >= OVERLAP_MIN and row in left and person.frames[-1] < frame:
                    person.add(frame, rows[row, :4])
                    left.discard(row)
        people += [_Person([frame], [rows[row, :4]]) for row in sorted(left) if rows[row, 4] > sure_score]
    return [person for person in people if len(person.frames) >= SUPPORT_FRAMES] or people


def _waited_for(person: _Person, frame: int, lost: bool) -> bool:
    """Whether to look for a person in this frame. ``lost``: for those not found in the frame before, or for the others.

    A person with few faces is given up after a short gap.
    """
    gap = frame - person.frames[-1]
    lasting = len(person.frames) >= SUPPORT_FRAMES or gap <= GAP_FRAMES + 1
    return gap > 0 and (gap > 1) == lost and lasting


def _choose(people: Sequence[_Person], face: str, middle: np.ndarray) -> _Person | None:
    """The person to follow; None if there is nobody, or no person with the given number."""
    if not people:
        return None
    if face not in ("largest", "central"):
        return _from_left(people, int(face))
    first = min(person.frames[0] for person in people)
    at_first = [person for person in people if person.frames[0] < first + START_FRAMES]

    def area(person: _Person) -> float:
        return float((person.boxes[0][2:] - person.boxes[0][:2]).prod())

    def away(person: _Person) -> float:
        return float(np.linalg.norm((person.boxes[0][:2] + person.boxes[0][2:]) / 2 - middle))

    if face == "largest":
        return min(at_first, key=lambda person: (-area(person), away(person)))
    return min(at_first, key=lambda person: (away(person), -area(person)))


def _from_left(people: Sequence[_Person], number: int) -> _Person | None:
    """The person with this number from the left, in the first frame with so many people."""
    shown: dict[int, list[tuple[float, int]]] = {}
    for order, person in enumerate(people):
        for frame, box in zip(person.frames, person.boxes, strict=True):
            shown.setdefault(frame, []).append((float(box[0] + box[2]), order))
    for frame in sorted(shown):
        if len(shown[frame]) >= number:
            return people[sorted(shown[frame])[number - 1][1]]
    return None

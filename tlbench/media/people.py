"""One person's face followed through a video that may show several.

The published rule takes the best face of each frame, whoever's that is. Here it is still found, for ``paper`` numbers;
for ``sound`` ones the face of one person is followed: the one whose box overlaps the last. A face that is lost is
taken up again where it was, or where its movement would have brought it, and never somebody else's instead.

Videos of one face are the rule, so all faces are looked for once in `SEARCH_EVERY` frames only. Where this shows a
second face, or the best face jumps, all faces of every frame are found and joined into tracks, one a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.media.faces import Boxes, FaceDetector, as_boxes, best_faces, check_smooth
from tlbench.media.followed import GAP_FRAMES, FollowedFace, fill_gaps
from tlbench.media.tracks import overlap
from tlbench.media.video import Frames

SEARCH_EVERY = 20  # frames: who is there for a shorter time may go unseen, and does not matter to the one followed
OVERLAP_MIN = 0.2  # of the union: less is a jump. At 25 frames a second a face moves by a few pixels
SAME_FACE = 0.5  # of the smaller box: two boxes that share more are two answers for one face
SUPPORT_FRAMES = 3  # a face found in fewer frames is taken for a mistake of the detector
START_FRAMES = 5  # faces found within so many frames of the first one were there at first
SPEED_FRAMES = 5  # a face's speed is that of its last so many boxes

Runs = Callable[[], Iterable[Frames]]  # begins a pass through a video


def check_choice(face: str) -> None:
    """Raises TlbenchError if ``face`` does not say which face is followed."""
    if face in ("largest", "central") or (face.isascii() and face.isdigit() and int(face) >= 1):
        return
    raise TlbenchError(f"face {face!r} is none of largest, central, or a number: 1 for the first from the left")


def find_people(runs: Runs, detector: FaceDetector, smooth: int = 0, face: str = "largest") -> Boxes:
    """Find the best face of every frame, and the face of one person.

    Parameters
    ----------
    runs : callable
        Gives the video from its beginning, in order; called twice if there are several people.
    detector : FaceDetector
    smooth : int
        Width in frames, odd, of a running median over each coordinate; 0 for none, as published. The ends repeat
        the first and the last box.
    face : str
        Which face is followed where there are several: ``largest`` (of equally large ones the most central),
        ``central``, or its number from the left, ``1`` the first, in the first frame that shows so many. A video that
        never shows so many has no face to follow.

    Raises
    ------
    ClipError
        ``no-frames`` if there is not one frame.
    TlbenchError
        If ``smooth`` or ``face`` is not one of these.
    """
    check_smooth(smooth)
    check_choice(face)
    counts: list[int] = []
    best, centre = best_faces(_counted(runs(), detector, counts), detector)
    alone = max(counts) <= 1 and not _jumps(best) and face in ("largest", "central", "1")
    followed = fill_gaps(best, centre, searched=len(counts)) if alone else _follow(runs(), detector, best, centre, face)
    return as_boxes(best, centre, followed, detector.name, smooth)


def _counted(runs: Iterable[Frames], detector: FaceDetector, counts: list[int]) -> Iterator[Frames]:
    """The same runs; how many faces each frame looked at shows is added to ``counts``."""
    for run in runs:
        looked_at = [row for row in range(len(run)) if (run.start + row) % SEARCH_EVERY == 0]
        if looked_at:
            counts += [len(_distinct(rows)) for rows in detector.detect_all(run.rgb[looked_at], detector.sure_score)]
        yield run


def _jumps(best: np.ndarray) -> bool:
    """Whether the best face is elsewhere all of a sudden."""
    found = best[~np.isnan(best[:, 0])]
    return any(overlap(a, b) < OVERLAP_MIN for a, b in pairwise(found))


def _distinct(rows: np.ndarray) -> np.ndarray:
    """(k, 5) x1 y1 x2 y2 score, best first, without boxes that lie mostly in, or around, a better one."""
    kept: list[np.ndarray] = []
    for row in rows:
        if (row[:2] < row[2:4]).all() and all(_shared(row, other) <= SAME_FACE for other in kept):
            kept.append(row)
    return np.array(kept, dtype=np.float64).reshape(-1, 5)


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """Area shared by two boxes over that of the smaller."""
    sides = np.maximum(np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2]), 0)
    return float(sides.prod() / min((a[2:4] - a[:2]).prod(), (b[2:4] - b[:2]).prod()))


@dataclass
class _Person:
    """The boxes of one face, as far as it was found."""

    frames: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)  # (4,) each

    def add(self, frame: int, box: np.ndarray) -> None:
        self.frames.append(frame)
        self.boxes.append(box)

    def likeness(self, frame: int, box: np.ndarray) -> float:
        """How well a box of a later frame overlaps where the face would be now; after a gap, or where it last was."""
        gap = frame - self.frames[-1]
        last = self.boxes[-1]
        moved = last + self._speed() * min(gap, GAP_FRAMES)
        expected = overlap(moved, box)
        return expected if gap == 1 else max(expected, overlap(last, box))

    def _speed(self) -> np.ndarray:
        """(4,) pixels a frame, both corners alike: the mean movement of its centre over the last few boxes."""
        start = max(-SPEED_FRAMES, -len(self.frames))
        frames = self.frames[-1] - self.frames[start]
        if not frames:
            return np.zeros(4)
        moved = (self.boxes[-1] - self.boxes[start]).reshape(2, 2).mean(axis=0)
        return np.tile(moved / frames, 2)


def _follow(
    runs: Iterable[Frames], detector: FaceDetector, best: np.ndarray, centre: np.ndarray, face: str
) -> FollowedFace:
    """One person's face among all faces of all frames."""
    faces: list[np.ndarray] = []
    size = np.zeros(2)
    for run in runs:
        size = np.array(run.rgb.shape[2:0:-1])
        for rows in detector.detect_all(run.rgb, detector.sure_score / 2):
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
    """All faces of a frame, (k, 5), in whole pixels; the best one as the published rule found it, and surely a face."""
    whole = np.concatenate([np.trunc(np.clip(rows[:, :4], 0, None)), rows[:, 4:]], axis=1)
    if not np.isnan(best[0]):
        whole = np.concatenate([[[*best, np.inf]], whole])
    return _distinct(whole)


def people_of(faces: Sequence[np.ndarray], sure_score: float) -> list[_Person]:
    """Join the faces of a video's frames into people, in the order in which they are first seen.

    In each frame the likeliest pairs of a person and a face are taken first, those who were seen in the frame before
    going before those who were lost: so who stays keeps his face, also while another passes in front of him.

    Parameters
    ----------
    faces : sequence of ndarray
        For each frame (k, 5) x1 y1 x2 y2 score.
    sure_score : float
        A person begins with a face that scores more; weaker ones only carry on.
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
    """Whether someone who was lost, or was seen in the frame before, may be in this one.

    A face that was hardly ever found is not waited for long.
    """
    gap = frame - person.frames[-1]
    lasting = len(person.frames) >= SUPPORT_FRAMES or gap <= GAP_FRAMES + 1
    return gap > 0 and (gap > 1) == lost and lasting


def _choose(people: Sequence[_Person], face: str, middle: np.ndarray) -> _Person | None:
    """Who is followed; None if there is nobody, or fewer than the number asked for."""
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
    """The person of this number from the left in the first frame that shows so many."""
    shown: dict[int, list[tuple[float, int]]] = {}
    for order, person in enumerate(people):
        for frame, box in zip(person.frames, person.boxes, strict=True):
            shown.setdefault(frame, []).append((float(box[0] + box[2]), order))
    for frame in sorted(shown):
        if len(shown[frame]) >= number:
            return people[sorted(shown[frame])[number - 1][1]]
    return None

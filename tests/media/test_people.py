"""One face over a video: gaps are filled by one rule, and the face of one person is followed, whoever else is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlbench.errors import TlbenchError
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.box_files import read_boxes, write_boxes
from tlbench.media.faces import Boxes, fallback_box, find_boxes
from tlbench.media.followed import FILLED, FOUND, GAP_FRAMES, NO_FACE, fill_gaps, gap_states
from tlbench.media.haar import HaarDetector
from tlbench.media.people import find_people
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.observing.face_boxes import BoxRule
from tlbench.preflight.faces import check_faces

WIDTH, HEIGHT = 200, 120
CENTRE = fallback_box(WIDTH, HEIGHT).tolist()
Place = tuple[int, int, int] | None  # left, top, side in pixels; None where the face is not seen


class Colours:
    """A detector that finds squares: a brighter one scores more. One that is mostly covered is not found."""

    name = "colours"
    sure_score = 0.2

    def __init__(self) -> None:
        self.searched = 0

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        return [rows[0, :4].astype(np.int64) if len(rows) else None for rows in map(self._rows, frames)]

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        self.searched += len(frames)
        return [rows[rows[:, 4] > min_score] for rows in map(self._rows, frames)]

    def _rows(self, frame: np.ndarray) -> np.ndarray:
        rows = []
        for colour in sorted(set(np.unique(frame[..., 0])) - {0}, reverse=True):
            down, across = np.nonzero(frame[..., 0] == colour)
            side = max(np.ptp(across), np.ptp(down)) + 1
            if len(down) > 0.7 * side**2:
                rows.append([across.min(), down.min(), across.max() + 1, down.max() + 1, colour / 255])
        return np.array(rows, dtype=np.float64).reshape(-1, 5)


def video(*people: Sequence[Place]) -> Callable[[], Iterator[FrameChunk]]:
    """Squares before one another, the first behind. The later one is, the brighter, and the better for a detector."""
    frames = np.zeros((len(people[0]), HEIGHT, WIDTH, 3), np.uint8)
    for number, places in enumerate(people):
        for frame, place in zip(frames, places, strict=True):
            if place is not None:
                left, top, side = place
                frame[top : top + side, left : left + side] = 100 + 50 * number
    return lambda: runs_of(frames)


def runs_of(frames: np.ndarray) -> Iterator[FrameChunk]:
    for start in range(0, len(frames), 16):
        natives = tuple(av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames[start : start + 16])
        yield FrameChunk(start, natives)


def box(place: Place) -> list[int]:
    assert place is not None
    left, top, side = place
    return [left, top, left + side, top + side]


def without(places: Sequence[Place], lost: range) -> list[Place]:
    return [None if index in lost else place for index, place in enumerate(places)]


# Gaps.


def by_definition(found: list[bool]) -> list[int]:
    states = []
    for index, there in enumerate(found):
        before = [i for i in range(index) if found[i]]
        after = [i for i in range(index, len(found)) if found[i]]
        if there:
            states.append(FOUND)
        elif before and after and after[0] - before[-1] - 1 <= 10:
            states.append(FILLED)
        else:
            states.append(NO_FACE)
    return states


runs_of_states = st.lists(st.tuples(st.booleans(), st.integers(1, 14)), min_size=1, max_size=6)


@given(runs_of_states)
@settings(max_examples=200, deadline=None)
def test_a_gap_of_ten_frames_between_found_faces_is_filled_and_a_longer_one_is_none(
    runs: list[tuple[bool, int]],
) -> None:
    found = [there for there, count in runs for _ in range(count)]
    assert gap_states(np.array(found)).tolist() == by_definition(found)


@given(runs_of_states, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_every_frame_has_a_box_on_the_line_between_its_neighbours(runs: list[tuple[bool, int]], seed: int) -> None:
    found = np.array([there for there, count in runs for _ in range(count)])
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 100, (len(found), 2))
    rows = np.concatenate([corners, corners + rng.integers(1, 50, (len(found), 2))], axis=1).astype(float)
    rows[~found] = np.nan
    face = fill_gaps(rows, np.tile(CENTRE, (len(found), 1)))
    assert (face.xyxy[:, :2] < face.xyxy[:, 2:]).all()
    np.testing.assert_array_equal(face.xyxy[found], rows[found])
    known = np.flatnonzero(found)
    for index in np.flatnonzero(~found):
        before, after = known[known < index], known[known > index]
        if not len(known):
            assert face.xyxy[index].tolist() == CENTRE
        elif not len(before) or not len(after):
            np.testing.assert_array_equal(face.xyxy[index], rows[after[0] if len(after) else before[-1]])
        else:
            share = (index - before[-1]) / (after[0] - before[-1])
            expected = rows[before[-1]] + share * (rows[after[0]] - rows[before[-1]])
            assert np.abs(face.xyxy[index] - expected).max() <= 1


# One face.


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        (range(20, 25), FILLED),  # for five frames
        (range(20, 30), FILLED),
        (range(20, 31), NO_FACE),  # for eleven
        (range(20, 35), NO_FACE),
        (range(5), NO_FACE),  # begins late
        (range(55, 60), NO_FACE),  # ends early
    ],
)
def test_where_a_single_face_is_lost_paper_has_the_centre_and_sound_what_is_known(lost: range, state: int) -> None:
    places: list[Place] = [(20 + index, 30, 40) for index in range(60)]
    boxes = find_people(video(without(places, lost)), Colours())
    for index, place in enumerate(places):
        assert boxes.xyxy[index].tolist() == (CENTRE if index in lost else box(place))
        assert boxes.face.states[index] == (state if index in lost else FOUND)
        if state == FILLED:
            assert boxes.face.xyxy[index].tolist() == box(place)
    assert (boxes.missing, boxes.face.several, boxes.plain) == (len(lost), 0, False)


@given(st.lists(st.integers(-2, 2), min_size=30, max_size=50))
@settings(max_examples=20, deadline=None)
def test_a_face_that_is_always_there_has_the_same_boxes_as_without_following(steps: list[int]) -> None:
    lefts = np.clip(60 + np.cumsum(steps), 0, WIDTH - 40)
    runs = video([(int(left), 30, 40) for left in lefts])
    detector = Colours()
    boxes, plain = find_people(runs, detector), find_boxes(runs(), detector)
    assert boxes.plain
    np.testing.assert_array_equal(boxes.xyxy, plain.xyxy)
    np.testing.assert_array_equal(boxes.face.xyxy, plain.xyxy)
    assert detector.searched == -(-len(lefts) // 20)  # other people are looked for now and then


def test_a_video_without_any_face_has_none() -> None:
    boxes = find_people(video([None] * 30), Colours())
    assert boxes.xyxy.tolist() == [CENTRE] * 30
    assert (boxes.missing, boxes.face.absent, boxes.face.faceless) == (30, 30, True)


def test_a_false_face_elsewhere_is_not_taken_for_the_one_that_was_lost() -> None:
    real: list[Place] = without([(20, 30, 50)] * 60, range(25, 33))
    false: list[Place] = [(140, 60, 30) if index in range(25, 33) else None for index in range(60)]
    boxes = find_people(video(real, false), Colours())
    assert boxes.xyxy[27].tolist() == box(false[27])  # the published rule takes what there is
    assert boxes.face.xyxy.tolist() == [box((20, 30, 50))] * 60
    assert boxes.face.states[25:33].tolist() == [FILLED] * 8


# Several people.

LARGE: list[Place] = [(10 + index // 4, 20, 60) for index in range(60)]
SMALL: list[Place] = [(130, 50 + index // 8, 30) for index in range(60)]  # the detector's best


def test_sound_follows_the_largest_and_paper_takes_the_best() -> None:
    boxes = find_people(video(LARGE, SMALL), Colours())
    assert boxes.xyxy.tolist() == [box(place) for place in SMALL]
    assert boxes.face.xyxy.tolist() == [box(place) for place in LARGE]
    assert (boxes.face.several, boxes.face.searched) == (60, 60)


@pytest.mark.parametrize(
    ("lost", "state"),
    [(range(20, 25), FILLED), (range(20, 35), NO_FACE), (range(40, 60), NO_FACE)],
)
def test_while_the_followed_face_is_away_nobody_else_is_taken_for_it(lost: range, state: int) -> None:
    boxes = find_people(video(without(LARGE, lost), SMALL), Colours())
    assert boxes.missing == 0
    for index, place in enumerate(LARGE):
        if index in lost:
            assert boxes.face.states[index] == state
        else:
            assert boxes.face.xyxy[index].tolist() == box(place)
    assert abs(boxes.face.xyxy[:, 0] - np.array([box(place)[0] for place in LARGE])).max() <= 5


def test_who_comes_later_is_not_followed_however_large() -> None:
    late: list[Place] = without([(90, 10, 90)] * 60, range(15))
    boxes = find_people(video(late, [(10, 70, 30)] * 60), Colours())
    assert boxes.face.xyxy.tolist() == [box((10, 70, 30))] * 60
    assert boxes.face.several == 45


@pytest.mark.parametrize("followed", ["behind", "in front"])
@pytest.mark.parametrize("speed", [2, 3, 5])
def test_of_two_who_cross_the_same_one_is_followed(followed: str, speed: int) -> None:
    size = {"behind": (42, 40), "in front": (40, 42)}[followed]
    count = 150 // speed
    back: list[Place] = [(speed * index, 30, size[0]) for index in range(count)]
    front: list[Place] = [(WIDTH - 45 - speed * index, 30, size[1]) for index in range(count)]
    boxes = find_people(video(back, front), Colours())
    followed_places = back if followed == "behind" else front
    there = boxes.face.there
    lefts = np.array([box(place)[0] for place in followed_places])
    assert np.abs(boxes.face.xyxy[there, 0] - lefts[there]).max() <= 3
    assert there.mean() > 0.6


@pytest.mark.parametrize(
    ("face", "place"),
    [
        ("largest", (10, 20, 60)),
        ("central", (85, 45, 30)),
        ("1", (10, 20, 60)),
        ("2", (85, 45, 30)),
        ("3", (140, 40, 50)),
    ],
)
def test_another_face_can_be_chosen(face: str, place: Place) -> None:
    runs = video([(140, 40, 50)] * 30, [(10, 20, 60)] * 30, [(85, 45, 30)] * 30)
    assert find_people(runs, Colours(), face=face).face.xyxy.tolist() == [box(place)] * 30


def test_of_equally_large_faces_the_most_central_is_followed() -> None:
    runs = video([(80, 30, 40)] * 30, [(0, 30, 40)] * 30)
    assert find_people(runs, Colours()).face.xyxy[0].tolist() == box((80, 30, 40))


def test_a_video_of_fewer_people_than_asked_for_has_nobody_to_follow() -> None:
    boxes = find_people(video([(80, 30, 40)] * 30), Colours(), face="2")
    assert (boxes.missing, boxes.face.absent) == (0, 30)


@pytest.mark.parametrize("face", ["0", "-1", "biggest", "", "1.5", "²"])
def test_a_face_that_is_no_choice_is_refused(face: str) -> None:
    with pytest.raises(TlbenchError, match="none of largest, central, or a number"):
        find_people(video([None]), Colours(), face=face)


def test_the_choice_of_a_face_is_part_of_the_rules_identity() -> None:
    assert BoxRule().identity == "blazeface"
    assert BoxRule(face="2", source="generated", smooth=3).identity == "blazeface~3+face=2@each"


@pytest.mark.parametrize("embedded", [BlazeFaceDetector, HaarDetector])
def test_drawn_heads_side_by_side_are_told_apart_by_the_embedded_detectors(
    embedded: type[BlazeFaceDetector] | type[HaarDetector],
) -> None:
    clip = Path(__file__).parents[1] / "golden" / "s3fd" / "clip_c.mp4"
    head = next(VideoReader(clip).frames(8)).rgb
    frames = np.zeros((32, 160, 330, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[40:, 200:320] = cv2.resize(head[index % 8], (120, 120), interpolation=cv2.INTER_AREA)
        if index < 8 or index >= 20:  # the larger one is away for twelve frames
            frame[:, :160] = cv2.resize(head[index % 8], (160, 160), interpolation=cv2.INTER_AREA)
    boxes = find_people(lambda: runs_of(frames), embedded())
    assert (boxes.face.xyxy[boxes.face.there, 2] <= 170).all()
    assert boxes.face.states[8:20].tolist() == [NO_FACE] * 12
    assert boxes.face.there[:8].all()
    assert boxes.face.there[20:].all()


# Files.


def test_frames_without_a_face_are_rows_of_nan_and_come_back(tmp_path: Path) -> None:
    places: list[Place] = without(LARGE, range(20, 25))
    boxes = find_people(video(places), Colours())
    write_boxes(tmp_path / "a.npy", boxes)
    rows = np.load(tmp_path / "a.npy")
    assert np.flatnonzero(np.isnan(rows).all(axis=1)).tolist() == list(range(20, 25))
    read = read_boxes(tmp_path / "a.npy", frame_size=(WIDTH, HEIGHT))
    np.testing.assert_array_equal(read.xyxy, boxes.xyxy)
    np.testing.assert_array_equal(read.face.xyxy, boxes.face.xyxy)
    np.testing.assert_array_equal(read.face.states, boxes.face.states)
    assert read.missing == 5


def test_a_file_of_several_people_has_the_followed_one(tmp_path: Path) -> None:
    write_boxes(tmp_path / "a.npy", find_people(video(LARGE, SMALL), Colours()))
    rows = np.load(tmp_path / "a.npy")
    assert rows.dtype == np.int64
    assert rows.tolist() == [box(place) for place in LARGE]


# Findings.


def boxes_of(states: Sequence[int], several: int = 0) -> Boxes:
    rows = np.where(np.array(states)[:, None] == FOUND, [[10.0, 10, 40, 40]], np.nan)
    face = fill_gaps(rows, np.tile(CENTRE, (len(rows), 1)), several, len(rows))
    return Boxes(face.xyxy, int(np.isnan(rows[:, 0]).sum()), "haar", face)


@pytest.mark.parametrize(
    ("lost", "of_generated", "of_reference"),
    [
        (0, None, None),
        (10, "faces-filled", "faces-filled"),  # a tenth is not more than a tenth
        (11, "faces-missing", "reference-no-face"),
        (50, "faces-missing", "reference-no-face"),
        (51, "no-face", "reference-no-face"),
        (100, "no-face", "reference-no-face"),
    ],
)
def test_what_is_said_of_missing_faces(lost: int, of_generated: str | None, of_reference: str | None) -> None:
    boxes = boxes_of([NO_FACE] * lost + [FOUND] * (100 - lost))
    for whose, code in (("generated", of_generated), ("reference", of_reference)):
        found = list(check_faces("a", boxes, whose))  # type: ignore[arg-type]
        assert [one.code for one in found] == ([code] if code else [])
        assert all(f"{lost} of 100 frames" in one.message for one in found)


def test_a_filled_gap_counts_as_face_and_is_told() -> None:
    boxes = boxes_of([FOUND] * 10 + [NO_FACE] * GAP_FRAMES + [FOUND] * 10)
    (found,) = check_faces("a", boxes, "generated")
    assert (found.level, found.code) == ("info", "faces-filled")
    assert "10 more" in found.message


def test_several_people_are_a_warning_that_says_in_how_many_frames() -> None:
    (found,) = check_faces("a", boxes_of([FOUND] * 50, several=7), "reference")
    assert (found.level, found.code) == ("warning", "several-faces")
    assert "7 of 50 frames" in found.message

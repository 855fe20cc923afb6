"""Face tracks: faces are joined, gaps filled, short and small tracks dropped, crops cut as the public pipeline does."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from scipy.signal import medfilt

from tlbench.errors import TlbenchError
from tlbench.media.face_tracks import Track, TrackRule, crop_track, find_tracks, overlap

SHORT = TrackRule(faces_min=8, face_px_min=20)


def faces_at(*corners: tuple[float, float], side: float = 60) -> np.ndarray:
    """(k, 5) faces of one frame, best first."""
    return np.array([[x, y, x + side, y + side, 0.99 - 0.01 * k] for k, (x, y) in enumerate(corners)]).reshape(-1, 5)


def still(frames: int, *corners: tuple[float, float], side: float = 60) -> list[np.ndarray]:
    return [faces_at(*corners, side=side)] * frames


NONE = np.zeros((0, 5))


def spans(tracks: Sequence[Track]) -> list[tuple[int, int]]:
    return [(track.start, track.stop) for track in tracks]


def test_the_default_rule_is_the_public_pipelines() -> None:
    rule = TrackRule()
    assert (rule.overlap_min, rule.gap_frames_max, rule.faces_min, rule.face_px_min) == (0.5, 25, 100, 100)
    assert (rule.smooth_frames, rule.margin, rule.pad_grey, rule.crop_px) == (13, 0.4, 110, 224)


def test_one_still_face_is_one_track() -> None:
    (track,) = find_tracks(still(101, (10, 20), side=120))
    assert (track.start, track.stop, len(track)) == (0, 101, 101)
    assert (track.xyxy == [10, 20, 130, 140]).all()


def test_a_track_needs_more_faces_than_the_minimum() -> None:
    assert find_tracks(still(100, (10, 20), side=120)) == []
    assert spans(find_tracks(still(9, (10, 20)), SHORT)) == [(0, 9)]
    assert find_tracks(still(8, (10, 20)), SHORT) == []


def test_frames_without_a_face_do_not_count_towards_the_minimum() -> None:
    detections = [*still(4, (10, 20)), *[NONE] * 5, *still(4, (10, 20))]
    assert find_tracks(detections, SHORT) == []


def test_a_track_must_be_larger_than_the_smallest_face() -> None:
    assert find_tracks(still(101, (0, 0), side=100)) == []
    assert len(find_tracks(still(101, (0, 0), side=100.5))) == 1


def test_a_tall_narrow_face_is_as_large_as_it_is_tall() -> None:
    tall = np.array([[0, 0, 40, 101, 0.9]])
    assert len(find_tracks([tall] * 101)) == 1


def test_gaps_are_filled_by_straight_lines() -> None:
    detections = [*still(5, (10, 20)), NONE, NONE, NONE, *still(5, (18, 24))]
    (track,) = find_tracks(detections, SHORT)
    assert spans([track]) == [(0, 13)]
    np.testing.assert_allclose(track.xyxy[5:8, 0], [12, 14, 16])
    np.testing.assert_allclose(track.xyxy[5:8, 3], [81, 82, 83])


def test_a_face_25_frames_later_continues_the_track_and_26_does_not() -> None:
    def with_gap(missing: int) -> list[np.ndarray]:
        return [*still(9, (10, 20)), *[NONE] * missing, *still(9, (10, 20))]

    assert spans(find_tracks(with_gap(24), SHORT)) == [(0, 42)]
    assert spans(find_tracks(with_gap(25), SHORT)) == [(0, 9), (34, 43)]


def test_a_jump_begins_another_track() -> None:
    detections = [*still(9, (10, 20)), *still(9, (200, 20))]
    assert spans(find_tracks(detections, SHORT)) == [(0, 9), (9, 18)]


def test_half_an_overlap_is_not_enough() -> None:
    # Two squares of 60 side by side by 20 share 40 x 60 of 80 x 60: exactly one half.
    assert overlap(np.array([0, 0, 60, 60.0]), np.array([20, 0, 80, 60.0])) == 0.5
    assert spans(find_tracks([*still(9, (0, 0)), *still(9, (20, 0))], SHORT)) == [(0, 9), (9, 18)]
    assert spans(find_tracks([*still(9, (0, 0)), *still(9, (19, 0))], SHORT)) == [(0, 18)]


def test_overlap_of_boxes_apart_or_without_area_is_zero() -> None:
    assert overlap(np.array([0, 0, 10, 10.0]), np.array([20, 20, 30, 30.0])) == 0
    assert overlap(np.array([5, 5, 5, 5.0]), np.array([5, 5, 5, 5.0])) == 0


def test_a_slow_walk_is_followed() -> None:
    detections = [faces_at((5 * frame, 0)) for frame in range(30)]
    (track,) = find_tracks(detections, SHORT)
    np.testing.assert_allclose(track.xyxy[:, 0], 5 * np.arange(30))


def test_two_people_are_two_tracks_whichever_scores_higher() -> None:
    detections = [faces_at((0, 0), (300, 0)) if frame % 2 else faces_at((300, 0), (0, 0)) for frame in range(12)]
    tracks = find_tracks(detections, SHORT)
    assert spans(tracks) == [(0, 12), (0, 12)]
    assert sorted(track.xyxy[:, 0].mean() for track in tracks) == [0, 300]


def test_a_short_lived_wrong_face_leaves_no_track() -> None:
    detections = [faces_at((0, 0), (300, 200)) if 3 <= frame < 6 else faces_at((0, 0)) for frame in range(12)]
    assert spans(find_tracks(detections, SHORT)) == [(0, 12)]


def test_no_frames_and_no_faces_give_no_tracks() -> None:
    assert find_tracks([]) == []
    assert find_tracks([NONE] * 200) == []


def test_detections_are_left_as_they_were() -> None:
    detections = still(9, (10, 20))
    find_tracks(detections, SHORT)
    assert [faces.shape for faces in detections] == [(1, 5)] * 9


@pytest.mark.parametrize(("rule", "way_out"), [({"smooth_frames": 12}, "odd"), ({"faces_min": 5}, "at least 6")])
def test_a_rule_that_can_not_be_followed_is_refused(rule: dict[str, int], way_out: str) -> None:
    with pytest.raises(TlbenchError, match=way_out):
        TrackRule(**rule)


def walk(frames: int = 40) -> Track:
    """A face that walks, grows and trembles, at times partly outside a picture of 200 x 160."""
    draw = np.random.default_rng(3)
    steps = np.arange(frames)
    x, y = -30 + 5 * steps + draw.normal(0, 2, frames), 90 - 4 * steps + draw.normal(0, 2, frames)
    side = 60 + steps + draw.normal(0, 2, frames)
    detections = [np.array([[x[i], y[i], x[i] + side[i], y[i] + 1.3 * side[i], 0.9]]) for i in steps]
    (track,) = find_tracks(detections, SHORT)
    assert len(track) == frames
    return track


def test_centre_and_half_size_are_medians_of_thirteen_frames() -> None:
    track = walk()
    x1, y1, x2, y2 = track.xyxy.T
    np.testing.assert_array_equal(track.half_px, medfilt(np.maximum(x2 - x1, y2 - y1) / 2, 13))
    np.testing.assert_array_equal(track.centre_xy[:, 0], medfilt((x1 + x2) / 2, 13))
    np.testing.assert_array_equal(track.centre_xy[:, 1], medfilt((y1 + y2) / 2, 13))


def test_the_first_size_is_the_least_of_the_first_seven_because_of_the_zero_padding() -> None:
    track = walk()
    height = track.xyxy[:, 3] - track.xyxy[:, 1]
    assert track.half_px[0] == height[:7].min() / 2


def test_crops_are_those_of_the_padded_frame() -> None:
    # The published procedure, literally: pad the whole frame, cut, shrink.
    draw = np.random.default_rng(5)
    frame = draw.integers(0, 256, (160, 200, 3), dtype=np.uint8)
    track = walk()
    beyond = 0
    for index in range(len(track)):
        half, (x, y) = track.half_px[index], track.centre_xy[index]
        pad = int(half * 1.8)
        padded = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
        x, y = x + pad, y + pad
        rows, columns = slice(int(y - half), int(y + half * 1.8)), slice(int(x - half * 1.4), int(x + half * 1.4))
        wanted = cv2.resize(padded[rows, columns], (224, 224))
        ours = crop_track(frame, track, index)
        assert ours.shape == (224, 224, 3)
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, wanted)
        beyond += rows.start < pad or columns.start < pad
    assert beyond > 5, "the walk should leave the picture"


def test_a_crop_wholly_outside_the_frame_is_grey() -> None:
    track = find_tracks(still(9, (500, 500)), SHORT)[0]
    assert (crop_track(np.zeros((100, 100, 3), dtype=np.uint8), track, 4) == 110).all()


def test_each_shot_is_tracked_by_itself() -> None:
    detections = still(30, (10, 20))
    tracks = find_tracks(detections, SHORT, [(0, 10), (10, 17), (17, 30)])
    assert spans(tracks) == [(0, 10), (17, 30)]  # the middle shot is shorter than the shortest track
    assert [track.faces for track in tracks] == [10, 13]


def test_faces_are_counted_without_the_gaps() -> None:
    (track,) = find_tracks([*still(5, (10, 20)), NONE, NONE, *still(5, (10, 20))], SHORT)
    assert (len(track), track.faces) == (12, 10)


def test_no_shots_give_no_tracks() -> None:
    assert find_tracks(still(30, (10, 20)), SHORT, []) == []

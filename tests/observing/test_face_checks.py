"""Whether a generated video frames the face as the real one does, told by a detector that finds bright rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.media_factory import tone
from tlbench.datasets.clip import Clip
from tlbench.media.face_tracks import overlap
from tlbench.media.faces import find_boxes
from tlbench.media.haar import HaarDetector
from tlbench.media.scaling import Size
from tlbench.media.video_reader import VideoReader, read_video
from tlbench.media.video_writer import write_video
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.face_checks import LOOKS, SAME_FRAMING, FaceLooks, check_framing, frames_to_look_at
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.preflight.headers import Expected

FRAMES = 40
SIDE = 160
FACE = (50, 40, 100, 110)
BRIGHT = 120


class Bright:
    """Finds the bright rectangle of a frame as its face; counts how often it is asked for all."""

    name = "bright"
    sure_score = 0.5

    def __init__(self) -> None:
        self.searches = 0

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        return [self._find(frame) for frame in frames]

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        self.searches += len(frames)
        found = [self._find(frame) for frame in frames]
        return [np.zeros((0, 5)) if box is None else np.append(box, 1.0)[None] for box in found]

    def _find(self, frame: np.ndarray) -> np.ndarray | None:
        rows, columns = np.nonzero(frame.mean(axis=2) > BRIGHT)
        if len(rows) < 20:
            return None
        return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.fixture(autouse=True)
def bright(monkeypatch: pytest.MonkeyPatch) -> Bright:
    detector = Bright()
    monkeypatch.setattr("tlbench.observing.clip_checker.embedded_detector", lambda: detector)
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Bright())  # counted apart
    return detector


def picture(size: Size = (SIDE, SIDE), face: Sequence[int] | None = FACE) -> np.ndarray:
    """A dark frame of ``size`` with a bright face, given in the pixels of 160x160."""
    frame = np.full((SIDE, SIDE, 3), 40, np.uint8)
    if face is not None:
        x1, y1, x2, y2 = face
        frame[y1:y2, x1:x2] = 200
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def zoomed(times: float, size: Size = (SIDE, SIDE)) -> np.ndarray:
    """A crop around the face, brought to ``size``: what a portrait generator writes."""
    half = SIDE / times / 2
    x, y = (FACE[0] + FACE[2]) / 2, (FACE[1] + FACE[3]) / 2
    x, y = (min(max(place, half), SIDE - half) for place in (x, y))
    cut = picture()[round(y - half) : round(y + half), round(x - half) : round(x + half)]
    return cv2.resize(cut, size, interpolation=cv2.INTER_AREA)


def clip_of(folder: Path, frames: Sequence[np.ndarray], boxes: Sequence[int] | None = None) -> Clip:
    if not (folder / "real.mp4").exists():
        write_video(folder / "real.mp4", [picture()] * FRAMES, crf=4)
    write_video(folder / "made.mp4", frames, crf=12, samples=tone(len(frames) / 25)[:, 0])
    if boxes is not None:
        np.save(folder / "boxes.npy", np.tile(boxes, (FRAMES, 1)))
    given = None if boxes is None else folder / "boxes.npy"
    return Clip("c", reference=folder / "real.mp4", generated=folder / "made.mp4", boxes=given)


def look(folder: Path, clip: Clip, rule: BoxRule | None = None) -> Observation:
    rule = rule or BoxRule("haar")
    expected = Expected(boxes_of_each=rule.source == "generated")
    (found,) = ObserverRunner(
        Plan((ObserverPlan("pixels", ("face",)),), rule, folder / "cache", expected=expected)
    ).observe([clip])
    return found


@given(st.integers(min_value=0, max_value=10_000))
def test_at_most_five_frames_are_looked_at_and_all_of_them_exist(frames: int) -> None:
    wanted = frames_to_look_at(frames)
    assert len(wanted) == min(frames, LOOKS)
    assert all(0 <= index < frames for index in wanted)
    assert len(wanted) < LOOKS or np.ptp(wanted) >= frames * 0.6


@given(
    st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 50)] * 2),
    st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 50)] * 2),
)
def test_overlap_is_what_counting_pixels_gives(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    masks, boxes = [], []
    for x, y, width, height in (one, other):
        mask = np.zeros((101, 101), bool)
        mask[y : y + height, x : x + width] = True
        masks.append(mask)
        boxes.append(np.array([x, y, x + width, y + height]))
    assert overlap(*boxes) == pytest.approx((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


@pytest.mark.parametrize("size", [(80, 80), (160, 160), (512, 512)])
@pytest.mark.parametrize("boxes", [None, FACE])
def test_the_same_framing_is_no_finding_at_any_size(
    tmp_path: Path, bright: Bright, size: Size, boxes: Sequence[int] | None
) -> None:
    found = look(tmp_path, clip_of(tmp_path, [picture(size)] * FRAMES, boxes))
    assert found.failures == {}
    assert {told.code for told in found.findings} <= {"rescaled", "boxes-unmarked"}
    assert bright.searches == 0  # the usual case costs no search of whole frames


@pytest.mark.parametrize("size", [(80, 80), (160, 160), (512, 512)])
@pytest.mark.parametrize("times", [1.4, 1.8])
@pytest.mark.parametrize("boxes", [None, FACE])
def test_a_crop_of_the_source_is_refused_at_any_size_with_the_way_out(
    tmp_path: Path, size: Size, times: float, boxes: Sequence[int] | None
) -> None:
    clip = clip_of(tmp_path, [zoomed(times, size)] * FRAMES, boxes)
    found = look(tmp_path, clip)
    assert found.failures["pixels"].code == "framing"
    assert "--boxes-from generated" in found.failures["pixels"].message
    (told,) = [told for told in found.findings if told.code == "framing"]
    assert (told.level, told.observers) == ("error", ("pixels",))
    again = look(tmp_path, clip)  # from the checks that were kept
    assert again.failures["pixels"].code == "framing"
    assert again.findings == found.findings
    out = look(tmp_path, clip, BoxRule("haar", source="generated"))
    assert out.failures == {}
    assert (
        out.evidence["pixels"].array("face_mse").mean() < 800
    )  # each face cut by its own box; edges differ by a pixel of 80


def test_boxes_of_another_convention_are_no_finding(tmp_path: Path) -> None:
    """Whole heads, or mouths: the detector disagrees with them in the real video by as much."""
    for boxes in ((20, 5, 130, 140), (60, 85, 90, 105)):
        found = look(tmp_path, clip_of(tmp_path, [picture()] * FRAMES, boxes))
        assert found.failures == {}
    found = look(tmp_path, clip_of(tmp_path, [zoomed(1.6)] * FRAMES, (20, 5, 130, 140)))
    assert found.failures["pixels"].code == "framing"


@pytest.mark.parametrize(("shown", "told"), [(5, True), (3, True), (2, False), (0, False)])
def test_nothing_is_said_of_fewer_than_three_faces(tmp_path: Path, shown: int, told: bool) -> None:
    wanted = frames_to_look_at(FRAMES)[:shown]
    frames = [zoomed(1.8) if index in wanted else picture(face=None) for index in range(FRAMES)]
    found = look(tmp_path, clip_of(tmp_path, frames))
    assert ("framing" in {one.code for one in found.findings}) == told


@pytest.mark.parametrize(
    ("shown", "code", "level"),
    [(5, None, None), (4, "faces-missing", "warning"), (3, "faces-missing", "warning"), (2, "no-face", "error")],
)
def test_a_generated_video_that_loses_its_face_is_told(
    tmp_path: Path, shown: int, code: str | None, level: str | None
) -> None:
    """Of the five frames looked at more than a tenth are a warning, more than half an error."""
    lost = set(frames_to_look_at(FRAMES)[shown:])
    frames = [picture(face=None if index in lost else FACE) for index in range(FRAMES)]
    found = look(tmp_path, clip_of(tmp_path, frames))
    told = {one.code: one.level for one in found.findings if "face" in one.code}
    assert told == ({} if code is None else {code: level})
    assert {name: why.code for name, why in found.failures.items()} == ({"pixels": code} if level == "error" else {})


def test_a_face_that_the_real_video_does_not_show_either_is_not_missed(tmp_path: Path) -> None:
    write_video(tmp_path / "real.mp4", [picture(face=None)] * FRAMES, crf=4)
    found = look(tmp_path, clip_of(tmp_path, [picture(face=None)] * FRAMES, FACE))
    assert found.failures == {}
    assert not {"no-face", "faces-missing"} & {one.code for one in found.findings}


def test_a_control_is_scored_although_its_fault_hides_the_face(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, [picture(face=None)] * FRAMES)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    assert ObserverRunner(plan).observe([clip])[0].failures["pixels"].code == "no-face"
    (found,) = ObserverRunner(replace(plan, excused=frozenset({"no-face"}))).observe([clip])
    assert found.failures == {}
    assert "pixels" in found.evidence


def test_a_still_head_beside_one_that_moves_is_framed_alike(tmp_path: Path) -> None:
    """Its place is that of the real head at some time, so it is no crop, however badly the boxes fit."""
    moving = [picture(face=(30 + i, 40, 80 + i, 110)) for i in range(FRAMES)]
    write_video(tmp_path / "real.mp4", moving, crf=4)
    assert look(tmp_path, clip_of(tmp_path, [moving[0]] * FRAMES)).failures == {}


def test_where_the_real_video_shows_no_face_nothing_is_said(tmp_path: Path) -> None:
    write_video(tmp_path / "real.mp4", [picture(face=None)] * FRAMES, crf=4)
    found = look(tmp_path, clip_of(tmp_path, [zoomed(1.8)] * FRAMES, FACE))
    assert "framing" not in {told.code for told in found.findings}


def test_without_a_real_video_given_boxes_are_taken_at_their_word(tmp_path: Path) -> None:
    clip = replace(clip_of(tmp_path, [zoomed(1.8)] * FRAMES, FACE), reference=None)
    assert "framing" not in {told.code for told in look(tmp_path, clip).findings}


def test_evidence_kept_by_a_run_that_did_not_look_at_faces_has_its_clip_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(tmp_path, [zoomed(1.8)] * FRAMES, FACE)
    with monkeypatch.context() as unchecked:
        unchecked.setattr("tlbench.observing.clip_checker.check_framing", lambda *given: [])
        assert look(tmp_path, clip).failures == {}
    for kept in (tmp_path / "cache" / "checks").rglob("*.json"):
        kept.unlink()
    assert look(tmp_path, clip).failures["pixels"].code == "framing"


def test_a_run_that_needs_no_boxes_looks_at_no_face(tmp_path: Path, bright: Bright) -> None:
    clip = clip_of(tmp_path, [zoomed(1.8)] * FRAMES)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar", source="generated"), tmp_path / "cache")
    ObserverRunner(plan).observe([clip])
    assert bright.searches == 0


@pytest.mark.parametrize("times", [1.0, 1.3])
def test_real_faces(shared: Path, tmp_path: Path, times: float) -> None:
    """GRID's frames, and crops of them brought back to their size, with the detector that is embedded."""
    path = sorted((shared / "data" / "grid-original" / "s4").glob("*.mpg"))[0]
    frames = read_video(path)
    height, width = frames.shape[1:3]
    boxes = find_boxes(VideoReader(path).frames(), HaarDetector()).xyxy
    x, y = (boxes[:, :2].mean(0) + boxes[:, 2:].mean(0)) / 2
    left, top = (int(np.clip(at - side / times / 2, 0, side - side / times)) for at, side in ((x, width), (y, height)))
    cut = frames[:, top : top + int(height / times), left : left + int(width / times)]
    write_video(tmp_path / "made.mp4", [cv2.resize(frame, (width // 2, height // 2)) for frame in cut], crf=20)
    video = VideoReader(tmp_path / "made.mp4")
    looks = FaceLooks(HaarDetector(), boxes // 2, len(frames))
    for run in video.frames():
        looks.take(run)
    found = list(check_framing("c", looks, (width // 2, height // 2), VideoReader(path), (width, height)))
    assert [told.code for told in found] == (["framing"] if times > 1 else [])
    assert looks.fit is not None
    assert (looks.fit < SAME_FRAMING) == (times > 1)

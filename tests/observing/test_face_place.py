"""Whether frames that a view scales whole are of a face, told by a detector that finds bright rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.observer_factory import use_observers
from tests.observing.test_face_checks import BRIGHT, FRAMES, Bright, clip_of
from tests.observing.test_sizes import Framer
from tlbench.checkpoints.catalogue import observer_names
from tlbench.datasets.clip import Clip
from tlbench.media.face_crop import face_window
from tlbench.media.scaling import Size
from tlbench.media.video_reader import FrameChunk, read_video
from tlbench.media.views import FrameFace, Resize, View, open_view
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule, embedded_detector
from tlbench.observing.face_checks import LOOKS, FaceLooks, FacePlace, frames_to_look_at
from tlbench.observing.observer import Needs, Observer
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class
from tlbench.observing.runner import ObserverRunner
from tlbench.observing.view_checks import LRS2_MOUTH, LRS2_SHARE, check_face_place, looks_at_whole_frames
from tlbench.preflight.findings import Finding

CONFORMER, SYNCNET = observer_class("conformer"), observer_class("syncnet")
LRS2 = FacePlace(5, 5, LRS2_SHARE, LRS2_SHARE, *LRS2_MOUTH)
SCENE = replace(LRS2, height=0.1, width=0.06)
TRAITS = ("height", "width", "mouth_x", "mouth_y")
SIDE = 160
FRAMED = (23, 0, 137, 114)  # in 160x160, as FrameFace lays a face


class Scaler(Framer):
    """Scales whole frames, and uses no boxes."""

    name = "scaler"
    views: ClassVar[dict[str, str]] = {"whole": "scaler-whole@1", "framed": "scaler-framed@1"}
    needs = Needs()

    @classmethod
    def recipe(cls, view: str) -> View | None:
        steps = (Resize(32, 32),) if view == "whole" else (FrameFace(SIDE), Resize(32, 32))
        return View(f"scaler-{view}", 1, steps)

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        return Needs(boxes="framed" in views, framing="framed" in views)


@pytest.fixture(autouse=True)
def bright(monkeypatch: pytest.MonkeyPatch) -> Bright:
    detector = Bright()
    monkeypatch.setattr("tlbench.observing.clip_checker.embedded_detector", lambda: detector)
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Bright())  # counted apart
    return detector


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"scaler": Scaler}
    use_observers(monkeypatch, lambda name: known.get(name) or observer_class(name))


def frame(face: Sequence[int] | None, size: Size = (SIDE, SIDE)) -> np.ndarray:
    """A dark frame with a bright face, given in its own pixels."""
    picture = np.full((size[1], size[0], 3), 40, np.uint8)
    if face is not None:
        x1, y1, x2, y2 = face
        picture[y1:y2, x1:x2] = BRIGHT + 80
    return picture


def look(
    folder: Path, clip: Clip, *plans: ObserverPlan, rule: BoxRule | None = None
) -> tuple[Observation, list[Finding]]:
    plans = plans or (ObserverPlan("scaler", ("whole",)),)
    (found,) = ObserverRunner(Plan(plans, rule or BoxRule("haar"), folder / "cache")).observe([clip])
    return found, [told for told in found.findings if told.code == "face-framing"]


def told_of(place: FacePlace, kind: type[Observer] = CONFORMER, view: str = "lrs2-112") -> Finding | None:
    return check_face_place("c", [(kind, [view])], place, ())


def test_the_views_that_scale_the_whole_frame() -> None:
    whole = {
        (kind.name, view) for kind in map(observer_class, observer_names()) for view in kind.views
        if looks_at_whole_frames(kind, [view])
    }  # fmt: skip
    assert whole == {("conformer", "lrs2-112"), ("syncnet", "paper"), ("syncnet", "sound")}


@given(st.integers(60, 400), st.integers(-300, 300), st.integers(-300, 300))
def test_what_frames_a_face_lays_it_where_it_is_looked_for(half: int, x: int, y: int) -> None:
    left, top, right, _ = face_window(x, y, half)
    size = right - left
    assert 2 * half / size == pytest.approx(LRS2_SHARE, abs=0.02)
    assert (x - left) / size == pytest.approx(LRS2_MOUTH[0], abs=0.02)
    assert (y - half - top) / size == pytest.approx(0, abs=0.02)


def test_the_mean_face_of_lrw_is_no_finding() -> None:
    """Eyes at y 94 and mouth at y 158 of 256; measured on GRID, eyes and mouth are 0.384 of a face's box apart."""
    share = (158 - 94) / 256 / 0.384
    assert told_of(FacePlace(5, 5, share, share, 129 / 256, 158 / 256)) is None


@given(st.tuples(*[st.floats(0.8, 1.25)] * 2), st.tuples(*[st.floats(-0.14, 0.14)] * 2))
def test_a_face_about_as_lrs2_frames_it_is_no_finding(times: tuple[float, float], off: tuple[float, float]) -> None:
    place = FacePlace(5, 5, LRS2_SHARE * times[0], LRS2_SHARE * times[1], *np.add(LRS2_MOUTH, off).tolist())
    assert told_of(place) is None


@given(
    st.sampled_from(TRAITS[:2]).flatmap(
        lambda trait: st.one_of(st.floats(0.01, 0.54), st.floats(0.94, 1)).map(lambda share: (trait, share))
    )
    | st.tuples(st.just("mouth_x"), st.one_of(st.floats(0, 0.34), st.floats(0.66, 1)))
    | st.tuples(st.just("mouth_y"), st.one_of(st.floats(0, 0.41), st.floats(0.72, 1)))
)
def test_one_that_is_elsewhere_or_of_another_size_is_told_with_the_figures(fault: tuple[str, float]) -> None:
    name, value = fault
    found = told_of(replace(LRS2, **{name: value}))
    assert found is not None
    assert (found.level, found.observers) == ("warning", ())
    assert f"{value:.0%}" in found.message
    assert "LRS2: about 71%" in found.message


def test_the_way_out_is_the_view_that_finds_the_face_and_fits() -> None:
    found = check_face_place("c", [(CONFORMER, ["lrs2-112"])], SCENE, ())
    assert found is not None
    assert found.message.endswith("conformer-lrs2-112@1; --view conformer=face-framed finds the face first")


@pytest.mark.parametrize(
    "shown",
    [
        [(SYNCNET, ["paper", "sound"])],  # no view of its own frames a face for that network
        [(SYNCNET, ["paper", "face-track"])],
        [(CONFORMER, ["lrs2-112", "face-framed"])],  # used already
    ],
)
def test_no_view_is_named_that_does_not_help(shown: list[tuple[type[Observer], list[str]]]) -> None:
    found = check_face_place("c", shown, SCENE, ())
    assert found is not None
    assert "--view" not in found.message
    assert "crop the face as LRS2 does" in found.fix


def test_a_clip_is_told_once_for_all_that_scale_it() -> None:
    found = check_face_place("c", [(SYNCNET, ["paper", "sound"]), (CONFORMER, ["lrs2-112"])], SCENE, ())
    assert found is not None
    assert (
        "by syncnet-whole-jpeg@4, syncnet-whole@1, conformer-lrs2-112@1; --view conformer=face-framed" in found.message
    )


def test_views_that_find_the_face_or_compare_whole_frames_are_not_concerned() -> None:
    shown = [(observer_class("pixels"), ["frame"]), (CONFORMER, ["face-framed"]), (SYNCNET, ["face-track"])]
    assert check_face_place("c", shown, FacePlace(5, 0), ()) is None


@pytest.mark.parametrize(("shown", "told"), [(0, True), (2, True), (3, False)])
def test_without_a_face_that_is_told_once(shown: int, told: bool) -> None:
    place = replace(LRS2, shown=shown)
    found = told_of(place)
    assert (found is not None) == told
    if found is not None:
        assert f"no face was found in {5 - shown} of 5 frames" in found.message
    for code in ("no-face", "faces-missing", "reference-no-face"):
        assert check_face_place("c", [(CONFORMER, ["lrs2-112"])], place, {code}) is None


def test_a_clip_of_two_frames_says_nothing_of_its_faces() -> None:
    assert told_of(FacePlace(2, 0)) is None


@pytest.mark.parametrize(
    ("face", "size", "told"),
    [
        (FRAMED, (160, 160), False),
        (tuple(2 * edge for edge in FRAMED), (320, 320), False),
        ((100, 60, 140, 100), (640, 360), True),  # a scene
        ((203, 0, 317, 114), (520, 160), True),  # as high as LRS2's, in a frame that is squeezed
        ((23, 46, 137, 160), (160, 160), True),  # at the lower edge
        ((2, 2, 158, 158), (160, 160), True),  # fills the frame
        (None, (160, 160), True),
    ],
)
def test_a_run_tells_it_also_from_what_was_kept(
    tmp_path: Path,
    bright: Bright,
    face: Sequence[int] | None,
    size: Size,
    told: bool,
) -> None:
    clip = clip_of(tmp_path, [frame(face, size)] * FRAMES)
    found, said = look(tmp_path, clip)
    assert [finding.level for finding in said] == ["warning"] * told
    assert found.failures == {}
    assert set(found.evidence) == {"scaler"}
    assert bright.searches == LOOKS
    assert all("scaler-whole@1; --view scaler=framed finds" in finding.message for finding in said)
    again, kept = look(tmp_path, clip)
    assert (again.findings, kept) == (found.findings, said)
    assert bright.searches == LOOKS


def test_a_run_whose_views_find_the_face_does_not_look(tmp_path: Path, bright: Bright) -> None:
    clip = clip_of(tmp_path, [frame((100, 60, 140, 100), (640, 360))] * FRAMES)
    _, said = look(tmp_path, clip, ObserverPlan("scaler", ("framed",)), rule=BoxRule("haar", source="generated"))
    assert said == []
    assert bright.searches == 0


def test_evidence_kept_by_a_run_that_did_not_look_has_its_clip_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(tmp_path, [frame((100, 60, 140, 100), (640, 360))] * FRAMES)
    with monkeypatch.context() as before:
        before.setattr("tlbench.observing.clip_checker.looks_at_whole_frames", lambda kind, views: False)
        assert look(tmp_path, clip)[1] == []
    found, said = look(tmp_path, clip)
    assert (found.cached, len(said)) == (1, 1)


def test_frames_are_looked_at_once_for_boxes_and_framing(tmp_path: Path, bright: Bright) -> None:
    clip = clip_of(tmp_path, [frame((50, 40, 100, 110))] * FRAMES)
    plans = (ObserverPlan("scaler", ("whole",)), ObserverPlan("pixels", ("face",)))
    found, said = look(tmp_path, clip, *plans)
    assert found.failures == {}
    assert len(said) == 1
    assert bright.searches == 0  # found near the boxes that are laid


def test_the_largest_face_counts_and_the_median_of_the_frames() -> None:
    class Two(Bright):
        def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
            small = np.array([[0, 0, 10, 10, 1.0]])
            return [np.concatenate([small, rows]) for rows in super().detect_all(frames, min_score)]

    pictures = np.stack([frame(FRAMED)] * FRAMES)
    pictures[frames_to_look_at(FRAMES)[0]] = frame((0, 0, 20, 20))
    looks = FaceLooks(Two(), None, FRAMES)
    looks.take(run_of(pictures))
    assert (looks.place.looked, looks.place.shown, looks.fit) == (5, 5, None)
    assert looks.place.height == pytest.approx(114 / 160)
    assert looks.place.mouth_y == pytest.approx(LRS2_MOUTH[1], abs=0.01)


@pytest.mark.parametrize("speaker", ["s1", "s4"])
def test_real_faces(shared: Path, speaker: str) -> None:
    """GRID's frames, with the detector that is embedded: whole, framed as LRS2's, small in a scene, and the mouth."""
    path = sorted((shared / "data" / "grid-original" / speaker).glob("*.mpg"))[0]
    frames = read_video(path)[:10]
    detector = embedded_detector()
    (box,) = detector.detect(frames[:1])
    assert box is not None
    view = open_view(View("framed", 1, (FrameFace(SIDE),)))
    framed = view.apply(run_of(frames), np.tile(box, (len(frames), 1)))
    scene = np.full((len(frames), 720, 1280, 3), 90, np.uint8)
    scene[:, 200:488, 300:660] = np.stack([cv2.resize(picture, (360, 288)) for picture in frames])
    mouth = framed[:, 66:114, 56:104].repeat(3, axis=1).repeat(3, axis=2)
    for pictures, told in ((framed, False), (frames, True), (scene, True), (mouth, True)):
        looks = FaceLooks(detector, None, len(pictures))
        looks.take(run_of(pictures))
        assert (told_of(looks.place) is not None) == told


def run_of(pictures: np.ndarray) -> FrameChunk:
    return FrameChunk(0, tuple(av.VideoFrame.from_ndarray(picture, "rgb24") for picture in pictures))

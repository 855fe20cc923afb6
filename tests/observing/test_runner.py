"""The runner: decoded once, kept by content, and a failure is where it belongs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.factories.media_factory import tone, write_clip
from tests.factories.observer_factory import use_observers
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.box_files import write_boxes
from tlbench.media.faces import Boxes
from tlbench.media.video_reader import VideoReader
from tlbench.observing import registry
from tlbench.observing.cache import Cache
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.face_boxes import BoxFinder, BoxRule, GuideSource
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.preflight.headers import Expected


class Counting(ClipState):
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.real: list[int] = []

    def update(self, chunk: ClipChunk) -> None:
        generated, reference = chunk.generated, chunk.reference
        self.seen += [] if generated is None else range(generated.start, generated.start + len(generated))
        self.real += [] if reference is None else range(reference.start, reference.start + len(reference))


class Counter(Observer):
    """Says which frames it was shown."""

    name = "counter"
    version = 1
    needs = Needs(reference=True)
    views: ClassVar[dict[str, str]] = {"all": "all@1"}
    loads = 0

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
    ) -> Observer:
        Counter.loads += 1
        return cls()

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return Counting()

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [
            Evidence(self.name, {"seen": np.array(state.seen), "real": np.array(state.real)})
            for state in states
            if isinstance(state, Counting)
        ]


class Listener(Counter):
    """Needs sound, but no reference."""

    name = "listener"
    needs = Needs(audio=True)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    known = {"counter": Counter, "listener": Listener}
    use_observers(monkeypatch, known.__getitem__)
    Counter.loads = 0
    return Plan((ObserverPlan("counter", ("all",)), ObserverPlan("listener", ("all",))), BoxRule(), tmp_path / "cache")


def clip_of(folder: Path, frames: int = 40, reference_frames: int = 40, *, sound: bool = True) -> Clip:
    samples = {"audio_codec": "aac", "samples": tone(frames / 25)} if sound else {}
    generated = write_clip(folder / "gen.mp4", frames=frames, **samples)  # type: ignore[arg-type]
    return Clip("c", write_clip(folder / "ref.mp4", frames=reference_frames), generated)


def codes(observation: Observation) -> set[str]:
    return {found.code for found in observation.findings}


def look(plan: Plan, clip: Clip) -> Observation:
    (found,) = ObserverRunner(plan).observe([clip])
    return found


def test_every_frame_of_both_videos_is_shown_once_and_in_order(plan: Plan, tmp_path: Path) -> None:
    found = look(plan, clip_of(tmp_path, frames=67, reference_frames=70))
    assert found.failures == {}
    assert (found.info.frames, found.info.frames_expected) == (67, 70)
    np.testing.assert_array_equal(found.evidence["counter"].array("seen"), range(67))
    np.testing.assert_array_equal(found.evidence["counter"].array("real"), range(70))
    assert len(found.evidence["listener"].array("real")) == 0  # it asked for no reference


def test_no_reader_waits_for_the_other_clips_of_a_batch(plan: Plan, tmp_path: Path) -> None:
    """It would keep the frames of a video that was searched for faces: 35 MB of a clip of GRID."""
    runner = ObserverRunner(plan)
    jobs = runner.look([clip_of(tmp_path)])
    assert [(job.generated, job.reference) for job in jobs] == [(None, None)]
    (found,) = runner.finish(jobs)
    assert found.failures == {}


def test_a_file_is_decoded_once_however_many_look(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    begin = VideoReader._decoded

    def counted(self: VideoReader):  # type: ignore[no-untyped-def]
        decoded.append(self.path.name)
        yield from begin(self)

    monkeypatch.setattr(VideoReader, "_decoded", counted)
    look(plan, clip_of(tmp_path))
    assert sorted(decoded) == ["gen.mp4", "ref.mp4"]


def test_what_was_seen_once_comes_from_the_cache_wherever_the_files_lie(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    first = look(plan, clip)
    moved = Path(shutil.move(tmp_path / "gen.mp4", tmp_path / "elsewhere.mp4"))
    Counter.loads = 0
    second = look(plan, replace(clip, generated=moved, id="another name"))
    assert second.cached == 2
    assert Counter.loads == 0  # no observer was built
    assert second.info.frames == first.info.frames
    assert second.evidence["counter"].to_json() == first.evidence["counter"].to_json()


@pytest.mark.parametrize("what", ["generated", "reference", "version", "weights"])
def test_whatever_decides_the_evidence_is_in_the_key(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clip = clip_of(tmp_path)
    look(plan, clip)
    if what == "generated":
        write_clip(tmp_path / "gen.mp4", frames=41, audio_codec="aac", samples=tone(2))
    elif what == "reference":
        write_clip(tmp_path / "ref.mp4", frames=41)
    elif what == "version":
        monkeypatch.setattr(Counter, "version", 2)
    else:
        plan = replace(plan, observers=(replace(plan.observers[0], weights_sha256="00"), plan.observers[1]))
    again = look(plan, clip)
    assert again.cached == {"generated": 0, "reference": 1, "version": 0, "weights": 1}[what]


def test_without_sound_only_those_who_listen_fail(plan: Plan, tmp_path: Path) -> None:
    found = look(plan, clip_of(tmp_path, sound=False))
    assert set(found.evidence) == {"counter"}
    assert found.failures["listener"].code == "no-audio"


def test_a_broken_reference_fails_only_those_who_need_it(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    (tmp_path / "ref.mp4").write_text("not a video")
    found = look(plan, clip)
    assert set(found.evidence) == {"listener"}
    assert found.failures["counter"].code == "reference-broken"
    (said,) = (found for found in found.findings if found.code == "reference-broken")
    assert said.observers == ("counter",)


def test_a_missing_generated_video_fails_all_with_one_reason(plan: Plan, tmp_path: Path) -> None:
    found = look(plan, replace(clip_of(tmp_path), generated=None))
    assert {error.code for error in found.failures.values()} == {"missing"}
    assert set(found.failures) == {"counter", "listener"}


def test_a_converted_rate_is_found_and_the_finding_survives_the_cache(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    write_clip(tmp_path / "gen.mp4", frames=60, frames_per_second=30, audio_codec="aac", samples=tone(2))
    first = look(plan, clip)
    assert "frame-rate" in codes(first)
    assert (first.info.frames, first.info.frames_expected) == (
        40,  # of 50 at 25 a second, the last ten are not scored
        40,
    )
    assert look(plan, clip).findings == first.findings


def test_boxes_are_found_once_and_kept_by_the_references_content(tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    (found,) = (found for found in look(plan, clip).findings if found.code == "reference-no-face")
    assert "40 of 40 frames" in found.message
    assert "reference-no-face" in codes(look(plan, clip))  # all from the cache
    (kept,) = (tmp_path / "cache" / "boxes").rglob("*.json")
    before = kept.stat().st_mtime_ns
    write_clip(tmp_path / "gen.mp4", frames=38)
    assert look(plan, clip).cached == 0
    assert kept.stat().st_mtime_ns == before


def test_given_boxes_go_before_detected_ones_and_are_in_the_key(tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    mse = []
    for x2 in (40, 60):
        write_boxes(tmp_path / "c.npy", Boxes(np.tile([4, 4, x2, 44], (40, 1)), 0, "given"))
        found = look(plan, replace(clip, boxes=tmp_path / "c.npy"))
        assert found.cached == 0
        assert found.failures == {}
        mse.append(len(found.evidence["pixels"].array("face_mse")))
    assert mse == [40, 40]


def test_a_real_video_that_breaks_the_search_for_faces_is_said_to_be_broken_itself(tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    (tmp_path / "ref.mp4").write_text("not a video")
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    assert look(plan, clip).failures["pixels"].code == "reference-broken"


def test_without_its_box_file_only_those_fail_who_need_boxes(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look(framing(plan, monkeypatch), replace(clip_of(tmp_path), boxes=tmp_path / "gone.npy"))
    assert set(found.evidence) == {"listener"}
    assert found.failures["framer"].code == "bad-boxes"


def test_two_clips_are_observed_in_the_order_given(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    clips = [replace(clip, id=name) for name in ("z", "a", "m")]
    assert [found.clip.id for found in observe(plan, clips)] == ["z", "a", "m"]


def test_an_engine_or_a_number_of_workers_that_is_none_is_refused(plan: Plan) -> None:
    with pytest.raises(TlbenchError, match="workers must be at least 1"):
        observe(plan, [], workers=0)
    with pytest.raises(TlbenchError, match="no engine 'cloud'"):
        observe(plan, [], engine="cloud")


def test_an_observer_that_is_not_there_gets_a_hint() -> None:
    with pytest.raises(TlbenchError, match="did you mean 'pixels'"):
        registry.observer_class("pixel")


class Framer(Counter):
    """Needs boxes, but looks at the generated video alone."""

    name = "framer"
    needs = Needs(boxes=True)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return Boxing()


class Boxing(Counting):
    def update(self, chunk: ClipChunk) -> None:
        super().update(chunk)
        assert chunk.boxes is not None
        self.real += chunk.boxes[:, 0].tolist()


def framing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    known = {"counter": Counter, "listener": Listener, "framer": Framer}
    use_observers(monkeypatch, known.__getitem__)
    return replace(plan, observers=(ObserverPlan("listener", ("all",)), ObserverPlan("framer", ("all",))))


def test_given_boxes_serve_an_observer_that_has_no_use_for_the_reference(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = np.arange(40)[:, None] + np.array([0, 0, 60, 44])
    write_boxes(tmp_path / "c.npy", Boxes(boxes, 0, "given"))
    clip = replace(clip_of(tmp_path), boxes=tmp_path / "c.npy", reference=None)
    found = look(framing(plan, monkeypatch), clip)
    assert found.failures == {}
    np.testing.assert_array_equal(found.evidence["framer"].array("real"), range(40))  # each frame with its own box


def test_without_boxes_and_reference_there_is_a_reason(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look(framing(plan, monkeypatch), replace(clip_of(tmp_path), reference=None))
    assert set(found.evidence) == {"listener"}
    assert found.failures["framer"].code == "reference-missing"
    assert "--boxes-from generated" in found.failures["framer"].message


def test_a_file_is_decoded_once_even_if_boxes_have_to_be_found_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    begin = VideoReader._decoded

    def counted(self: VideoReader):  # type: ignore[no-untyped-def]
        decoded.append(self.path.name)
        yield from begin(self)

    monkeypatch.setattr(VideoReader, "_decoded", counted)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    clip = clip_of(tmp_path)
    look(plan, clip)
    assert sorted(decoded) == ["gen.mp4", "ref.mp4"]
    look(plan, clip)
    assert len(decoded) == 2  # the second run decodes nothing


def test_what_is_found_of_the_reference_is_told_whoever_looks(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    write_clip(tmp_path / "ref.mp4", frames=48, frames_per_second=30)
    assert "reference-rate" in codes(look(plan, clip))
    listener = replace(plan, observers=plan.observers[1:])  # never saw the reference, but every header is read
    again = look(listener, clip)
    assert again.cached == 1
    assert "reference-rate" in codes(again)


def test_an_observation_is_the_same_fresh_from_the_cache_and_half_of_each(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    write_clip(tmp_path / "gen.mp4", frames=60, frames_per_second=30, audio_codec="aac", samples=tone(2))
    fresh = look(plan, clip)
    cached = look(plan, clip)
    look(replace(plan, observers=plan.observers[1:], cache=tmp_path / "half"), clip)
    half = look(replace(plan, cache=tmp_path / "half"), clip)
    assert (fresh.cached, cached.cached, half.cached) == (0, 2, 1)
    for other in (cached, half):
        assert list(other.evidence) == list(fresh.evidence)
        assert [e.to_json() for e in other.evidence.values()] == [e.to_json() for e in fresh.evidence.values()]
        assert (other.findings, other.info.frames) == (fresh.findings, fresh.info.frames)


def test_who_fails_again_does_not_change_what_is_kept_of_the_others(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path, sound=False)
    first, second = look(plan, clip), look(plan, clip)
    assert (first.cached, second.cached) == (0, 1)
    assert first.info.frames == second.info.frames == 40
    assert first.failures["listener"].code == second.failures["listener"].code


def test_a_video_that_ends_before_its_declared_length_is_not_scored(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    assert clip.generated is not None
    whole = write_clip(
        tmp_path / "whole.mp4",
        frames=80,
        audio_codec="aac",
        samples=tone(80 / 25),
        container_options={"movflags": "faststart"},
    )
    clip.generated.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    found = look(plan, clip)
    assert {error.code for error in found.failures.values()} == {"truncated"}
    assert found.evidence == {}


def test_what_was_kept_by_a_run_without_checks_is_checked_once(plan: Plan, tmp_path: Path) -> None:
    clip = clip_of(tmp_path)
    first = look(plan, clip)
    shutil.rmtree(tmp_path / "cache" / "checks")
    again = look(plan, clip)
    assert again.cached == 2
    assert again.findings == first.findings
    assert len(list((tmp_path / "cache" / "checks").rglob("*.json"))) == 1


@pytest.mark.parametrize(("frames", "reference", "scored"), [(8, 75, False), (69, 75, False), (70, 75, True)])
def test_a_video_that_stops_early_is_not_scored(
    plan: Plan, tmp_path: Path, frames: int, reference: int, scored: bool
) -> None:
    found = look(plan, clip_of(tmp_path, frames=frames, reference_frames=reference))
    assert (found.failures == {}) == scored
    assert ("few-frames" in codes(found)) != scored
    short = replace(plan, expected=Expected(allow_short=True))
    assert look(short, clip_of(tmp_path, frames=frames, reference_frames=reference)).failures == {}


def test_of_a_longer_video_the_end_is_shown_to_nobody(plan: Plan, tmp_path: Path) -> None:
    found = look(plan, clip_of(tmp_path, frames=45, reference_frames=40))
    np.testing.assert_array_equal(found.evidence["counter"].array("seen"), range(40))
    assert "frame-count" in codes(found)


def test_a_run_of_a_huge_picture_stays_small(tmp_path: Path) -> None:
    """Two videos side by side, of each a run looked at and a run in the making: 256 MiB at most."""
    for width, height, run in ((160, 160, 32), (1920, 1080, 7), (3840, 2160, 1)):
        path = write_clip(tmp_path / f"{width}.mp4", frames=2, width=width, height=height)
        video = VideoReader(path)
        assert video.chunk_frames == run
        (first, *_) = video.frames()
        assert run * (first.rgb.nbytes // len(first)) * 3 // 2 <= 64 * 2**20


class Guided(ClipState):
    def __init__(self) -> None:
        self.guides: list[np.ndarray] = []

    def update(self, chunk: ClipChunk) -> None:
        given = chunk.placements if chunk.boxes is None else chunk.boxes
        assert given is not None
        assert chunk.generated is None or len(given) >= len(chunk.generated)
        self.guides.append(given)


class Steadied(Counter):
    """Says which boxes it was given."""

    name = "framer"
    needs = Needs(boxes=True, framing=True)

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return Guided()

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [Evidence(self.name, {"guides": np.concatenate(w.guides)}) for w in states if isinstance(w, Guided)]


class Placer(Steadied):
    """Says which mouth placements it was given."""

    name = "placer"
    needs = Needs(placements="avhubert-own")


def guided_plan(folder: Path, monkeypatch: pytest.MonkeyPatch, rule: BoxRule, *names: str) -> Plan:
    known = {"framer": Steadied, "placer": Placer}
    use_observers(monkeypatch, known.__getitem__)
    return Plan(tuple(ObserverPlan(name, ("all",)) for name in names), rule, folder / "cache")


def landmarks(frames: int) -> np.ndarray:
    """A face that moves one pixel to the right a frame."""
    face = np.random.default_rng(1).uniform(20, 60, (68, 2))
    face[[33, 36, 39, 42, 45]] = [[40, 42], [24, 26], [33, 26], [47, 26], [56, 26]]
    return np.asarray(face + np.arange(frames)[:, None, None] * np.array([1.0, 0.0]))


def test_faces_are_framed_by_steadied_boxes_and_mouths_followed_each_held_beyond_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jittering = np.tile(np.array([10, 10, 50, 50]), (36, 1))
    jittering[11] += 7
    np.save(tmp_path / "boxes.npy", jittering)
    np.save(tmp_path / "landmarks.npy", landmarks(30))
    clip = replace(
        clip_of(tmp_path, frames=32, reference_frames=36),
        boxes=tmp_path / "boxes.npy",
        landmarks=tmp_path / "landmarks.npy",
    )
    found = look(guided_plan(tmp_path, monkeypatch, BoxRule(), "framer", "placer"), clip)
    assert found.failures == {}
    framed = found.evidence["framer"].array("guides")
    assert framed.shape == (32, 4)
    np.testing.assert_allclose(framed, framed[:1].repeat(32, axis=0))  # one frame's jump is gone
    placed = found.evidence["placer"].array("guides")
    assert placed.shape == (32, 2, 3)
    np.testing.assert_array_equal(placed[30:], placed[29:30].repeat(2, axis=0))
    assert np.ptp(placed[:30, 0, 2]) > 5


def test_landmarks_that_do_not_fit_fail_only_those_who_need_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "boxes.npy", np.tile(np.array([10, 10, 50, 50]), (40, 1)))
    np.save(tmp_path / "landmarks.npy", np.full((40, 68, 2), np.nan))
    clip = replace(clip_of(tmp_path), boxes=tmp_path / "boxes.npy", landmarks=tmp_path / "landmarks.npy")
    found = look(guided_plan(tmp_path, monkeypatch, BoxRule(), "framer", "placer"), clip)
    assert set(found.failures) == {"placer"}
    assert set(found.evidence) == {"framer"}


@pytest.mark.parametrize(("source", "frames"), [("reference", 42), ("generated", 40)])
def test_faces_are_looked_for_in_the_video_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: GuideSource, frames: int
) -> None:
    """A fixed box is given for each frame of the video that is looked at, so their number tells which it was."""
    counted: list[int] = []

    def count(boxes: np.ndarray) -> np.ndarray:
        counted.append(len(boxes))
        return boxes

    monkeypatch.setattr("tlbench.observing.guides.steady", count)
    rule = BoxRule("fixed", fixed=(4, 4, 60, 60), source=source)
    found = look(guided_plan(tmp_path, monkeypatch, rule, "framer"), clip_of(tmp_path, frames=40, reference_frames=42))
    assert found.failures == {}
    assert counted == [frames]


@pytest.mark.parametrize(("source", "works"), [("reference", False), ("generated", True)])
def test_without_a_reference_faces_are_found_only_if_the_generated_video_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: GuideSource, works: bool
) -> None:
    rule = BoxRule("fixed", fixed=(4, 4, 60, 60), source=source)
    clip = replace(clip_of(tmp_path), reference=None)
    found = look(guided_plan(tmp_path, monkeypatch, rule, "framer"), clip)
    assert (found.failures == {}) == works


# Faces.


class Painted:
    """A detector that finds its box in each frame but those it was told to miss."""

    name = "haar"
    sure_score = 0.5

    def __init__(self, missed: range) -> None:
        self.missed = missed
        self.frames = 0

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        numbers = range(self.frames, self.frames + len(frames))
        self.frames += len(frames)
        return [None if number in self.missed else np.array([4, 4, 40, 44]) for number in numbers]

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        return [np.array([[4, 4, 40, 44, 0.9]]) for _ in frames]


def pixels_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: range, source: GuideSource) -> Plan:
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Painted(missed))
    return Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar", source=source), tmp_path / "cache")


@pytest.mark.parametrize(
    ("missed", "source", "codes", "faces"),
    [
        (range(0), "reference", set(), None),
        (range(10, 15), "reference", {"faces-filled"}, 40),
        (range(10, 25), "reference", {"reference-no-face"}, 25),
        (range(5, 35), "reference", {"reference-no-face"}, 0),
        (range(10, 25), "generated", {"faces-missing"}, 25),
    ],
)
def test_frames_without_a_face_are_left_out_of_sound_and_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missed: range,
    source: GuideSource,
    codes: set[str],
    faces: int | None,
) -> None:
    plan = pixels_plan(tmp_path, monkeypatch, missed, source)
    clip = clip_of(tmp_path)
    for cached in (0, 1):
        found = look(plan, clip)
        assert found.cached == cached
        assert found.failures == {}
        assert {one.code for one in found.findings} & FACE_CODES == codes
        values = found.evidence["pixels"].values
        assert len(found.evidence["pixels"].array("face_mse")) == 40
        assert (len(found.evidence["pixels"].array("sound_face_mse")) if faces is not None else None) == faces
        assert ("sound_face_mse" in values) == (faces is not None)


FACE_CODES = {"no-face", "faces-missing", "faces-filled", "reference-no-face", "several-faces", "boxes-unmarked"}


def test_a_generated_video_that_hardly_ever_shows_a_face_is_not_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = pixels_plan(tmp_path, monkeypatch, range(5, 35), "generated")
    for _ in range(2):
        found = look(plan, clip_of(tmp_path))
        assert found.failures["pixels"].code == "no-face"
        assert found.evidence == {}


def test_given_boxes_say_where_there_is_no_face(tmp_path: Path) -> None:
    rows = np.tile([4.0, 4, 40, 44], (40, 1))
    rows[10:25] = np.nan
    np.save(tmp_path / "c.npy", rows)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    found = look(plan, replace(clip_of(tmp_path), boxes=tmp_path / "c.npy"))
    assert {one.code for one in found.findings} & FACE_CODES == {"reference-no-face"}
    assert len(found.evidence["pixels"].array("sound_face_mse")) == 25
    assert len(found.evidence["pixels"].array("face_mse")) == 40


def take_out(folder: Path, names: set[str]) -> Path:
    """Make the one entry of a cache what it was before these names were kept in it."""
    (path,) = folder.rglob("*.json")
    entry = json.loads(path.read_text())

    def without(value: Any) -> Any:
        return {k: without(v) for k, v in value.items() if k not in names} if isinstance(value, dict) else value

    payload = without(entry["payload"])
    assert payload != entry["payload"]
    Cache(folder).write(entry["key"], payload)
    return path


@pytest.mark.parametrize(("missed", "again"), [(range(0), False), (range(10, 12), True)])
def test_evidence_from_before_faces_were_followed_is_used_only_where_that_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: range, again: bool
) -> None:
    plan = pixels_plan(tmp_path, monkeypatch, missed, "reference")
    clip = clip_of(tmp_path)
    look(plan, clip)
    for folder in ("boxes", "checks"):
        shutil.rmtree(tmp_path / "cache" / folder)
    take_out(tmp_path / "cache" / "evidence", {"faces"})
    assert look(plan, clip).cached == (0 if again else 1)
    assert look(plan, clip).cached == 1


def test_boxes_kept_from_before_faces_were_followed_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Painted(range(10, 12)))
    clip = clip_of(tmp_path)
    first = BoxFinder(BoxRule("haar"), Cache(tmp_path / "boxes")).of_clip(clip)
    path = take_out(tmp_path / "boxes", {"states", "followed", "several", "searched"})
    before = path.read_text()
    again = BoxFinder(BoxRule("haar"), Cache(tmp_path / "boxes")).of_clip(clip)
    assert again.face.states.tolist() == first.face.states.tolist()
    assert path.read_text() != before

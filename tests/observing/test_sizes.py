"""Generated videos of another size than the real one, and of another than a view was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.factories.observer_factory import use_observers
from tlbench.checkpoints.catalogue import observer_names
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import ClipError
from tlbench.media.scaling import Size, same_aspect
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import Cache
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.face_boxes import BoxRule, GuideSource
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class
from tlbench.observing.runner import ObserverRunner
from tlbench.observing.view_checks import check_view_frames, face_framed
from tlbench.preflight.clip import check_clip
from tlbench.preflight.headers import Expected
from tlbench.scoring.view_choice import auto_view

REAL: Size = (160, 120)
SIZES: tuple[Size, ...] = ((80, 60), (160, 120), (320, 240), (214, 160), (160, 160), (120, 160), (320, 180))
FRAMES = 12
BOX = (32, 24, 96, 80)


def scene(size: Size) -> list[np.ndarray]:
    """The same moving texture in any size."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 6)
    texture = np.asarray(cv2.normalize(texture, None, 30, 220, cv2.NORM_MINMAX))  # type: ignore[call-overload]
    return [cv2.resize(np.roll(texture, 4 * i, axis=1), size, interpolation=cv2.INTER_AREA) for i in range(FRAMES)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[Size, Path]:
    """The scene in all sizes."""
    folder = tmp_path_factory.mktemp("sizes")
    paths = {size: folder / f"{size[0]}x{size[1]}.mp4" for size in SIZES}
    for size, path in paths.items():
        write_video(path, scene(size), crf=10)
    return paths


@pytest.fixture(scope="module")
def real(videos: dict[Size, Path]) -> Path:
    path = videos[REAL].with_name("real.mp4")
    write_video(path, scene(REAL), crf=4)
    return path


class Guided(ClipState):
    def __init__(self) -> None:
        self.seen: list[list[np.ndarray]] = []

    def update(self, chunk: ClipChunk) -> None:
        guides = (chunk.boxes, chunk.reference_boxes, chunk.placements, chunk.reference_placements)
        self.seen.append([np.zeros(0) if rows is None else rows for rows in guides])


class Framer(Observer):
    """Says which boxes and placements it was given; one of several that need other things."""

    name = "framer"
    version = 1
    views = {"all": "all@1"}  # noqa: RUF012
    needs = Needs(boxes=True)

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
        return cls()

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        return Guided()

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        names = ("boxes", "reference_boxes", "placements", "reference_placements")
        return [
            Evidence(self.name, dict(zip(names, map(np.concatenate, zip(*w.seen, strict=True)), strict=True)))
            for w in states
            if isinstance(w, Guided)
        ]


class Steadied(Framer):
    name = "steadied"
    needs = Needs(boxes=True, framing=True, reference=True)


class Placer(Framer):
    name = "placer"
    needs = Needs(placements=True, reference=True)


class Everywhere:
    """A detector that finds one face, at the same share of every frame."""

    name = "everywhere"
    sure_score = 0.5

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        return [np.array(share_of((frames.shape[2], frames.shape[1]))) for _ in frames]

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        return [np.array([[*share_of((frames.shape[2], frames.shape[1])), 1.0]]) for _ in frames]


def share_of(frame: Size) -> list[int]:
    return [frame[0] // 4, frame[1] // 4, frame[0] * 3 // 4, frame[1] * 7 // 8]


class Onlooker(Framer):
    """Uses no boxes, and the generated video alone."""

    name = "onlooker"
    needs = Needs()


NAMES = ("pixels", "framer", "steadied", "placer", "onlooker")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {kind.name: kind for kind in (Framer, Steadied, Placer, Onlooker)}
    use_observers(monkeypatch, lambda name: known.get(name) or observer_class(name))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Under which evidence is looked for, as the test goes on."""
    asked: list[dict[str, object]] = []
    read = Cache.read

    def noted(cache: Cache, key: dict[str, object]) -> object:
        if "observer" in key:
            asked.append(key)
        return read(cache, key)

    monkeypatch.setattr(Cache, "read", noted)
    return asked


def landmarks() -> np.ndarray:
    """(T, 68, 2) of a face that keeps still."""
    face = np.random.default_rng(1).uniform(40, 80, (68, 2))
    face[[33, 36, 39, 42, 45]] = [[60, 62], [44, 46], [53, 46], [67, 46], [76, 46]]
    return np.tile(face, (FRAMES, 1, 1))


def clip_of(folder: Path, generated: Path, real: Path, *, given: bool = True) -> Clip:
    np.save(folder / "landmarks.npy", landmarks())
    np.save(folder / "boxes.npy", np.tile(BOX, (FRAMES, 1)))
    boxes = folder / "boxes.npy" if given else None
    return Clip("c", reference=real, generated=generated, boxes=boxes, landmarks=folder / "landmarks.npy")


def look(folder: Path, clip: Clip, rule: BoxRule, *names: str) -> Observation:
    plans = tuple(ObserverPlan(name, ("face",) if name == "pixels" else ("all",)) for name in names or NAMES)
    expected = Expected(boxes_of_each=rule.source == "generated")
    (found,) = ObserverRunner(Plan(plans, rule, folder / "cache", expected=expected)).observe([clip])
    return found


def codes(found: Observation) -> set[str]:
    return {told.code for told in found.findings}


RULES = {"given": BoxRule("haar"), "fixed": BoxRule("fixed", fixed=BOX), "found": BoxRule("haar")}


@pytest.mark.parametrize(("size", "source"), list(product(SIZES, RULES)))
def test_boxes_are_scaled_to_the_same_place_or_the_clip_is_refused(
    own: None, tmp_path: Path, videos: dict[Size, Path], real: Path, size: Size, source: str
) -> None:
    clip = clip_of(tmp_path, videos[size], real, given=source == "given")
    found = look(tmp_path, clip, RULES[source])
    if not same_aspect(size, REAL):
        assert "frame-size" in codes(found)
        assert set(found.failures) == set(NAMES) - {"onlooker"}
        assert {error.code for error in found.failures.values()} == {"frame-size"}
        assert "--boxes-from generated" in found.failures["pixels"].message
        return
    assert found.failures == {}
    assert ("rescaled" in codes(found)) == (size != REAL)
    mse = found.evidence["pixels"].array("face_mse").mean()
    assert 10 * np.log10(255**2 / mse) > 30  # the same scene, only encoded again and of another size
    factors = np.tile(size, 2) / np.tile(REAL, 2)
    boxes = found.evidence["steadied"].array("boxes")
    np.testing.assert_allclose(boxes, found.evidence["steadied"].array("reference_boxes") * factors)
    whole = found.evidence["framer"].array("boxes")
    assert whole.dtype == np.int64
    assert found.evidence["framer"].array("reference_boxes").size == 0  # it needs no reference
    if source != "found":
        np.testing.assert_allclose(whole, np.tile(BOX, (FRAMES, 1)) * factors, atol=0.5)
    placed, of_real = (found.evidence["placer"].array(name) for name in ("placements", "reference_placements"))
    share = np.array([0.4, 0.6])
    here, there = share * size - 0.5, share * REAL - 0.5
    np.testing.assert_allclose(
        placed[:, :, :2] @ here + placed[:, :, 2], of_real[:, :, :2] @ there + of_real[:, :, 2], atol=1e-6
    )


@pytest.mark.parametrize(("size", "given"), list(product(SIZES, (True, False))))
def test_where_each_video_has_its_own_boxes_sizes_may_differ(
    own: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    videos: dict[Size, Path],
    real: Path,
    size: Size,
    given: bool,
) -> None:
    """What is given is the real video's; the rest is found, here at the same share of every frame."""
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Everywhere())
    clip = clip_of(tmp_path, videos[size], real, given=given)
    found = look(tmp_path, clip, BoxRule("haar", source="generated"), "pixels", "framer", "steadied", "onlooker")
    assert found.failures == {}
    assert not codes(found) & {"frame-size", "rescaled"}

    assert found.evidence["framer"].array("boxes")[0].tolist() == share_of(size)
    x1, y1, x2, y2 = found.evidence["steadied"].array("reference_boxes")[0]
    wanted = BOX if given else share_of(REAL)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == ((wanted[0] + wanted[2]) / 2, (wanted[1] + wanted[3]) / 2)


def test_what_an_earlier_run_did_not_look_at_is_looked_at_when_an_observer_is_added(
    own: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, videos: dict[Size, Path], real: Path
) -> None:
    """The one that needs boxes has its evidence from before, the new one needs none: framing is checked anyway."""
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Everywhere())
    clip = clip_of(tmp_path, videos[REAL], real, given=False)
    looked: list[str] = []
    with monkeypatch.context() as unchecked:
        unchecked.setattr("tlbench.observing.clip_checker.wanted_parts", lambda needs, **how: ("headers", "pictures"))
        look(tmp_path, clip, BoxRule("haar"), "pixels")
    monkeypatch.setattr(
        "tlbench.observing.clip_checker.check_framing", lambda clip_id, *given: looked.append(clip_id) or []
    )
    for _ in range(2):
        found = look(tmp_path, clip, BoxRule("haar"), "pixels", "onlooker")
        assert set(found.evidence) == {"pixels", "onlooker"}
    assert looked == ["c"]  # once: then it is kept


def test_where_each_video_has_its_own_boxes_the_real_ones_faces_are_told_too(
    own: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, videos: dict[Size, Path], real: Path
) -> None:
    class InGenerated(Everywhere):
        def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
            return super().detect(frames) if frames.shape[2] != REAL[0] else [None] * len(frames)

    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: InGenerated())
    clip = clip_of(tmp_path, videos[320, 240], real, given=False)
    found = look(tmp_path, clip, BoxRule("haar", source="generated"), "pixels")
    assert codes(found) & {"no-face", "reference-no-face"} == {"reference-no-face"}
    truth = look(tmp_path, replace(clip, generated=real), BoxRule("haar", source="generated"), "pixels")
    assert codes(truth) & {"no-face", "reference-no-face"} == {"reference-no-face"}  # the data set's, told once
    assert "pixels" in truth.evidence


@pytest.mark.parametrize("source", ["reference", "generated"])
def test_of_the_same_size_both_videos_have_the_same_boxes_and_keys_of_before(
    keys: list[dict[str, object]], tmp_path: Path, videos: dict[Size, Path], real: Path, source: GuideSource
) -> None:
    """A key has a field for the size only where sizes differ, so evidence of good input is never made anew."""
    rule = BoxRule("haar", source=source)
    runner = ObserverRunner(Plan((ObserverPlan("pixels", ("face",)),), rule, tmp_path / "cache"))
    clip = clip_of(tmp_path, videos[REAL], real)
    runner.observe([clip, replace(clip, generated=videos[320, 240])])
    assert set(keys[0]) == {"observer", "decoding", "generated", "reference", "boxes"}
    assert set(keys[1]) - set(keys[0]) == ({"scaled"} if source == "reference" else set())
    assert str(keys[0]["boxes"]).startswith("given:" if source == "reference" else "haar@")


def test_evidence_kept_from_before_of_another_size_is_not_used(
    keys: list[dict[str, object]], tmp_path: Path, videos: dict[Size, Path], real: Path
) -> None:
    """Its boxes were not scaled."""
    clip = clip_of(tmp_path, videos[80, 60], real)
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), tmp_path / "cache")
    runner = ObserverRunner(plan)
    runner.observe([clip])
    old = {name: value for name, value in keys[0].items() if name != "scaled"}
    wrong = {"evidence": Evidence("pixels", {"frames": 1}).to_json(), "frames": 1}
    runner.cache.write(old, wrong)
    assert ObserverRunner(plan).observe([clip])[0].evidence["pixels"].number("frames") == FRAMES


def test_another_aspect_is_a_warning_where_nobody_looks_for_a_face(
    own: None, tmp_path: Path, videos: dict[Size, Path], real: Path
) -> None:
    found = look(tmp_path, clip_of(tmp_path, videos[120, 160], real), BoxRule("haar"), "onlooker")
    assert found.failures == {}
    assert [told.level for told in found.findings if told.code == "frame-size"] == ["warning"]


@pytest.mark.parametrize("size", SIZES)
def test_check_tells_the_sizes(videos: dict[Size, Path], real: Path, size: Size) -> None:
    told = {found.code: found for found in check_clip(Clip("c", real, videos[size]), Expected()).findings}
    expected = "rescaled" if same_aspect(size, REAL) else "frame-size"
    assert set(told) & {"rescaled", "frame-size"} == (set() if size == REAL else {expected})
    if size != REAL:
        assert told[expected].message == f"{size[0]}x{size[1]}, the real video 160x120"


def test_check_tells_of_windows_where_the_data_set_has_one_size(videos: dict[Size, Path], real: Path) -> None:
    for size in SIZES:
        found = check_clip(Clip("c", real, videos[size]), Expected(frame_size=REAL)).findings
        assert [told.level for told in found if told.code == "view-frame"] == ([] if size == REAL else ["error"])


WINDOWED = [
    (observer_class(name), view)
    for name in observer_names()
    for view in observer_class(name).views
    if (recipe := observer_class(name).recipe(view)) is not None and recipe.frame_sizes
]


def test_every_view_that_cuts_the_frame_by_pixels_says_for_which_size() -> None:
    from tlbench.media.views import CenterCrop, CropWindow

    cutting = {
        (kind.name, view)
        for kind in map(observer_class, observer_names())
        for view in kind.views
        if (recipe := kind.recipe(view)) is not None
        and next((isinstance(s, CropWindow | CenterCrop) for s in recipe.steps if type(s).__name__ != "Grey"), False)
    }
    assert cutting == {(kind.name, view) for kind, view in WINDOWED}
    assert len(WINDOWED) == 10


@pytest.mark.parametrize(("kind", "view"), WINDOWED)
def test_frames_of_another_size_are_refused_with_the_view_that_fits(kind: type[Observer], view: str) -> None:
    recipe = kind.recipe(view)
    assert recipe is not None
    needs = kind.needs_for([view], [])
    for size in recipe.frame_sizes:
        assert check_view_frames("c", kind, [view], size, (512, 512), needs) is None
    assert check_view_frames("c", kind, [view], None, None, needs) is None  # nothing is known of it
    found = check_view_frames("c", kind, [view], (512, 512), None, needs)
    assert found is not None
    assert (found.code, found.level, found.observers) == ("view-frame", "error", (kind.name,))
    fitting = face_framed(kind, recipe)
    assert fitting is not None
    assert f"--view {kind.name}={fitting}" in found.message
    assert "512x512" in found.message
    assert check_view_frames("c", kind, [fitting], (512, 512), None, needs) is None
    other = kind.recipe(fitting)
    assert other is not None
    assert other.picture == recipe.picture
    compared = check_view_frames("c", kind, [view], recipe.frame_sizes[0], (512, 512), replace(needs, reference=True))
    assert compared is not None
    assert "the real video is 512x512" in compared.message


@pytest.mark.parametrize(("size", "view"), [((160, 160), "avhubert-lrs2-center"), ((320, 240), "avhubert-face-framed")])
def test_auto_takes_the_view_that_fits_the_frames_and_says_so(tmp_path: Path, size: Size, view: str) -> None:
    for part in ("real", "made"):
        (tmp_path / part).mkdir()
        write_video(tmp_path / part / "a.mp4", scene(size), crf=10 if part == "real" else 20)
    (tmp_path / "real" / "a.txt").write_text("BIN BLUE\n")
    selection = load_dataset("folder", tmp_path / "real", generated=tmp_path / "made")
    chosen, why = auto_view("avhubert", None, selection.clips)
    assert observer_class("avhubert").views[chosen].partition("@")[0] == view
    assert f"{size[0]}x{size[1]}" in why
    assert chosen in why

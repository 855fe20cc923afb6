"""What every observer must do, whoever wrote it: a new one is tested by standing in the registry."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories.lpips_factory import channels_by_formula
from tests.factories.media_factory import tone, write_clip
from tests.factories.observer_weights import formula_weights
from tlbench.checkpoints.catalogue import observer_cards, observer_names
from tlbench.datasets.clip import Clip, Span
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.alignments import whole_picture
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.metrics.catalogue import all_metrics
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer, StartClip
from tlbench.observing.registry import observer_class

WORD_TIMES = (Span(0.04, 0.12, "BIN"), Span(0.12, 0.3, "BLUE"))


@dataclass(frozen=True)
class Show:
    """One clip as the runner would show it."""

    generated: tuple[FrameChunk, ...]  # one run, or none
    reference: tuple[FrameChunk, ...]
    boxes: np.ndarray
    samples: np.ndarray | None
    file: Path  # of the generated video: an observer may read it once more


def frames_of(path: Path, count: int, seed: int, width: int = 112, height: int = 96) -> tuple[FrameChunk, ...]:
    video = write_clip(path, frames=count, width=width, height=height, codec_options={"crf": str(18 + seed)})
    return tuple(VideoReader(video, 2**30).frames(1000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("observers")


@pytest.fixture(scope="module")
def shows(folder: Path) -> list[Show]:
    return shows_of(folder, 8, 22)


def shows_of(folder: Path, *counts: int) -> list[Show]:
    """Clips of so many frames."""
    made = []
    for seed, count in enumerate(counts):
        file = folder / f"g{seed}.mp4"
        generated = frames_of(file, count, seed)
        reference = frames_of(folder / f"r{seed}.mp4", count + seed - 1, seed + 10)
        boxes = np.tile(np.array([8, 4, 70, 60]), (count + seed - 1, 1))
        sound = tone(count / 25, hertz=300 + 100 * seed)[:, 0]
        made.append(Show(generated, reference, boxes, sound, file))
    return made


@pytest.fixture(scope="module", params=list(observer_names()))
def observer(request: pytest.FixtureRequest, folder: Path) -> Iterator[Observer]:
    with channels_by_formula():
        (found,) = loaded_on(request.param, folder, "cpu")
        yield found


def loaded_on(name: str, folder: Path, *devices: str) -> list[Observer]:
    """An observer with the formula's weights on each device; skips the test if a package of it is not installed."""
    found = observer_class(name)
    lacking = found.lacking(views_of(found))
    if lacking:
        pytest.skip(lacking)
    weights = formula_weights(name, folder) if found.needs.weights else None
    return [found.load(weights, views_of(found), device, found.modes) for device in devices]


def views_of(kind: type[Observer]) -> tuple[str, ...]:
    """Those that its metrics read, where they leave it to the run the usual one."""
    if kind.of_sets:
        return (kind.default_view,)
    own = [metric for metric in all_metrics() if metric.observer == kind.name]
    return tuple(dict.fromkeys(metric.view or kind.default_view for metric in own))


def needs_of(observer: Observer) -> Needs:
    kind = type(observer)
    return kind.needs_for(views_of(kind), kind.modes)


def in_runs(show: Show, run: int) -> Iterator[tuple[FrameChunk | None, FrameChunk | None, np.ndarray]]:
    longest = max((len(frames) for frames in (*show.generated, *show.reference)), default=0)
    for start in range(0, longest, run):
        runs = []
        for video in (show.generated, show.reference):
            native = video[0].native[start : start + run] if video else ()
            runs.append(FrameChunk(start, native) if native else None)
        yield runs[0], runs[1], show.boxes[start : start + run]


def observe(
    observer: Observer, *shows: Show, run: int = 32, cropper: StartClip | None = None
) -> list[Evidence | ClipError]:
    """Evidence or the reason for none; anything but a ClipError comes through. A cropper's states are sent."""
    found: dict[int, Evidence | ClipError] = {}
    states = {}
    needs = needs_of(observer)
    for number, show in enumerate(shows):
        try:
            state = (cropper or observer.start_clip)(
                Clip(f"s/{number}", generated=show.file, transcript="BIN BLUE", word="ABOUT", word_times=WORD_TIMES),
                show.samples if needs.audio else None,
            )
            for generated, reference, boxes in in_runs(show, run):
                state.update(
                    ClipChunk(
                        generated,
                        reference if needs.reference else None,
                        boxes if needs.boxes else None,
                        placements_of(needs, generated, reference),
                    )
                )
            state.end()
            states[number] = sent(state) if cropper else state
        except ClipError as error:
            found[number] = error
    outcomes = observer.compute(list(states.values()))
    assert len(outcomes) == len(states)
    found |= dict(zip(states, outcomes, strict=True))
    return [found[number] for number in range(len(shows))]


def sent(state: ClipState) -> ClipState:
    """The state in another process, where arrays are memory that can't be written to, as in Ray."""
    arrays: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(state, protocol=5, buffer_callback=arrays.append)
    received: ClipState = pickle.loads(rest, buffers=[bytes(array) for array in arrays])
    return received


def placements_of(needs: Needs, *videos: FrameChunk | None) -> np.ndarray | None:
    """The upper left of each frame as its mouth patch, for an observer that aligns mouths."""
    longest = max(len(frames) for frames in videos if frames is not None)
    return np.stack([whole_picture(needs.placements, 96)] * longest) if needs.placements else None


def as_json(evidence: Evidence | ClipError) -> str:
    assert isinstance(evidence, Evidence), evidence
    return json.dumps(evidence.to_json(), allow_nan=False)


@pytest.fixture(scope="module")
def said(observer: Observer, shows: list[Show]) -> list[Evidence]:
    """The evidence of all clips, shown together in runs of 32."""
    return [evidence for evidence in observe(observer, *shows) if isinstance(evidence, Evidence)]


@pytest.fixture(scope="module")
def usual(said: list[Evidence]) -> list[str]:
    return [as_json(evidence) for evidence in said]


def test_an_observer_says_who_it_is(observer: Observer) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", observer.name)
    assert observer.version >= 1
    assert observer.clips_per_batch >= 1
    ids = list(observer.views.values())
    assert len(set(ids)) == len(ids) > 0
    assert bool(observer_cards(observer.name)) == observer.needs.weights
    for card in observer_cards(observer.name):
        assert card.observer == observer.name


def test_what_decides_the_evidence_is_in_the_identity(observer: Observer) -> None:
    views = tuple(observer.views)
    one = observer.identity(views, "aa")
    assert one == observer.identity(tuple(reversed(views)), "aa")
    assert one != observer.identity(views, "bb")
    if len(views) > 1:
        assert one != observer.identity(views[:1], "aa")
    for mode in observer.modes:
        assert one != observer.identity(views, "aa", (mode,))


def test_it_needs_no_less_for_more_views_and_modes(observer: Observer) -> None:
    for view in observer.views:
        less, more = observer.needs_for((view,), ()), observer.needs_for((view,), observer.modes)
        for name, needed in asdict(less).items():
            assert needed <= getattr(more, name)
        assert less.boxes >= less.framing  # frames are steadied boxes
        assert less.weights == observer.needs.weights


def test_a_contact_sheet_can_show_its_pictures(observer: Observer) -> None:
    for view in observer.views:
        recipe = observer.recipe(view)
        assert recipe is None or recipe.id == observer.views[view]


def test_every_metric_of_it_reads_a_view_it_has_and_finds_what_it_needs(
    observer: Observer, said: list[Evidence]
) -> None:
    if observer.of_sets:
        for evidence in said:
            features = evidence.array("features")
            assert (features.dtype, features.ndim) == (np.dtype(np.float32), 2)
            assert len(features) > 0
        return
    own = [metric for metric in all_metrics() if metric.observer == observer.name]
    assert {metric.view or observer.default_view for metric in own} <= set(observer.views)
    assert {metric.mode for metric in own} <= {"", *observer.modes}
    values = {**said[1].values, "source_reference": "SET RED"}
    tallies = [
        metric.tally(metric.of_parts({name: Evidence(name, values) for name in metric.evidence_names}))
        for metric in own
    ]
    # Not all: these pictures show no face, so a metric of followed faces counts nothing, and some have no other.
    assert observer.name in ("arcface", "identity", "landmarks", "mouth") or any(
        tally.denominator > 0 for tally in tallies
    )


def test_evidence_comes_back_from_a_file_exactly(observer: Observer, said: list[Evidence]) -> None:
    for evidence in said:
        assert evidence.observer == observer.name
        back = Evidence.from_json(json.loads(as_json(evidence)))
        assert back.values.keys() == evidence.values.keys()
        for name, value in evidence.values.items():
            if isinstance(value, np.ndarray):
                assert back.array(name).dtype == value.dtype
                np.testing.assert_array_equal(back.array(name), value)
            else:
                assert back.values[name] == value


def test_a_clip_says_the_same_alone_and_among_others(observer: Observer, shows: list[Show], usual: list[str]) -> None:
    assert usual == [as_json(*observe(observer, show)) for show in shows]
    assert len(set(usual)) == len(shows)


def test_how_a_clip_is_cut_into_runs_changes_nothing(observer: Observer, shows: list[Show], usual: list[str]) -> None:
    assert [as_json(*observe(observer, show, run=run)) for show, run in zip(shows, (1, 5), strict=True)] == usual


def test_another_process_can_crop_for_it_if_it_says_so(
    observer: Observer, tmp_path: Path, shows: list[Show], usual: list[str]
) -> None:
    kind = type(observer)
    weights = formula_weights(observer.name, tmp_path) if observer.needs.weights else None
    cropper = kind.cropper(weights, views_of(kind), observer.modes)
    assert (cropper is not None) == observer.has_cropper
    if cropper is not None:
        assert [as_json(one) for one in observe(observer, *shows, run=3, cropper=cropper)] == usual


def strange_shows(folder: Path) -> dict[str, Show]:
    video = frames_of(folder / "video.mp4", 8, 0)
    boxes = np.tile(np.array([8, 4, 70, 60]), (8, 1))
    sound = tone(8 / 25)[:, 0]
    small = frames_of(folder / "small.mp4", 8, 0, 4, 2)
    return {
        "no-frames": Show((), (), boxes[:0], sound, folder / "video.mp4"),
        "no-generated-frames": Show((), video, boxes, sound, folder / "video.mp4"),
        "no-reference-frames": Show(video, (), boxes[:0], sound, folder / "video.mp4"),
        "one-frame": Show(frames_of(folder / "one.mp4", 1, 0), video, boxes, sound, folder / "one.mp4"),
        "another-size": Show(frames_of(folder / "large.mp4", 8, 0, 160, 96), video, boxes, sound, folder / "large.mp4"),
        "four-pixels-wide": Show(small, small, np.tile(np.array([0, 0, 4, 2]), (8, 1)), sound, folder / "small.mp4"),
        "no-sound": Show(video, video, boxes, None, folder / "video.mp4"),
        "empty-sound": Show(video, video, boxes, sound[:0], folder / "video.mp4"),
        "one-sample": Show(video, video, boxes, sound[:1], folder / "video.mp4"),
        "silence": Show(video, video, boxes, np.zeros_like(sound), folder / "video.mp4"),
        "short-sound": Show(video, video, boxes, sound[: 640 * 6], folder / "video.mp4"),
        "long-sound": Show(video, video, boxes, np.tile(sound, 3), folder / "video.mp4"),
        "full-scale-sound": Show(
            video, video, boxes, np.where(np.arange(len(sound)) % 2, 32767, -32768).astype("i2"), folder / "video.mp4"
        ),
        "box-outside": Show(video, video, boxes + 1000, sound, folder / "video.mp4"),
        "box-without-area": Show(video, video, np.zeros_like(boxes), sound, folder / "video.mp4"),
        "box-over-the-edge": Show(video, video, boxes + np.array([0, 0, 900, 900]), sound, folder / "video.mp4"),
        "too-few-boxes": Show(video, video, boxes[:5], sound, folder / "video.mp4"),
        "no-boxes": Show(video, video, boxes[:0], sound, folder / "video.mp4"),
    }


STRANGE = [
    "no-frames",
    "no-generated-frames",
    "no-reference-frames",
    "one-frame",
    "another-size",
    "four-pixels-wide",
    "no-sound",
    "empty-sound",
    "one-sample",
    "silence",
    "short-sound",
    "long-sound",
    "full-scale-sound",
    "box-outside",
    "box-without-area",
    "box-over-the-edge",
    "too-few-boxes",
    "no-boxes",
]


@pytest.fixture(scope="module")
def strange(folder: Path) -> dict[str, Show]:
    made = strange_shows(folder)
    assert list(made) == STRANGE
    return made


@pytest.mark.parametrize("what", STRANGE)
def test_whatever_a_clip_holds_there_is_evidence_or_a_reason(
    observer: Observer, strange: dict[str, Show], shows: list[Show], usual: list[str], what: str
) -> None:
    outcome, neighbour = observe(observer, strange[what], shows[0])
    if isinstance(outcome, ClipError):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", outcome.code)
        assert outcome.message
        assert "\n" not in outcome.message
    else:
        as_json(outcome)
    assert as_json(neighbour) == usual[0]  # a bad clip spoils no other


def test_without_a_frame_nothing_is_claimed(observer: Observer, strange: dict[str, Show]) -> None:
    (outcome,) = observe(observer, strange["no-frames"])
    assert isinstance(outcome, ClipError)


def test_no_clips_are_no_evidence(observer: Observer) -> None:
    assert observer.compute([]) == []


def test_weights_are_asked_for_and_strange_ones_refused(observer: Observer, folder: Path) -> None:
    if not observer.needs.weights:
        pytest.skip(f"{observer.name} has no weights")
    views = views_of(type(observer))
    with pytest.raises(TlbenchError, match="checkpoint"):
        type(observer).load(None, views, "cpu")
    torch.save({"another.weight": torch.zeros(2)}, folder / "another.pth")
    with pytest.raises(TlbenchError):
        type(observer).load(folder / "another.pth", views, "cpu")

"""Controls put in the fault they are named after, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.boxes_finder_factory import fixed_finder
from tests.factories.media_factory import number_of, picture, tone
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation import controls, read_clip
from tlbench.generation.clip_writer import ClipWriter
from tlbench.generation.controls import (
    CONTROLS,
    Blurred,
    ControlScene,
    FrozenMouth,
    GreyedMouth,
    Shifted,
    Static,
    SwappedAudio,
    control,
)
from tlbench.generation.faults import fault_control
from tlbench.generation.generate_dataset import generate_dataset
from tlbench.generation.generator import GenerateOptions
from tlbench.generation.other_clips import donors
from tlbench.generation.write_controls import control_clips, make_controls, write_controls
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import VideoReader, read_video
from tlbench.media.video_writer import write_video
from tlbench.observing.face_options import FaceOptions

FRAMES, HEIGHT, WIDTH = 8, 48, 64
BOX = (10, 12, 50, 40)
FINDER = fixed_finder(BOX)
WRITTEN = [kind.name for kind in CONTROLS if kind.written]


def scene(**changes: object) -> ControlScene:
    frames = np.stack([picture(number) for number in range(FRAMES)])
    boxes = np.array([[10 + number % 3, 12, 50, 40] for number in range(FRAMES)])
    mouths = tuple(np.full((9, 20, 3), number, np.uint8) for number in range(FRAMES))
    parts: dict[str, object] = {"frames": frames, "samples": tone(FRAMES / 25)[:, 0], "boxes": boxes, "mouths": mouths}
    return ControlScene(**{**parts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    """Three short clips with different tones; the id of one has a folder and a space."""
    made = []
    for number, clip_id in enumerate(["a", "b", "deep er/c"]):
        path = tmp_path / "real" / f"{clip_id}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = np.stack([picture(10 * number + frame) for frame in range(FRAMES)])
        write_video(path, frames, 25, tone(FRAMES / 25, hertz=300 * (number + 1))[:, 0])
        made.append(Clip(clip_id, reference=path))
    return made


@pytest.mark.parametrize("kind", [kind for kind in CONTROLS if not kind.needs_donor], ids=lambda kind: kind.name)
def test_length_size_and_sound_stay_and_the_input_is_not_changed(kind: controls.Control) -> None:
    before = scene()
    made = kind.apply(before)
    assert made.frames.shape == before.frames.shape
    assert made.frames.dtype == np.uint8
    assert made.samples is before.samples
    np.testing.assert_array_equal(before.frames, scene().frames)


def test_a_frozen_mouth_keeps_the_first_frames_lower_half_where_the_box_is_now_and_the_rest_moves() -> None:
    before = scene()
    made = FrozenMouth().apply(before)
    mouth = before.frames[0, 26:40, 10:50]
    np.testing.assert_array_equal(made.frames[3, 26:40, 10:50], mouth)  # a box of the first one's size
    assert not np.array_equal(before.frames[3, 26:40, 10:50], mouth)
    for index, (x1, _, x2, y2) in enumerate(before.boxes.tolist()):  # type: ignore[union-attr]
        outside = np.ones((HEIGHT, WIDTH), bool)
        outside[26:y2, x1:x2] = False
        np.testing.assert_array_equal(made.frames[index][outside], before.frames[index][outside])
    # A narrower box gets the same mouth, resized: its corners stay corners.
    np.testing.assert_allclose(made.frames[1, 26, 11].astype(int), mouth[0, 0].astype(int), atol=8)


def test_a_greyed_mouth_is_grey_in_the_lower_half_of_the_box_only() -> None:
    made = GreyedMouth().apply(scene())
    assert (made.frames[0, 26:40, 10:50] == 128).all()
    np.testing.assert_array_equal(made.frames[0, :26], picture(0)[:26])
    np.testing.assert_array_equal(made.frames[0, 40:], picture(0)[40:])


@pytest.mark.parametrize("kind", [FrozenMouth(), GreyedMouth()], ids=lambda kind: kind.name)
def test_boxes_that_reach_over_the_edge_are_cut_there(kind: controls.Control) -> None:
    boxes = np.tile([-5, 20, WIDTH + 9, HEIGHT + 7], (FRAMES, 1))
    made = kind.apply(scene(boxes=boxes))
    np.testing.assert_array_equal(made.frames[5, :37], picture(5)[:37])
    assert not np.array_equal(made.frames[5, 37:], picture(5)[37:])


def test_a_first_box_outside_the_frame_can_not_be_frozen() -> None:
    with pytest.raises(ClipError, match="no lower half inside the frame") as error:
        FrozenMouth().apply(scene(boxes=np.tile([100, 100, 120, 120], (FRAMES, 1))))
    assert error.value.code == "empty-crop"


def test_static_repeats_the_first_frame() -> None:
    assert [number_of(frame) for frame in Static().apply(scene()).frames] == [0] * FRAMES


@pytest.mark.parametrize(
    ("frames", "shown"),
    [(5, [0, 0, 0, 0, 0, 0, 1, 2]), (1, [0, 0, 1, 2, 3, 4, 5, 6]), (-3, [3, 4, 5, 6, 7, 7, 7, 7])],
)
def test_a_positive_shift_makes_the_picture_late_and_a_negative_one_early(frames: int, shown: list[int]) -> None:
    assert [number_of(frame) for frame in Shifted(frames).apply(scene()).frames] == shown


def test_a_shift_of_the_whole_clip_is_refused() -> None:
    with pytest.raises(ClipError, match="8 frames can't be shifted by -8") as error:
        Shifted(-8).apply(scene())
    assert error.value.code == "too-short"


def test_a_wider_blur_takes_more_detail() -> None:
    detail = [np.abs(np.diff(Blurred(sigma).apply(scene()).frames.astype(int), axis=2)).sum() for sigma in (0.5, 2, 4)]
    assert detail[0] > detail[1] > detail[2] > 0


@pytest.mark.parametrize("length", [100, 320, 5120, 9000])
def test_swapped_speech_is_cut_or_padded_with_silence_to_the_clips_own_length(length: int) -> None:
    donor = np.arange(1, length + 1, dtype=np.int16)
    made = SwappedAudio().apply(scene(donor=donor)).samples
    assert made is not None
    assert len(made) == 5120
    kept = min(length, 5120)
    np.testing.assert_array_equal(made[:kept], donor[:kept])
    assert not made[kept:].any()


def test_a_clip_without_sound_is_given_speech_as_long_as_its_picture() -> None:
    made = SwappedAudio().apply(scene(samples=None, donor=np.ones(99999, np.int16)))
    assert made.samples is not None
    assert len(made.samples) == FRAMES * 640


some_ids = st.lists(st.text("abc/", min_size=1, max_size=4), min_size=2, max_size=30, unique=True)


@given(some_ids, st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_nobody_keeps_their_own_speech_and_everyone_gives_it_once(ids: list[str], seed: int, generator: object) -> None:
    drawn = donors(ids, seed)
    assert set(drawn) == set(drawn.values()) == set(ids)
    assert all(clip_id != donor for clip_id, donor in drawn.items())
    generator.shuffle(ids)  # type: ignore[attr-defined]
    assert donors(ids, seed) == drawn


def test_the_draw_of_a_seed_is_the_same_in_every_python() -> None:
    assert donors(list("abcdef"), 0) == {"a": "f", "b": "c", "c": "a", "d": "b", "e": "d", "f": "e"}
    assert donors(list("abcdef"), 1) != donors(list("abcdef"), 0)


def test_one_clip_alone_has_nobody_to_swap_with() -> None:
    with pytest.raises(TlbenchError, match="select at least two"):
        donors(["a"])


@pytest.mark.parametrize("name", [*(kind.name for kind in CONTROLS), "shifted+3", "shifted-12", "blurred-3.5"])
def test_names_round_trip(name: str) -> None:
    assert control(name).name == name
    assert control(name).description


@pytest.mark.parametrize("name", ["", "blured", "shifted+0", "blurred-0", "blurred-", "static-1", "shifted+5.5"])
def test_unknown_names_are_told_what_there_is(name: str) -> None:
    with pytest.raises(TlbenchError, match=r"no control .*; there are ground-truth, reencoded"):
        control(name)


def test_every_kind_is_written_beside_the_others_under_the_clips_id(clips: list[Clip], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    made = make_controls(
        clips,
        tmp_path / "out",
        ["ground-truth", *WRITTEN],
        FINDER,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps[-1] == (3 * len(WRITTEN), 3 * len(WRITTEN))
    assert steps == sorted(steps)
    assert made == {kind: tmp_path / "out" / kind for kind in WRITTEN}
    for folder in made.values():
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4")) == [
            "a.mp4",
            "b.mp4",
            "deep er/c.mp4",
        ]
        assert all(read_video(folder / f"{clip.id}.mp4").shape == (FRAMES, HEIGHT, WIDTH, 3) for clip in clips)
        assert not list(folder.rglob(".*"))


def test_what_is_written_shows_the_fault_and_keeps_the_sound(clips: list[Clip], tmp_path: Path) -> None:
    made = make_controls(clips, tmp_path, ["reencoded", "static", "shifted+2"], FINDER)
    shown = {kind: [number_of(frame) for frame in read_video(folder / "b.mp4")] for kind, folder in made.items()}
    assert shown == {
        "reencoded": list(range(10, 18)),
        "static": [10] * 8,
        "shifted+2": [10, 10, *range(10, 16)],
    }
    own = read_audio(clips[1].reference)  # type: ignore[arg-type]
    for folder in made.values():
        sound = read_audio(folder / "b.mp4")[: len(own)].astype(float)
        assert np.corrcoef(sound, own[: len(sound)])[0, 1] > 0.95


def test_swapped_audio_is_the_donors_and_the_note_says_whose(clips: list[Clip], tmp_path: Path) -> None:
    folder = make_controls(clips, tmp_path, ["swapped-audio"], FINDER, seed=3)["swapped-audio"]
    note = json.loads((folder / "generation.json").read_text())
    assert note["seed"] == 3
    assert note["donors"] == donors(["a", "b", "deep er/c"], 3)
    hertz = {}
    for clip in clips:
        samples = read_audio(folder / f"{clip.id}.mp4").astype(float)
        hertz[clip.id] = np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples)
    tones = {clip.id: 300 * (number + 1) for number, clip in enumerate(clips)}
    assert {clip_id: tones[donor] for clip_id, donor in note["donors"].items()} == pytest.approx(hertz, abs=5)


def test_an_interrupted_run_goes_on_with_what_is_missing(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ["reencoded", "static"]
    make_controls(clips, tmp_path, kinds, FINDER)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*.mp4")}
    (tmp_path / "static" / "b.mp4").unlink()
    decoded: list[Path] = []

    def counted(path: Path, kept_bytes: int) -> VideoReader:
        decoded.append(path)
        return VideoReader(path, kept_bytes)

    monkeypatch.setattr(read_clip, "VideoReader", counted)
    make_controls(clips, tmp_path, kinds)
    make_controls(clips[:1], tmp_path / "others", WRITTEN[:5], FINDER)
    assert decoded == [clips[1].reference, clips[0].reference]
    assert {path: path.read_bytes() for path in whole} == whole


def test_a_folder_made_in_another_way_is_not_continued(clips: list[Clip], tmp_path: Path) -> None:
    make_controls(clips, tmp_path, ["swapped-audio"], seed=0)
    with pytest.raises(TlbenchError, match="seed, donors differ"):
        make_controls(clips, tmp_path, ["swapped-audio"], seed=1)


def test_controls_of_other_boxes_are_not_continued_where_boxes_decide(clips: list[Clip], tmp_path: Path) -> None:
    kinds, other = ["greyed-mouth", "static"], fixed_finder((0, 0, 30, 30))
    make_controls(clips, tmp_path, kinds, FINDER)
    make_controls(clips, tmp_path, ["static"], other)  # boxes decide nothing in it
    with pytest.raises(TlbenchError, match="videos with face boxes by fixed:10,12,50,40, now"):
        make_controls(clips, tmp_path, kinds, other)


def test_given_boxes_of_a_clip_must_be_the_same_and_other_clips_may_be_added(clips: list[Clip], tmp_path: Path) -> None:
    def given(number: int, level: int) -> Clip:
        path = tmp_path / f"{number} {level}.npy"
        np.save(path, np.tile([10, 12, 50, level], (FRAMES, 1)))
        return replace(clips[number], boxes=path)

    def make(*some: Clip) -> None:
        make_controls(some, tmp_path / "out", ["greyed-mouth"], FINDER)

    make(given(0, 40))
    make(given(0, 40), given(1, 30))
    make(given(0, 40))
    log = json.loads((tmp_path / "out" / "greyed-mouth" / "generation.json").read_text())
    assert [of_clip["boxes"][:6] for of_clip in log["clips"].values()] == ["given:", "given:"]
    for other in (given(0, 30), clips[0]):
        with pytest.raises(TlbenchError, match="clip a was generated with other face boxes"):
            make(other)


def test_controls_that_do_not_say_which_files_they_are_of_are_refused_and_kept(
    clips: list[Clip], tmp_path: Path
) -> None:
    """Folders of before had a note of their own in place of the log of all generators."""
    folder = tmp_path / "static"
    folder.mkdir()
    for name in ("control.json", "a.mp4"):
        (folder / name).write_text("of before")
    with pytest.raises(TlbenchError, match="says that an older tlbench wrote these controls"):
        make_controls(clips, tmp_path, ["static"])
    assert sorted(path.name for path in folder.iterdir()) == ["a.mp4", "control.json"]


def test_runs_side_by_side_have_logs_of_their_own_and_know_each_others(clips: list[Clip], tmp_path: Path) -> None:
    made = tmp_path / "swapped-audio"
    for part, only in (("1-of-2", {"a"}), ("2-of-2", {"b", "deep er/c"})):
        make_controls(clips, tmp_path, ["swapped-audio"], only=only, part=part)
    logs = {path.name: set(json.loads(path.read_text())["clips"]) for path in made.glob("*.json")}
    assert logs == {"generation-1-of-2.json": {"a"}, "generation-2-of-2.json": {"b", "deep er/c"}}
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.mp4")}
    assert len(before) == 3
    make_controls(clips, tmp_path, ["swapped-audio"])
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*.mp4")} == before


def test_video_only_controls_work_on_a_clip_without_sound(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", scene().frames)
    make_controls([Clip("mute", tmp_path / "mute.mp4")], tmp_path / "out", ["static"], FINDER)
    assert len(read_video(tmp_path / "out/static/mute.mp4")) == FRAMES
    with pytest.raises(ClipError) as error:
        read_audio(tmp_path / "out/static/mute.mp4")
    assert error.value.code == "no-audio"


def test_a_clip_that_fails_is_told_and_the_others_are_made(clips: list[Clip], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("not a video")
    broken = [Clip("broken", tmp_path / "broken.mp4"), Clip("no reference")]
    failed: list[tuple[str, str, str]] = []
    folder = make_controls(
        [*broken, *clips],
        tmp_path / "out",
        ["static"],
        FINDER,
        on_failure=lambda clip_id, kind, error: failed.append((clip_id, kind, error.code)),
    )["static"]
    assert failed == [("broken", "static", "unreadable"), ("no reference", "static", "missing")]
    assert [clip.generated is not None for clip in control_clips([*broken, *clips], "static", folder)] == [
        False
    ] * 2 + [True] * 3


def test_without_anyone_to_tell_the_first_failure_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="there is no reference video"):
        make_controls([Clip("a")], tmp_path, ["static"], FINDER)


@pytest.mark.parametrize(("rows", "code"), [(FRAMES - 1, "boxes-too-short"), (FRAMES + 1, "bad-boxes")])
def test_boxes_of_another_length_are_a_failure_of_the_kinds_that_need_them(
    clips: list[Clip], tmp_path: Path, rows: int, code: str
) -> None:
    np.save(tmp_path / "a.npy", np.tile(BOX, (rows, 1)))
    failed: list[tuple[str, str]] = []
    make_controls(
        [replace(clips[0], boxes=tmp_path / "a.npy")],
        tmp_path,
        ["static", "greyed-mouth"],
        FINDER,
        on_failure=lambda clip_id, kind, error: failed.append((kind, error.code)),
    )
    assert failed == [("greyed-mouth", code)]


def test_boxes_are_asked_for_only_where_a_kind_needs_them(clips: list[Clip], tmp_path: Path) -> None:
    make_controls(clips, tmp_path, ["static"], None)
    log = json.loads((tmp_path / "static" / "generation.json").read_text())
    assert log["boxes"] == "none"


def test_ground_truth_is_the_reference_file_itself(clips: list[Clip], tmp_path: Path) -> None:
    assert make_controls(clips, tmp_path / "out", ["ground-truth"], FINDER) == {}
    assert not (tmp_path / "out").exists()
    assert [clip.generated for clip in control_clips(clips, "ground-truth", None)] == [clip.reference for clip in clips]


def test_a_folder_that_can_not_be_made_is_one_line(clips: list[Clip], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(TlbenchError, match="can't be written to"):
        make_controls(clips, tmp_path / "taken", ["static"], FINDER)


@pytest.mark.parametrize("kind", ["frozen-mouth", "swapped-audio", "nearest-mouth", "shifted+2"])
def test_a_control_is_written_and_continued_by_generate_too(clips: list[Clip], tmp_path: Path, kind: str) -> None:
    data = DataOptions("folder", tmp_path / "real")
    written, failures = write_controls(tmp_path / "controls", data, FaceOptions("haar"), kinds=[kind], seed=2)
    assert (list(written), failures) == ([kind], [])
    options = GenerateOptions(seed=2)
    made = [
        generate_dataset(kind, out, data, FaceOptions("haar"), options)
        for out in (written[kind], tmp_path / "generated")
    ]
    assert [(done.written, done.kept, done.frames) for done in made] == [(0, 3, 0), (3, 0, 3 * FRAMES)]
    assert made[1].failures == {}
    for name in ("generation.json", *(f"{clip.id}.mp4" for clip in clips)):
        assert (tmp_path / "generated" / name).read_bytes() == (written[kind] / name).read_bytes(), name
    log = json.loads((written[kind] / "generation.json").read_text())
    assert log["generator"] == {"name": kind, "version": 1}
    assert ("donors" in log, "gallery" in log) == (kind == "swapped-audio", kind == "nearest-mouth")


@pytest.mark.parametrize("kind", ["other-words-1", "other-speaker-0.5", "identity-swap-1"])
def test_a_face_that_takes_a_clips_place_is_found_as_in_calibration(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    told = [
        replace(clip, speaker="b" if clip.id == "b" else "a", transcript=f"word {clip.id}")
        for clip in (*clips, replace(clips[0], id="again"))
    ]
    monkeypatch.setattr("tlbench.generation.other_clips.envelope", lambda samples: np.arange(FRAMES) * 0.1)
    found = fault_control(kind)
    assert found is not None
    done = ClipWriter(found, GenerateOptions(), FINDER).write_folder(told, tmp_path / "out", {})
    stand_ins = json.loads((tmp_path / "out" / "generation.json").read_text())["stand_ins"]
    speakers = {clip.id: clip.speaker for clip in told}
    assert {speakers[name] == speakers[other] for name, other in stand_ins.items()} == {kind == "other-words-1"}
    assert (set(done.failures), done.written) == (({"b"}, 3) if kind == "other-words-1" else (set(), 4))


def test_without_speakers_there_is_no_face_to_take_a_clips_place(clips: list[Clip], tmp_path: Path) -> None:
    found = fault_control("other-words-1")
    assert found is not None
    with pytest.raises(TlbenchError, match="no clip has another one of same speaker with another text"):
        ClipWriter(found, GenerateOptions(), FINDER).write_folder(clips, tmp_path / "out", {})

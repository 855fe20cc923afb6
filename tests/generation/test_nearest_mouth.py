"""Mouths are taken from where the same is spoken, by a rule that leaves nothing to chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.factories.boxes_finder_factory import fixed_finder
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.nearest_mouth import MouthIndex, in_context
from tlbench.generation.write_controls import make_controls
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video

FRAMES, SIDE = 12, 64
BOX = [8, 8, 56, 56]
NOTES = {"low-then-high": (300, 1200), "high-then-low": (1200, 300), "low": (300, 300), "high": (1200, 1200)}
COLOURS = {name: 40 + 50 * number for number, name in enumerate(NOTES)}


def boxes_of(clip: Clip) -> np.ndarray:
    return np.tile(BOX, (FRAMES, 1))


def write(path: Path, name: str, *, sound: bool = True) -> Path:
    """A grey video whose sound is one note, then another; its level of grey tells which clip it is."""
    time = np.arange(FRAMES * 640) / 16000
    first, second = (np.sin(2 * np.pi * hertz * time) for hertz in NOTES[name])
    samples = (8000 * np.where(time < FRAMES / 50, first, second)).astype(np.int16)
    frames = np.full((FRAMES, SIDE, SIDE, 3), COLOURS[name], np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, samples=samples if sound else None, crf=5)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("real")
    return [Clip(name, write(folder / f"{name}.mp4", name)) for name in NOTES]


def sound(clip: Clip) -> np.ndarray:
    assert clip.reference is not None
    return read_audio(clip.reference)


def test_each_frame_takes_the_mouth_of_the_clip_that_sounds_like_it(clips: list[Clip]) -> None:
    chosen = [other for other, _ in MouthIndex(clips, boxes_of).nearest(clips[0], sound(clips[0]), FRAMES)]
    # Away from the ends and from where the note changes, where neighbours count too.
    assert set(chosen[2:4]) <= {"low", "high-then-low"}
    assert set(chosen[8:10]) <= {"high", "high-then-low"}
    assert "low-then-high" not in chosen


def test_the_choice_depends_on_the_set_of_clips_only(clips: list[Clip]) -> None:
    forward = MouthIndex(clips, boxes_of).nearest(clips[1], sound(clips[1]), FRAMES)
    backward = MouthIndex(clips[::-1], boxes_of)
    backward.nearest(clips[2], sound(clips[2]), FRAMES)
    assert backward.nearest(clips[1], sound(clips[1]), FRAMES) == forward


def test_the_same_speaker_goes_before_a_better_match(clips: list[Clip]) -> None:
    told = [Clip(clip.id, clip.reference, speaker="a" if clip.id in ("low", "high") else "b") for clip in clips]
    chosen = {other for other, _ in MouthIndex(told, boxes_of).nearest(told[2], sound(told[2]), FRAMES)}
    assert chosen == {"high"}
    alone = [Clip(clip.id, clip.reference, speaker=clip.id) for clip in clips]
    chosen = {other for other, _ in MouthIndex(alone, boxes_of).nearest(alone[2], sound(alone[2]), FRAMES)}
    assert "low" not in chosen
    assert chosen <= set(NOTES)


def test_the_control_shows_the_chosen_mouths_and_leaves_the_rest(tmp_path: Path, clips: list[Clip]) -> None:
    pair = [clips[2], clips[3]]
    folder = make_controls(pair, tmp_path, ["nearest-mouth"], fixed_finder(BOX))["nearest-mouth"]
    made = read_video(folder / "low.mp4").astype(int)
    assert made.shape == (FRAMES, SIDE, SIDE, 3)
    np.testing.assert_allclose(made[:, 40:48, 24:40], COLOURS["high"], atol=6)
    np.testing.assert_allclose(made[:, 0:26], COLOURS["low"], atol=6)
    assert json.loads((folder / "generation.json").read_text("utf-8"))["gallery"] == ["high", "low"]
    with pytest.raises(TlbenchError, match="gallery differ"):
        make_controls([clips[2], clips[0]], tmp_path, ["nearest-mouth"], fixed_finder(BOX))


def test_a_clip_without_sound_is_a_failure_and_gives_no_mouths(tmp_path: Path, clips: list[Clip]) -> None:
    mute = Clip("mute", write(tmp_path / "mute.mp4", "low", sound=False))
    failed: list[tuple[str, str]] = []
    make_controls(
        [clips[2], mute],
        tmp_path / "out",
        ["nearest-mouth"],
        fixed_finder(BOX),
        on_failure=lambda clip_id, kind, error: failed.append((clip_id, error.code)),
    )
    assert failed == [("low", "no-neighbour"), ("mute", "no-audio")]


def test_too_few_boxes_of_a_chosen_clip_are_said(clips: list[Clip]) -> None:
    mouth_index = MouthIndex(clips[2:], lambda clip: boxes_of(clip)[:5])
    with pytest.raises(ClipError, match="5 boxes for 12 frames"):
        mouth_index.mouths(clips[2], sound(clips[2]), FRAMES)


def test_one_clip_alone_is_refused(clips: list[Clip]) -> None:
    with pytest.raises(TlbenchError, match="at least two"):
        MouthIndex(clips[:1], boxes_of)


def test_context_is_two_frames_on_each_side() -> None:
    rows = np.arange(5, dtype=np.float32)[:, None]
    assert in_context(rows)[0].tolist() == [0, 0, 0, 1, 2]
    assert in_context(rows)[3].tolist() == [1, 2, 3, 4, 4]

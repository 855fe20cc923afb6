"""A drive: what is written for a data set, and what is refused when it is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.factories.media_factory import tone, write_clip
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import TlbenchError
from tlbench.generation.drive import DRIVE_NAME, KINDS, DriveOptions, driven_clips, read_drive
from tlbench.generation.make_drive import choose_donors, make_drive
from tlbench.media.audio import read_audio

FRAMES = {"a": 20, "b": 24, "c": 30}


def write_sources(root: Path) -> Path:
    for number, (name, frames) in enumerate(FRAMES.items()):
        sound = tone(frames / 25, hertz=200 + 100 * number)
        root.mkdir(exist_ok=True)
        write_clip(root / f"{name}.mp4", frames=frames, audio_codec="aac", samples=sound)
        (root / f"{name}.txt").write_text(f"said by {name}\n")
    return root


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources") / "real")


@pytest.fixture(scope="module")
def made(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "D"
    make_drive(folder, DataOptions("folder", sources), seed=3)
    return folder


def test_each_clip_has_silence_another_clips_speech_and_its_own(made: Path, sources: Path) -> None:
    drive = read_drive(made)
    assert drive.clips == ("a", "b", "c")
    for kind in KINDS:
        for name, item in drive.of_kind(kind).items():
            samples = read_audio(drive.sound_path(item))
            assert len(samples) == FRAMES[name] * 640
            assert (np.abs(samples).max() == 0) == (kind == "silent")
    for name, item in drive.of_kind("matched").items():
        own = read_audio(sources / f"{name}.mp4")[: FRAMES[name] * 640]
        np.testing.assert_array_equal(read_audio(drive.sound_path(item))[: len(own)], own)
    donors = {name: item.donor for name, item in drive.of_kind("mismatched").items()}
    assert all(donor not in (None, name) for name, donor in donors.items())
    assert donors["b"] == "a"  # the other one is longer than its video
    assert donors["a"] == "b"  # none fits: the one of which least is cut off
    assert drive.of_kind("mismatched")["a"].cut_seconds == pytest.approx(4 / 25, abs=0.1)


def test_the_same_seed_gives_the_same_file_and_the_order_of_clips_does_not_matter(
    made: Path, sources: Path, tmp_path: Path
) -> None:
    make_drive(tmp_path / "again", DataOptions("folder", sources), seed=3)
    assert (tmp_path / "again" / DRIVE_NAME).read_bytes() == (made / DRIVE_NAME).read_bytes()
    clips = [Clip(str(n), transcript=f"text {n}") for n in range(9)]
    lengths, rooms = {clip.id: 100 for clip in clips}, {clip.id: 100 for clip in clips}
    donors = choose_donors(clips, lengths, rooms, 1)
    assert donors == choose_donors(clips[::-1], lengths, rooms, 1)
    assert donors != choose_donors(clips, lengths, rooms, 2)


@pytest.mark.parametrize(
    ("change", "seed", "message"),
    [
        (lambda _: None, 4, "the seed is 3 there and 4 here"),
        (lambda real: (real / "c.mp4").unlink(), 3, "the number of clips is 3 there and 2 here"),
        (lambda real: shutil.copy(real / "a.mp4", real / "c.mp4"), 3, "its videos or transcripts are others"),
    ],
    ids=["seed", "clips", "videos"],
)
def test_a_drive_that_videos_may_have_been_generated_for_is_not_replaced(
    made: Path, sources: Path, tmp_path: Path, change: Callable[[Path], object], seed: int, message: str
) -> None:
    real, folder = (shutil.copytree(path, tmp_path / path.name) for path in (sources, made))
    change(real)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(TlbenchError, match=f"has another drive.*{message}; choose another --out") as caught:
        make_drive(folder, DataOptions("folder", real), seed=seed)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


@pytest.mark.parametrize("name", [DRIVE_NAME, "sound/silent/a.wav"])
def test_a_damaged_drive_is_made_again(made: Path, sources: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(made, tmp_path / "D")
    (folder / name).write_bytes(b"{")
    make_drive(folder, DataOptions("folder", sources), seed=3)
    assert (folder / name).read_bytes() == (made / name).read_bytes()


def test_names_with_decomposed_letters_are_found_again(sources: Path, tmp_path: Path) -> None:
    """As some file systems and archives write them: a letter and its accent as two characters."""
    real = shutil.copytree(sources, tmp_path / "real")
    for path in list(real.glob("a.*")):
        path.rename(path.with_stem("e\u0301"))
    data = DataOptions("folder", real)
    make_drive(tmp_path / "D", data)
    make_drive(tmp_path / "D", data)
    drive, selection = DriveOptions(tmp_path / "D", real).load()
    assert {clip.id for clip in selection.clips} == {"b", "c", "\u00e9"}
    assert [clip.id for clip in driven_clips(drive, selection.clips, "silent")] == list(drive.clips)


def test_a_donor_says_something_else() -> None:
    clips = [Clip("a", transcript="Bin blue"), Clip("b", transcript="bin  BLUE"), Clip("c", transcript="set red")]
    same = {clip.id: 100 for clip in clips}
    for seed in range(20):
        donors = choose_donors(clips, same, same, seed)
        assert donors["a"] == donors["b"] == "c"
    with pytest.raises(TlbenchError, match="clip a: there is no other clip with another transcript"):
        choose_donors(clips[:2], same, same, 0)


def test_the_sources_are_found_again_with_the_sound_of_each_kind(made: Path, sources: Path) -> None:
    drive, selection = DriveOptions(made / DRIVE_NAME, sources).load()
    assert [clip.id for clip in selection.clips] == ["a", "b", "c"]
    assert selection.drive == drive.sha256
    assert [clip.audio for clip in driven_clips(drive, selection.clips, "silent")] == [
        made / "sound" / "silent" / f"{name}.wav" for name in "abc"
    ]


@pytest.mark.parametrize(
    ("audio", "said"), [(None, "no sound that can be read"), (np.zeros((16000, 1), "i2"), "0.00 s of its sound")]
)
def test_a_source_without_sound_is_refused(tmp_path: Path, audio: np.ndarray | None, said: str) -> None:
    root = write_sources(tmp_path / "real")
    write_clip(root / "b.mp4", frames=25, audio_codec=None if audio is None else "aac", samples=audio)
    with pytest.raises(TlbenchError, match=rf"clip b can't drive a generator.*{said}.*--subset") as error:
        make_drive(tmp_path / "D", DataOptions("folder", root))
    assert "\n" not in str(error.value)


def test_a_folder_without_its_file_is_no_drive(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"is no drive, it has no drive\.json; make one with"):
        read_drive(tmp_path)
    with pytest.raises(TlbenchError, match="there is no such file; make one with"):
        read_drive(tmp_path / DRIVE_NAME)


def test_other_files_than_its_hashes_are_refused(made: Path, sources: Path, tmp_path: Path) -> None:
    copy, root = tmp_path / "D", tmp_path / "real"
    shutil.copytree(made, copy)
    shutil.copytree(sources, root)
    write_clip(root / "b.mp4", frames=FRAMES["b"], audio_codec="aac", samples=tone(1.0))
    with pytest.raises(TlbenchError, match=r"clip b: .*b\.mp4 is another video than the drive was made from"):
        DriveOptions(copy, root).load()
    (root / "b.mp4").unlink()
    with pytest.raises(TlbenchError, match="the drive's clip b is not in folder, split"):
        DriveOptions(copy, root).load()
    sound = copy / "sound" / "silent" / "c.wav"
    sound.write_bytes(sound.read_bytes()[:-2] + b"xx")
    with pytest.raises(TlbenchError, match=r"c\.wav: is another sound than drive\.json says"):
        read_drive(copy)
    sound.unlink()
    with pytest.raises(TlbenchError, match=r"c\.wav: the drive's sound can't be read \(No such file"):
        read_drive(copy)


def _drop(items: list[dict[str, Any]]) -> None:
    items.pop()


def _twice(items: list[dict[str, Any]]) -> None:
    items.append(items[0])


def _set(name: str, value: object) -> Callable[[list[dict[str, Any]]], None]:
    def change(items: list[dict[str, Any]]) -> None:
        items[0][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_drop, "clip c has no matched item"),
        (_twice, "clip a has two silent items"),
        (_set("kind", "loud"), "kind 'loud' is none of silent, mismatched, matched"),
        (_set("donor", "b"), "the silent item of clip a has the donor 'b'"),
        (_set("sound", "../x.wav"), "sound '../x.wav' must be a relative name"),
        (_set("sound", "other.wav"), "sound 'other.wav' has no SHA-256"),
        (_set("sound", "sound/matched/a.wav"), "the silent item of clip a has the sound 'sound/matched/a.wav'"),
        (_set("video", "b.mp4"), "clip a has two videos, 'b.mp4' and 'a.mp4'"),
        (_set("clip", 3), "clip must be a text, got 3"),
        (_set("cut_seconds", -1), "cut_seconds -1 is negative"),
        (lambda items: items[0].pop("video"), "it lacks 'video'"),
        (lambda items: items.clear(), "it has no items"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(
    made: Path, tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], said: str
) -> None:
    data = json.loads((made / DRIVE_NAME).read_text("utf-8"))
    change(data["items"])
    path = tmp_path / DRIVE_NAME
    path.write_text(json.dumps(data))
    with pytest.raises(TlbenchError) as error:
        read_drive(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a drive ("),
        ("[]", "must be an object"),
        ('{"schema": "tlbench.drive/9"}', "schema 'tlbench.drive/9', this tlbench reads 'tlbench.drive/1'"),
        ('{"schema": "tlbench.drive/1", "videos": {"a": "x"}, "sounds": {}}', "videos: 'x' is no SHA-256"),
        ('{"schema": NaN}', "NaN is not JSON"),
    ],
)
def test_what_is_no_drive_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / DRIVE_NAME).write_text(text)
    with pytest.raises(TlbenchError) as error:
        read_drive(tmp_path)
    assert said in str(error.value)

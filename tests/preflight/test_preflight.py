"""Each kind of finding, on real files made on the spot; and what a report promises to programs and to people."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

import tlbench.preflight.check as preflight
from tests.factories.media_factory import tone, turn_by_header, write_clip, write_sound
from tests.trouble.stream_damage import Loss, overwritten
from tlbench.checking import check
from tlbench.datasets.clip import Clip
from tlbench.datasets.lrw import LRW_WORDS
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError, one_line
from tlbench.media.audio import read_audio
from tlbench.preflight.check import CheckReport, check_selection
from tlbench.preflight.clip import check_clip
from tlbench.preflight.findings import CATALOGUE, LEVELS, Finding, finding, of_failure
from tlbench.preflight.headers import Expected
from tlbench.preflight.sound import SAME_SPEECH, likeness, loudness, measure_sound, silence_frames
from tlbench.preflight.texts import ALPHABET, check_texts

FRAMES = 50
CLIPS = ("a", "b", "c")
SEEDS = {"a": 1, "b": 2, "c": 3}


def speech(seed: int, seconds: float = FRAMES / 25, rate: int = 16000) -> np.ndarray:
    """(N, 1) int16: noise below 2 kHz in syllables of 80 ms with random loudness, so that no lag but 0 fits."""
    random = np.random.default_rng(seed)
    levels = random.choice([0.02, 0.1, 0.4, 1.0], size=int(seconds / 0.08) + 1)
    levels[0] = 1.0
    hops = np.repeat(levels, round(0.08 * rate))[: round(seconds * rate)]
    times = np.arange(len(hops)) * 4000 / rate
    noise = np.interp(times, np.arange(int(seconds * 4000) + 1), random.standard_normal(int(seconds * 4000) + 1))
    return (6000 * hops * noise).clip(-32000, 32000).astype(np.int16)[:, None]


def quality(level: int) -> dict[str, str]:
    return {"crf": str(level), "preset": "ultrafast"}


def write(path: Path, seed: int, level: int, **changes: object) -> Path:
    """A healthy clip of `FRAMES` frames with sound, but for ``changes``. Another ``level`` gives other bytes."""
    settings: dict[str, object] = {
        "frames": FRAMES,
        "codec_options": quality(level),
        "audio_codec": "aac",
        "samples": speech(seed),
        **changes,
    }
    return write_clip(path, **settings)


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real clips with transcripts in ``real``, and what a careful generator made of them in ``made``."""
    folder = tmp_path_factory.mktemp("healthy")
    (folder / "real").mkdir()
    (folder / "made").mkdir()
    for number, name in enumerate(CLIPS):
        write(folder / "real" / f"{name}.mp4", SEEDS[name], 18 + number)
        (folder / "real" / f"{name}.txt").write_text("Text:  WHAT'S SAID AT NINE\n")
        write(folder / "made" / f"{name}.mp4", SEEDS[name], 28 + number)
    return folder


class World:
    """A copy of the healthy clips that a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.real, self.made = folder, folder / "real", folder / "made"
        self.options: dict[str, object] = {}
        self.dataset = "folder"

    def remake(self, name: str = "a", **changes: object) -> Path:
        """Write one generated clip again, with changes."""
        return write(self.made / f"{name}.mp4", SEEDS[name], 28 + CLIPS.index(name), **changes)

    def manifest(self, *rows: dict[str, str]) -> None:
        path = self.folder / "clips.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.options["manifest"] = path

    def check(self) -> CheckReport:
        return check(self.made, self.dataset, self.real, workers=1, **self.options)


@pytest.fixture
def world(healthy: Path, tmp_path: Path) -> World:
    shutil.copytree(healthy, tmp_path / "world")
    return World(tmp_path / "world")


def codes(report: CheckReport) -> set[str]:
    return {found.code for found in report.findings}


SPOILERS: dict[str, Callable[[World], set[str] | None]] = {}


def spoils(code: str) -> Callable[[Callable[[World], set[str] | None]], Callable[[World], set[str] | None]]:
    """Registers how a code comes about; the function returns further codes that come with it, if any."""

    def register(spoil: Callable[[World], set[str] | None]) -> Callable[[World], set[str] | None]:
        SPOILERS[code] = spoil
        return spoil

    return register


# The folder


@spoils("no-videos")
def _(world: World) -> set[str]:
    (world.made / "a.mp4").unlink()
    world.options["limit"] = 1  # b and c are there, but not asked for
    return set()


@spoils("wrong-folder")
def _(world: World) -> None:
    for number in range(40):
        shutil.copy(world.made / "a.mp4", world.made / f"result_{number}.mp4")
    (world.made / "b.mp4").unlink()
    (world.made / "c.mp4").unlink()


@spoils("missing")
def _(world: World) -> None:
    (world.made / "b.mp4").unlink()


@spoils("extra")
def _(world: World) -> None:
    shutil.copy(world.made / "a.mp4", world.made / "preview.mp4")


@spoils("duplicate")
def _(world: World) -> set[str]:
    shutil.copy(world.made / "a.mp4", world.made / "b.mp4")
    return {"other-audio"}


@spoils("duplicate-pictures")
def _(world: World) -> None:
    world.remake("b", codec_options=quality(28))  # what a is encoded with


@spoils("long-video")
def _(world: World) -> set[str]:
    world.remake(frames=62, frames_per_second=1, samples=speech(1))
    return {"frame-rate", "frame-count", "audio-video-length"}


@spoils("split-size")
def _(world: World) -> set[str]:
    return lrw(world, 256, 29)


@spoils("dataset-note")
def _(world: World) -> set[str]:
    outside = world.folder.parent / "elsewhere"
    world.real.rename(outside)
    world.real = outside
    world.manifest(*({"id": name, "reference": f"../elsewhere/{name}.mp4", "transcript": "YES"} for name in CLIPS))
    return set()


# The generated file


@spoils("unreadable")
def _(world: World) -> None:
    (world.made / "a.mp4").write_text("this is text, whatever its name says\n")


@spoils("empty-file")
def _(world: World) -> None:
    (world.made / "a.mp4").write_bytes(b"")


@spoils("no-video")
def _(world: World) -> None:
    write_sound(world.made / "a.mp4", speech(1), codec="aac")


@spoils("no-frames")
def _(world: World) -> set[str]:
    path = world.remake(audio_codec=None, container_options={"movflags": "faststart"})
    overwrite(path, 0.0, 1.0)
    return {"no-audio"}


@spoils("truncated")
def _(world: World) -> None:
    path = world.made / "a.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@spoils("size-changes")
def _(world: World) -> set[str]:
    (world.made / "a.mp4").unlink()
    parts = [
        write_clip(world.folder / f"{width}.ts", codec="mpeg2video", frames=25, width=width, codec_options={})
        for width in (64, 96)
    ]
    (world.made / "a.mpg").write_bytes(b"".join(part.read_bytes() for part in parts))
    return {"variable-frame-rate", "frame-count", "few-frames", "frame-rate", "no-audio"}


@spoils("timestamps")
def _(world: World) -> set[str]:
    world.remake(timestamps_ms=[40 * i + (100_000 if i > 25 else 0) for i in range(FRAMES)])
    return {"audio-video-length", "long-video"}


@spoils("damaged")
def _(world: World) -> set[str]:
    path = world.remake(audio_codec=None, container_options={"movflags": "faststart"})
    overwrite(path, 0.6, 0.7)
    return {"no-audio"}


@spoils("pictures-missing")
def _(world: World) -> set[str]:
    """A header that announces three pictures more than there are, as Matroska's tag does."""
    (world.made / "a.mp4").unlink()
    path = write(world.made / "a.mkv", SEEDS["a"], 28)
    path.write_bytes(path.read_bytes().replace(b"00:00:02.000000000", b"00:00:02.120000000"))
    return set()


@spoils("same-file")
def _(world: World) -> None:
    (world.made / "a.mp4").unlink()
    (world.made / "a.mp4").symlink_to(world.real / "a.mp4")


@spoils("identical")
def _(world: World) -> None:
    shutil.copy(world.real / "a.mp4", world.made / "a.mp4")


@spoils("ground-truth-as-system")
def _(world: World) -> None:
    for name in CLIPS:
        shutil.copy(world.real / f"{name}.mp4", world.made / f"{name}.mp4")


@spoils("identical-pictures")
def _(world: World) -> None:
    world.remake(codec_options=quality(18), codec="libx264", samples=speech(1) // 2)


# Frames


@spoils("single-frame")
def _(world: World) -> set[str]:
    world.remake(frames=1)
    return {"audio-video-length"}


@spoils("few-frames")
def _(world: World) -> set[str]:
    world.remake(frames=FRAMES // 2)
    return {"audio-video-length"}


@spoils("frame-count")
def _(world: World) -> None:
    world.remake(frames=FRAMES - 2)


@spoils("frame-rate")
def _(world: World) -> None:
    world.remake(frames=60, frames_per_second=30)


@spoils("variable-frame-rate")
def _(world: World) -> None:
    world.remake(timestamps_ms=[40 * i + (30 if i % 2 and i < 45 else 0) for i in range(FRAMES)])


@spoils("frame-size")
def _(world: World) -> None:
    world.remake(width=96, height=96)


@spoils("rescaled")
def _(world: World) -> None:
    world.remake(width=128, height=96)


@spoils("rotated")
def _(world: World) -> set[str]:
    turn_by_header(world.made / "a.mp4", 90)
    return {"frame-size"}


@spoils("large-frame")
def _(world: World) -> set[str]:
    world.remake(frames=2, width=2048, height=1152)
    return {"frame-size", "few-frames", "audio-video-length"}


# Sound


@spoils("no-audio")
def _(world: World) -> None:
    world.remake(audio_codec=None)


@spoils("sound-lost")
def _(world: World) -> set[str]:
    whole = write(world.folder / "whole.mp4", SEEDS["a"], 28, container_options={"movflags": "faststart"})
    overwritten(whole, world.made / "a.mp4", Loss("middle", "sound", 0.5), random.Random(1))
    return {"audio-video-length", "audio-length", "other-audio", "audio-lag"}


@spoils("sound-missing")
def _(world: World) -> set[str]:
    whole = write(world.folder / "whole.mp4", SEEDS["a"], 28, container_options={"movflags": "faststart"})
    overwritten(whole, world.made / "a.mp4", Loss("middle", "sound", 0.01), random.Random(1))
    return {"audio-video-length", "audio-length", "other-audio", "audio-lag"}


@spoils("silent-audio")
def _(world: World) -> None:
    world.remake(samples=np.zeros((32000, 1), np.int16))


@spoils("short-clip")
def _(world: World) -> None:
    write(world.real / "a.mp4", SEEDS["a"], 18, frames=20, samples=speech(1, 0.8))
    world.remake(frames=20, samples=speech(1, 0.8))


@spoils("audio-format")
def _(world: World) -> None:
    world.remake(sample_rate=44100, channels=2, samples=np.repeat(speech(1, rate=44100), 2, axis=1))


@spoils("audio-start")
def _(world: World) -> None:
    world.remake(audio_start_seconds=0.2)


@spoils("audio-video-length")
def _(world: World) -> set[str]:
    world.remake(samples=speech(1)[: 16000 + 8000])
    return {"audio-length"}


@spoils("audio-length")
def _(world: World) -> set[str]:
    write(world.real / "a.mp4", 1, 18, frames=70, samples=np.concatenate([speech(1), speech(9, 0.8)]))
    return {"few-frames"}


@spoils("leading-silence")
def _(world: World) -> None:
    world.remake(samples=np.concatenate([np.zeros((5600, 1), np.int16), speech(1)])[:32000])


@spoils("audio-lag")
def _(world: World) -> None:
    noise = (np.random.default_rng(5).standard_normal((1280, 1)) * 1500).astype(np.int16)
    world.remake(samples=np.concatenate([noise, speech(1)])[:32000])


@spoils("other-audio")
def _(world: World) -> None:
    world.remake(samples=speech(7))


# What is said


@spoils("no-transcript")
def _(world: World) -> None:
    (world.real / "a.txt").unlink()


@spoils("no-transcripts")
def _(world: World) -> None:
    for name in CLIPS:
        (world.real / f"{name}.txt").unlink()


@spoils("empty-transcript")
def _(world: World) -> None:
    (world.real / "a.txt").write_text("Text:  \n")


@spoils("characters")
def _(world: World) -> None:
    (world.real / "a.txt").write_text("Text:  CAFÉ, PLEASE\n")


def as_grid(world: World, names: dict[str, str], alignments: dict[str, str]) -> None:
    """The world's clips as those of a GRID speaker, with their alignments."""
    for folder in (world.real, world.made):
        (folder / "s1").mkdir()
        for path in list(folder.iterdir()):
            if path.is_file():
                wanted = names.get(path.stem) if path.suffix == ".mp4" else None
                path.rename(folder / "s1" / f"{wanted}.mp4") if wanted else path.unlink()
    for name, text in alignments.items():
        (world.real / "s1" / f"{name}.align").write_text(text)
    world.dataset = "grid"


@spoils("alignment-contradicts-id")
def _(world: World) -> None:
    as_grid(world, {"a": "bbaf2n"}, {"bbaf2n": "0 50000 lay\n"})


@spoils("bad-alignment")
def _(world: World) -> None:
    as_grid(world, {"a": "bbaf2n"}, {"bbaf2n": "0 50000\n"})


@spoils("no-word-times")
def _(world: World) -> None:
    first, second = CLIPS[:2]
    as_grid(world, {first: "bbaf2n", second: "bbaf3s"}, {"bbaf2n": "0 50000 sil\n"})


@spoils("texts-disagree")
def _(world: World) -> None:
    (world.real / "a.txt").write_text("Text:  SAID TODAY\n\nWORD START END ASDSCORE\nSAID 0.1 0.2 1\nAGAIN 0.2 0.3 1\n")


@spoils("digits")
def _(world: World) -> None:
    (world.real / "a.txt").write_text("Text:  SAID AT 9\n")


@spoils("annotation")
def _(world: World) -> set[str]:
    (world.real / "a.txt").write_text("Text:  [music] hello\n")
    return {"characters"}


@spoils("unknown-word")
def _(world: World) -> set[str]:
    world.manifest(*({"id": name, "word": "ABOUT" if name != "a" else "ABUOT"} for name in CLIPS))
    return {"word-window", "word-length"}


@spoils("word-window")
def _(world: World) -> set[str]:
    world.manifest(*({"id": name, "word": "ABOUT"} for name in CLIPS))
    return {"word-length"}


@spoils("word-length")
def _(world: World) -> set[str]:
    world.manifest(*({"id": name, "word": "ABOUT"} for name in CLIPS))
    return {"word-window"}


# Face boxes


def give_boxes(world: World, rows: np.ndarray) -> None:
    folder = world.folder / "boxes"
    folder.mkdir()
    for name in CLIPS:
        np.save(folder / f"{name}.npy", np.tile([10, 10, 40, 40], (FRAMES, 1)))
    np.save(folder / "a.npy", rows)
    world.options["boxes"] = folder


@spoils("bad-boxes")
def _(world: World) -> set[str]:
    give_boxes(world, np.zeros((FRAMES, 5), np.int64))
    return {"boxes-unmarked"}


@spoils("boxes-too-short")
def _(world: World) -> set[str]:
    give_boxes(world, np.tile([10, 10, 40, 40], (FRAMES - 1, 1)))
    return {"boxes-unmarked"}


@spoils("boxes-too-many")
def _(world: World) -> set[str]:
    give_boxes(world, np.tile([10, 10, 40, 40], (FRAMES + 3, 1)))
    return {"boxes-unmarked"}


@spoils("boxes-outside")
def _(world: World) -> set[str]:
    give_boxes(world, np.tile([64, 10, 90, 40], (FRAMES, 1)))
    return {"boxes-unmarked"}


@spoils("boxes-unmarked")
def _(world: World) -> None:
    give_boxes(world, np.tile([10, 10, 40, 40], (FRAMES, 1)))


def boxes_without(frames: slice) -> np.ndarray:
    rows = np.tile([10.0, 10.0, 40.0, 40.0], (FRAMES, 1))
    rows[frames] = np.nan
    return rows


@spoils("faces-filled")
def _(world: World) -> set[str]:
    give_boxes(world, boxes_without(slice(5, 7)))
    return {"boxes-unmarked"}


@spoils("reference-no-face")
def _(world: World) -> set[str]:
    give_boxes(world, boxes_without(slice(FRAMES // 2, None)))
    return {"boxes-unmarked"}


# The data set's side


@spoils("no-reference")
def _(world: World) -> None:
    shutil.copy(world.made / "a.mp4", world.made / "new.mp4")
    shutil.copy(world.real / "a.txt", world.made / "new.txt")
    rows = [{"id": name, "transcript": "YES", "reference": f"real/{name}.mp4"} for name in CLIPS]
    world.remake("a", samples=speech(1), codec_options=quality(33))
    world.manifest(*rows, {"id": "new", "transcript": "YES"})


@spoils("reference-missing")
def _(world: World) -> None:
    (world.real / "a.mp4").unlink()
    world.manifest(*({"id": name, "transcript": "YES", "reference": f"real/{name}.mp4"} for name in CLIPS))


@spoils("reference-broken")
def _(world: World) -> None:
    path = world.real / "a.mp4"
    path.write_bytes(path.read_bytes()[:2000])


@spoils("reference-sound-lost")
def _(world: World) -> set[str]:
    whole = write(world.folder / "whole.mp4", SEEDS["a"], 18, container_options={"movflags": "faststart"})
    overwritten(whole, world.real / "a.mp4", Loss("middle", "sound", 0.5), random.Random(1))
    return set()


@spoils("reference-rate")
def _(world: World) -> None:
    write(world.real / "a.mp4", 1, 18, frames=60, frames_per_second=30)


@spoils("reference-dataset")
def _(world: World) -> set[str]:
    return lrw(world, 64, 28) | {"word-window"}


def lrw(world: World, side: int, frames: int) -> set[str]:
    """Turn the world into LRW with one clip."""
    world.dataset = "lrw"
    name = "ABOUT/test/ABOUT_00001.mp4"
    for folder, level in ((world.real, 18), (world.made, 28)):
        shutil.rmtree(folder)
        (folder / name).parent.mkdir(parents=True)
        write(folder / name, 1, level, width=side, height=side, frames=frames, samples=speech(1, frames / 25))
    return {"split-size"}


def overwrite(path: Path, begin: float, end: float) -> None:
    """Replace a share of the media data of an mp4 file by nonsense."""
    data = bytearray(path.read_bytes())
    body = data.index(b"mdat") + 4
    length = len(data) - body
    data[body + int(begin * length) : body + int(end * length)] = b"\xff" * (int(end * length) - int(begin * length))
    path.write_bytes(data)


@pytest.mark.parametrize("code", sorted(SPOILERS))
def test_what_is_wrong_is_found_and_nothing_else(code: str, world: World) -> None:
    also = SPOILERS[code](world) or set()
    report = world.check()
    assert code in codes(report)
    assert codes(report) <= {code} | also
    worst = min(LEVELS.index(found.level) for found in report.findings)
    assert report.exit_code == 2 - worst


# Others need no healthy folder to be spoilt: a limit, sound from elsewhere, and faces, which `check` does not look for.
# Motion and sound on the way of a run: test_clip_checks.py.
ELSEWHERE = {"too-large", "unreadable-audio", "no-face", "faces-missing", "several-faces", "view-frame", "framing"}
ELSEWHERE |= {"face-framing"}
ELSEWHERE |= {"pictures-late"}
ELSEWHERE |= {"too-short"}
ELSEWHERE |= {"alignment-shared"}  # takes two speakers: test_datasets_grid.py
# What a checkpoint was trained on, which `check` does not know: test_domain.py and test_probing.py.
ELSEWHERE |= {"not-finite", "damaged-checkpoint"}  # take a network: tests/contract/test_not_finite.py
ELSEWHERE |= {"other-dataset", "other-speakers", "other-vocabulary", "unverified-checkpoint", "cannot-read"}
ELSEWHERE |= {"unended-reading"}  # takes a network: tests/scoring/test_unended_reading.py


def test_every_code_of_the_catalogue_has_a_test() -> None:
    assert set(SPOILERS) | ELSEWHERE == set(CATALOGUE)


def test_a_healthy_folder_gives_no_finding(world: World) -> None:
    report = world.check()
    assert report.findings == ()
    assert (report.exit_code, report.expected, report.found, report.checked) == (0, 3, 3, 3)


def test_a_picture_beyond_the_limit_is_too_large(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.remake(width=128)
    monkeypatch.setattr("tlbench.media.container.MOST_PIXELS", 100 * 48)
    (found,) = world.check().findings
    assert (found.code, found.message) == ("too-large", "pictures of 128x48, at most 69x69")
    assert "--large-pictures" in found.fix
    monkeypatch.setenv("TLBENCH_LARGE_PICTURES", "0")
    assert codes(world.check()) == {"too-large"}
    monkeypatch.setenv("TLBENCH_LARGE_PICTURES", "1")
    assert codes(world.check()) == {"frame-size"}
    monkeypatch.setattr("tlbench.media.container.LARGE_PIXELS", 100 * 48)
    monkeypatch.setattr("tlbench.media.probe.LARGE_PIXELS", 100 * 48)
    assert codes(world.check()) == {"too-large"}


def test_labels_of_a_data_sets_own_are_not_measured_by_lrws(world: World) -> None:
    clip = Clip("a", generated=world.made / "a.mp4", word="NOTALRWWORD")
    assert "word-window" in {found.code for found in check_clip(clip, Expected()).findings}
    assert "word-window" not in {found.code for found in check_clip(clip, Expected(as_lrw=False)).findings}
    assert {found.code for found in check_texts([clip], ALPHABET, LRW_WORDS)} == {"unknown-word"}
    assert check_texts([clip], ALPHABET, None) == []


def test_speech_from_elsewhere_that_is_not_there_is_an_error(world: World) -> None:
    clip = Clip("a", generated=world.made / "a.mp4", audio=world.folder / "gone.mp4", transcript="YES")
    found = {finding.code: finding for finding in check_clip(clip, Expected()).findings}
    assert set(found) == {"unreadable-audio", "no-reference"}
    assert "gone.mp4" in found["unreadable-audio"].message


def test_speech_from_elsewhere_replaces_the_files_own(world: World) -> None:
    world.remake(audio_codec=None)
    clip = Clip("a", generated=world.made / "a.mp4", audio=world.real / "a.mp4", transcript="YES")
    assert {found.code for found in check_clip(clip, Expected()).findings} == {"no-reference"}


# More ways to the same findings


def test_a_link_to_itself_is_unreadable(world: World) -> None:
    path = world.made / "a.mp4"
    path.unlink()
    path.symlink_to(path)
    assert codes(world.check()) == {"unreadable"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(world: World) -> None:
    (world.made / "a.mp4").chmod(0)
    assert codes(world.check()) == {"unreadable"}


def test_an_avi_that_lost_its_end_is_truncated(world: World) -> None:
    (world.made / "a.mp4").unlink()
    path = write(world.made / "a.avi", 1, 28, codec="mpeg4", codec_options={}, audio_codec="pcm_s16le")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    found = codes(world.check())
    assert "truncated" in found
    assert "frame-count" not in found  # the same thing said twice


def test_the_real_video_wrapped_anew_is_told_by_its_pictures(world: World) -> None:
    (world.made / "a.mp4").unlink()
    with av.open(str(world.real / "a.mp4")) as real, av.open(str(world.made / "a.mkv"), "w") as copy:
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in real.streams}
        for packet in real.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    assert "identical-pictures" in codes(world.check())


def test_all_missing_clips_are_named(world: World) -> None:
    (world.made / "a.mp4").unlink()
    (world.made / "c.mp4").unlink()
    assert [found.clip for found in world.check().findings] == ["a", "c"]


def test_the_wrong_folder_is_one_finding_with_both_names(world: World) -> None:
    SPOILERS["wrong-folder"](world)
    (found,) = world.check().findings
    assert "b.mp4" in found.message
    assert "result_0.mp4" in found.message


def test_the_data_set_itself_as_generated_folder_is_one_finding(world: World) -> None:
    report = check(world.real, "folder", world.real, workers=1)
    assert [(found.code, found.clip) for found in report.findings] == [("ground-truth-as-system", None)]
    assert report.exit_code == 1


def test_a_single_link_to_a_real_video_is_a_leak(world: World) -> None:
    (world.made / "a.mp4").unlink()
    (world.made / "a.mp4").symlink_to(world.real / "a.mp4")
    assert {(found.code, found.clip) for found in world.check().findings} == {("same-file", "a")}


def test_a_subset_does_not_make_other_clips_extra(world: World) -> None:
    report = check(world.made, "folder", world.real, limit=1, workers=1)
    assert (report.findings, report.expected) == ((), 1)


def test_a_frame_too_few_counts_where_the_data_set_fixes_the_number(world: World) -> None:
    lrw(world, 256, 29)
    path = world.made / "ABOUT/test/ABOUT_00001.mp4"
    write(path, 1, 28, width=256, height=256, frames=28, samples=speech(1, 29 / 25))
    assert "frame-count" in codes(world.check())


def test_another_alphabet_may_be_given(world: World) -> None:
    (world.real / "a.txt").write_text("Text:  WHAT'S SAID AT 9\n")
    world.options["alphabet"] = frozenset("WHATS IDTNE")
    (first, *_) = world.check().findings
    assert (first.code, first.clip) == ("characters", "a")
    assert '"\'" (APOSTROPHE)' in first.message
    assert "'9' (DIGIT NINE)" in first.message


@pytest.mark.parametrize(("text", "left_out"), [("привет", True), ("été", False), ("hi мир", False), ("é", True)])
def test_a_text_without_a_unit_of_auto_avsr_is_left_out_by_wer3_too(world: World, text: str, left_out: bool) -> None:
    (world.real / "a.txt").write_text(f"Text:  {text}\n")
    (first, *_) = world.check().findings
    assert first.code == "characters"
    assert ("as does WER3 in `paper`" in first.message) == left_out


def test_lower_case_transcripts_are_fine(world: World) -> None:
    (world.real / "a.txt").write_text("Text:  what's said at nine\n")
    assert world.check().findings == ()


# Sound


def test_sound_heard_at_its_own_rate_is_what_observers_hear_at_theirs(tmp_path: Path) -> None:
    for rate, channels, codec, suffix in (
        (16000, 1, "aac", "mp4"),
        (44100, 2, "mp2", "mpg"),
        (48000, 2, "aac", "mov"),
        (44100, 1, "pcm_u8", "avi"),
        (11025, 2, "pcm_s16le", "avi"),
        (16000, 1, "pcm_s32le", "mkv"),
        (48000, 1, "libopus", "webm"),
    ):
        samples = np.repeat(speech(4, rate=rate), channels, axis=1)
        video = "libvpx-vp9" if suffix == "webm" else "mpeg1video" if suffix == "mpg" else "libx264"
        path = write_clip(
            tmp_path / f"{codec}{rate}.{suffix}",
            frames=5,
            codec=video,
            audio_codec=codec,
            sample_rate=rate,
            channels=channels,
            samples=samples,
        )
        sound, given = measure_sound(path), read_audio(path).astype(np.float32) / 2**15
        assert sound.seconds == pytest.approx(len(given) / 16000, abs=0.03), path.name
        assert sound.loudness.max() == pytest.approx(loudness(given, 16000).max(), rel=0.35), path.name
        match = likeness(sound.loudness, loudness(given, 16000))
        assert match is not None
        assert match.correlation > 0.97, path.name
        assert abs(match.lag_frames) <= 0.5, path.name


@pytest.mark.parametrize("lag_hops", [-60, -4, 0, 3, 8, 99])
def test_a_lag_is_measured_to_a_quarter_of_a_frame(lag_hops: int) -> None:
    sound = speech(6, 3).astype(np.float32)[:, 0] / 2**15
    moved = np.concatenate([np.zeros(max(lag_hops, 0) * 160, np.float32), sound[max(-lag_hops, 0) * 160 :]])
    match = likeness(loudness(moved, 16000), loudness(sound, 16000))
    assert match is not None
    assert match.lag_frames == lag_hops / 4
    assert match.correlation > 0.99


def test_of_lags_that_fit_equally_the_smallest_counts() -> None:
    swell = loudness(tone(3.0)[:, 0].astype(np.float32) / 2**15, 16000)  # repeats every half second
    assert likeness(swell, swell).lag_frames == 0


def test_other_speech_is_not_taken_for_the_same() -> None:
    curves = [loudness(speech(seed)[:, 0].astype(np.float32), 16000) for seed in range(8)]
    assert max(likeness(a, b).correlation for i, a in enumerate(curves) for b in curves[:i]) < SAME_SPEECH


def test_curves_too_short_or_flat_say_nothing() -> None:
    curve = np.arange(100.0)
    assert likeness(curve[:5], curve) is None
    assert likeness(np.ones(100), curve) is None
    assert likeness(np.zeros(0), np.zeros(0)) is None


def test_leading_silence_ends_with_the_first_loud_moment() -> None:
    assert silence_frames(np.concatenate([np.zeros(20), np.ones(80)])) == 5.0
    assert silence_frames(np.zeros(8)) == 2.0
    assert silence_frames(np.zeros(0)) == 0.0


# The report


def test_findings_come_worst_first_and_by_code(world: World) -> None:
    for spoiler in ("characters", "extra", "empty-file"):
        SPOILERS[spoiler](world)
    assert [found.code for found in world.check().findings] == ["empty-file", "extra", "characters"]


def test_the_report_as_json_has_every_finding(world: World) -> None:
    SPOILERS["missing"](world)
    written = json.loads(json.dumps(world.check().to_json()))
    assert written.pop("seconds") >= 0
    assert written == {
        "schema": "tlbench.check/1",
        "dataset": "folder",
        "split": "all",
        "generated": str(world.made),
        "clips": {"expected": 3, "found": 2, "checked": 2},
        "counts": {"error": 1, "warning": 0, "info": 0},
        "exit_code": 2,
        "not_checked": ["pictures of the real videos", "faces"],
        "findings": [
            {
                "level": "error",
                "clip": "b",
                "code": "missing",
                "message": "no generated video",
                "fix": CATALOGUE["missing"].fix,
            }
        ],
    }


def test_a_message_is_one_line_whatever_a_file_is_called() -> None:
    assert one_line("a\nb\x1b[31m\udcff") == r"a\nb\x1b[31m\udcff"
    assert one_line("müde 東京 [red]") == "müde 東京 [red]"
    found = finding("extra", None, "x\r\ny")
    assert found == Finding("warning", None, "extra", r"x\r\ny", CATALOGUE["extra"].fix)


def test_progress_counts_up_to_all_clips(world: World) -> None:
    calls: list[tuple[int, int]] = []
    check(world.made, "folder", world.real, workers=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_worker_processes_find_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for spoiler in ("missing", "characters", "extra"):
        SPOILERS[spoiler](world)
    alone = world.check()
    monkeypatch.setattr(preflight, "FEW_CLIPS", 0)
    together = check(world.made, "folder", world.real, workers=2)
    assert replace(together, seconds=0) == replace(alone, seconds=0)


def test_workers_below_one_are_refused(world: World) -> None:
    selection = load_dataset("folder", world.real, generated=world.made)
    with pytest.raises(TlbenchError, match="workers must be at least 1, got 0"):
        check_selection(selection, workers=0)


def test_a_failure_is_an_error_unless_the_data_set_is_to_blame() -> None:
    for kind in CATALOGUE.values():
        told = of_failure("a", kind.code, "found; the way out", ("avhubert",))
        assert told.level == (kind.level if kind.of_dataset else "error")
        assert (told.message, told.fix) == ("found", kind.fix)
    assert of_failure("a", "of-tomorrow", "found; the way out", ()).fix == "the way out"


def test_the_page_of_codes_is_in_step_with_the_catalogue() -> None:
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text("utf-8")
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| `")]
    assert {(code.strip(" `"), level.strip()) for code, level, _ in rows} == {
        (kind.code, kind.level) for kind in CATALOGUE.values()
    }
    assert len(rows) == len(CATALOGUE)
    for kind in CATALOGUE.values():
        assert kind.fix in page, f"the way out of {kind.code} reads otherwise on the page"

"""Generated videos: the reference's frames and audio with other faces, written once, and in one way for a folder."""

from __future__ import annotations

import json
import os
import shutil
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.factories.media_factory import picture, tone, write_clip
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import file_sha256
from tlbench.generation import generate_video as video_module
from tlbench.generation.generate_dataset import WriteOptions, generate_dataset
from tlbench.generation.generate_video import generate_video, track_face
from tlbench.generation.generator import FaceClip, FaceGenerator, GenerateOptions, SourceClip
from tlbench.generation.write_generated import GeneratedDataset
from tlbench.litter import temporary_name
from tlbench.media.audio import read_audio, sound_form
from tlbench.media.video_reader import FrameChunk, read_video
from tlbench.media.video_writer import write_video
from tlbench.observing import face_boxes as boxing
from tlbench.observing.face_options import FaceOptions
from tlbench.talklip.checkpoint import write_official
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import TalkLip, dims_for
from tlbench.talklip.inference import TalkLipInference

WIDTH, HEIGHT, FRAMES = 160, 128, 10
BOX = [40, 16, 120, 112]

Generate = Callable[..., GeneratedDataset]


class OneFace:
    """A detector that always finds the same face, except in the given frames."""

    name, sure_score = "one", 0.0

    def __init__(self, without: tuple[int, ...] = ()) -> None:
        self.without = without
        self.seen = 0

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        numbers = range(self.seen, self.seen + len(frames))
        self.seen += len(frames)
        return [None if number in self.without else np.array(BOX) for number in numbers]

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        return [np.array([[*BOX, 1.0]]) for _ in frames]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    write_official(TalkLip(dims_for("tiny", "local", 0, 0)), path, 1, 1, {"variant": "l"})
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of different lengths, each with boxes; one in a folder of its own."""
    root = tmp_path_factory.mktemp("real")
    for number, clip_id in enumerate(["a", "b", "deep er/c"]):
        path = root / "videos" / f"{clip_id}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = np.stack([picture(20 * number + index, WIDTH, HEIGHT) for index in range(FRAMES + 3 * number)])
        write_video(path, frames, samples=tone(len(frames) / 25, hertz=200 * (number + 1))[:, 0], crf=5)
        boxes = root / "boxes" / f"{clip_id}.npy"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        np.save(boxes, np.tile(BOX, (len(frames), 1)))
    return root


def generate_folder(
    generator: Path,
    out: Path,
    root: Path | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> GeneratedDataset:
    """By the names of all options, each given to the value that has it; on the CPU."""

    def those_of(kind: Any) -> dict[str, Any]:
        names = [field.name for field in fields(kind)]
        return {name: options.pop(name) for name in names if name in options}

    data, faces = DataOptions("folder", root, **those_of(DataOptions)), FaceOptions(**those_of(FaceOptions))
    how, written = GenerateOptions(device="cpu", **those_of(GenerateOptions)), WriteOptions(**those_of(WriteOptions))
    assert not options
    return generate_dataset(generator, out, data, faces, how, written, progress)


@pytest.fixture
def generate(checkpoint: Path, real: Path, tmp_path: Path) -> Generate:
    def run(out: Path, **changes: object) -> GeneratedDataset:
        words: dict[str, object] = {"boxes": real / "boxes", "cache": tmp_path / "cache"}
        return generate_folder(checkpoint, out, real / "videos", **{**words, **changes})  # type: ignore[arg-type]

    return run


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder) if name.endswith(".mp4")}


def its_own_face(
    self: TalkLipInference, audio_features: torch.Tensor, poses: np.ndarray, identity: np.ndarray
) -> np.ndarray:
    return np.broadcast_to(identity, poses.shape).astype(np.float32)


def test_each_clip_becomes_a_video_of_its_length_size_and_sound(generate: Generate, real: Path, tmp_path: Path) -> None:
    done = generate(tmp_path / "out")
    assert (done.written, done.kept, done.frames, done.failures) == (3, 0, 39, {})
    assert files(tmp_path / "out") == ["a.mp4", "b.mp4", "deep er/c.mp4", "generation.json"]
    for name in ("a", "b", "deep er/c"):
        real_frames, generated = (
            read_video(real / "videos" / f"{name}.mp4"),
            read_video(tmp_path / "out" / f"{name}.mp4"),
        )
        assert generated.shape == real_frames.shape
        x1, y1, x2, y2 = BOX
        inside = np.abs(generated[:, y1:y2, x1:x2].astype(int) - real_frames[:, y1:y2, x1:x2]).mean()
        outside = np.abs(generated[:, : y1 - 4].astype(int) - real_frames[:, : y1 - 4]).mean()
        assert inside > 20 > 8 > outside
        kept, sound = (read_audio(folder / f"{name}.mp4") for folder in (real / "videos", tmp_path / "out"))
        both = min(len(kept), len(sound))
        assert np.corrcoef(kept[:both], sound[:both])[0, 1] > 0.98


def test_a_generator_that_returns_the_real_face_gives_the_reference(
    generate: Generate, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanged colours, boxes or frames would show."""
    monkeypatch.setattr(TalkLipInference, "generate", its_own_face)
    generate(tmp_path / "out", identity="same")
    for name in ("a", "b", "deep er/c"):
        real_frames, generated = (
            read_video(real / "videos" / f"{name}.mp4"),
            read_video(tmp_path / "out" / f"{name}.mp4"),
        )
        assert np.abs(generated.astype(int) - real_frames).mean(axis=(1, 2, 3)).max() < 3


def test_the_first_face_is_the_identity_of_all_frames_or_each_its_own(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, bool]] = []

    def generate_faces(
        self: TalkLipInference, audio_features: torch.Tensor, poses: np.ndarray, identity: np.ndarray
    ) -> np.ndarray:
        assert (poses[:, 48:] == 0).all()  # the lips are not shown
        calls.append((len(identity), bool((identity[:, :48] == poses[:, :48]).all())))
        return its_own_face(self, audio_features, poses, identity)

    monkeypatch.setattr(TalkLipInference, "generate", generate_faces)
    generate(tmp_path / "first", limit=1)
    assert calls == [(1, False), (1, False)]
    calls.clear()
    generate(tmp_path / "same", limit=1, identity="same")
    assert calls == [(8, True), (2, True)]


def test_the_result_for_a_clip_does_not_depend_on_the_others(generate: Generate, tmp_path: Path) -> None:
    generate(tmp_path / "all")
    generate(tmp_path / "side by side", workers=3)
    (tmp_path / "list.txt").write_text("deep er/c\n")
    generate(tmp_path / "one", subset=tmp_path / "list.txt")
    whole = contents(tmp_path / "all")
    assert contents(tmp_path / "side by side") == whole
    assert contents(tmp_path / "one") == {"deep er/c.mp4": whole["deep er/c.mp4"]}


def test_an_interrupted_run_leaves_no_partial_file_and_is_continued(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def interrupted(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(out, progress=interrupted)
    assert len(contents(out)) == 1
    assert not [name for name in files(out) if Path(name).name.startswith(".")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("generate")]
    before = contents(out)
    left = temporary_name(".part.mp4", "b").replace(f"-{os.getpid()}-", "-999999999-")
    (out / left).write_bytes(b"of a run that was killed")
    done = generate(out)
    assert (done.written, done.kept) == (2, 1)
    generate(tmp_path / "at once")
    assert contents(out) == contents(tmp_path / "at once")
    assert before.items() <= contents(out).items()
    assert files(out) == ["a.mp4", "b.mp4", "deep er/c.mp4", "generation.json"]


def test_the_log_says_how_videos_were_generated_and_other_ways_are_refused(
    generate: Generate, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(out, limit=1)
    log = json.loads((out / "generation.json").read_text("utf-8"))
    assert log["checkpoint_file"] == "tiny.pth"
    assert len(log["checkpoint"]["sha256"]) == 64
    assert log["checkpoint"]["config"]["trained"] == {"variant": "l"}
    assert log["encoder"] == {"pictures": "libx264", "crf": 23, "sound": "aac"}
    assert (log["identity"], log["trim"], log["dataset"]) == ("first", "both-ends", "folder")
    with pytest.raises(TlbenchError, match=r"generated otherwise \(identity differ"):
        generate(out, identity="same")
    with pytest.raises(TlbenchError, match=r"generated otherwise \(numbers differ"):
        generate(out, precision="bf16")
    with pytest.raises(TlbenchError, match=r"generated otherwise \(trim differ"):
        generate(out, trim="end")
    (out / "generation.json").write_text("{")
    with pytest.raises(TlbenchError, match="can't be read"):
        generate(out)
    (out / "generation.json").unlink()
    with pytest.raises(TlbenchError, match=r"no generation\.json"):
        generate(out)


def test_the_log_says_which_boxes_each_clip_had_wherever_they_come_from(
    checkpoint: Path, real: Path, tmp_path: Path, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes from a manifest are given boxes, like those of a folder."""
    (tmp_path / "list.csv").write_text(
        f"id,reference,boxes\na,{real}/videos/a.mp4,{real}/boxes/a.npy\nb,{real}/videos/b.mp4,\n"
    )
    monkeypatch.setattr(boxing, "load_detector", lambda rule: OneFace(without=(2, 3)))
    done = generate_folder(
        checkpoint, tmp_path / "out", manifest=tmp_path / "list.csv", detector="haar", cache=tmp_path / "cache"
    )
    log = json.loads((tmp_path / "out" / "generation.json").read_text("utf-8"))
    assert log["boxes"] == "given+haar"
    assert log["clips"]["a"]["boxes"] == f"given:{file_sha256(real / 'boxes' / 'a.npy')}"
    assert log["clips"]["b"] == {
        "reference": file_sha256(real / "videos" / "b.mp4"),
        "audio": None,
        "boxes": "haar",
        "frames": 13,
        "faceless_frames": 2,
    }
    assert done.faceless == {"b": (2, 13)}


def test_two_sets_of_boxes_are_not_mixed(generate: Generate, real: Path, tmp_path: Path) -> None:
    out, others = tmp_path / "out", tmp_path / "others"
    generate(out, limit=2)
    shutil.copytree(real / "boxes", others)
    assert generate(out, boxes=others, limit=2).kept == 2  # the same boxes in another folder
    np.save(others / "b.npy", np.load(others / "b.npy") + 1)
    before = contents(out), (out / "generation.json").read_bytes()
    with pytest.raises(TlbenchError, match=r"clip b was generated with other face boxes .*give the same boxes.*--out"):
        generate(out, boxes=others)
    with pytest.raises(TlbenchError, match="clip a was generated with other face boxes"):
        generate(out, boxes=None, detector="haar")
    assert (contents(out), (out / "generation.json").read_bytes()) == before


def test_two_ways_of_finding_boxes_are_not_mixed(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxing, "load_detector", lambda rule: OneFace())
    generate(tmp_path / "out", boxes=None, detector="haar", limit=1)
    (tmp_path / "list.txt").write_text("b\n")
    with pytest.raises(TlbenchError, match=r"boxes by haar, now they would be by haar~3; give the same --detector"):
        generate(tmp_path / "out", boxes=None, detector="haar", smooth=3, subset=tmp_path / "list.txt")
    assert generate(tmp_path / "out", boxes=None, detector="haar", subset=tmp_path / "list.txt").written == 1


def test_a_renamed_checkpoint_is_the_same_one(generate: Generate, checkpoint: Path, real: Path, tmp_path: Path) -> None:
    generate(tmp_path / "out", limit=1)
    renamed = tmp_path / "renamed.pth"
    shutil.copy(checkpoint, renamed)
    done = generate_folder(renamed, tmp_path / "out", real / "videos", boxes=real / "boxes")
    assert (done.written, done.kept) == (2, 1)
    log = json.loads((tmp_path / "out" / "generation.json").read_text("utf-8"))
    assert log["checkpoint_file"] == "renamed.pth"


@pytest.mark.parametrize("which", ["reference", "audio"])
def test_a_video_of_a_changed_file_is_generated_again(
    checkpoint: Path, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    videos, sound, out = tmp_path / "videos", tmp_path / "sound.mp4", tmp_path / "out"
    shutil.copytree(real / "videos", videos)
    shutil.copy(videos / "b.mp4", sound)

    def of_another_sound(self: DataOptions) -> Selection:
        selection = load_dataset(self.dataset, self.data_root, boxes=self.boxes)
        return replace(selection, clips=[replace(selection.clips[0], audio=sound), selection.clips[1]])

    monkeypatch.setattr(DataOptions, "load", of_another_sound)

    def run() -> GeneratedDataset:
        return generate_folder(checkpoint, out, videos, boxes=real / "boxes")

    assert (run().written, run().written) == (2, 0)
    before = contents(out)
    write_video(
        videos / "a.mp4" if which == "reference" else sound,
        [picture(90 + index, WIDTH, HEIGHT) for index in range(FRAMES)],
        samples=tone(FRAMES / 25, hertz=700)[:, 0],
    )
    done = run()
    assert (done.written, done.kept, done.outdated) == (1, 1, 1)
    after = contents(out)
    assert after["a.mp4"] != before["a.mp4"]
    assert after["b.mp4"] == before["b.mp4"]
    assert run().kept == 2


def test_a_video_that_is_not_in_the_log_is_generated_again(generate: Generate, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(out, limit=2)
    whole = contents(out)
    log = json.loads((out / "generation.json").read_text("utf-8"))
    log["clips"] = {"a": {"reference": 3}, "b": log["clips"]["b"]}
    (out / "generation.json").write_text(json.dumps(log))
    (out / "a.mp4").write_bytes(b"of a run that was killed before it could take it down")
    done = generate(out, limit=2)
    assert (done.written, done.kept) == (1, 1)
    assert contents(out) == whole


def test_a_folder_of_another_checkpoint_is_refused(generate: Generate, real: Path, tmp_path: Path) -> None:
    generate(tmp_path / "out", limit=1)
    other = tmp_path / "tiny.pth"
    write_official(TalkLip(dims_for("tiny", "local", 0, 0)), other, 2, 1, {"variant": "l"})
    with pytest.raises(TlbenchError, match="checkpoint differ"):
        generate_folder(other, tmp_path / "out", real / "videos", boxes=real / "boxes")


def test_a_checkpoint_that_is_no_generator_is_refused_before_anything_is_written(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "disc.pth"
    write_official(Discriminator(1 / 16, 8), path, 1, 1, {})
    with pytest.raises(TlbenchError, match="is a discriminator"):
        generate_folder(path, tmp_path / "out", real / "videos")
    assert not (tmp_path / "out").exists()


def test_a_failed_clip_is_reported_and_the_others_are_generated(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, boxes = tmp_path / "real", tmp_path / "boxes"
    root.mkdir()
    boxes.mkdir()
    (root / "broken.mp4").write_bytes(b"not a video")
    write_clip(root / "mute.mp4", frames=6, width=96, height=96)
    for name in ("fine", "few"):
        write_clip(root / f"{name}.mp4", frames=6, width=96, height=96, samples=tone(0.24), audio_codec="aac")
    for name, rows in [("broken", 6), ("mute", 6), ("fine", 6), ("few", 4)]:
        np.save(boxes / f"{name}.npy", np.tile([10, 10, 80, 90], (rows, 1)))
    done = generate_folder(checkpoint, tmp_path / "out", root, boxes=boxes, workers=2)
    assert {clip_id: error.code for clip_id, error in done.failures.items()} == {
        "broken": "unreadable",
        "few": "boxes-too-short",
        "mute": "no-audio",
    }
    assert done.written == 1
    assert files(tmp_path / "out") == ["fine.mp4", "generation.json"]


def test_a_clip_without_a_face_is_reported(checkpoint: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "real.mp4", frames=5, width=96, height=96, samples=tone(0.2), audio_codec="aac")
    done = generate_folder(checkpoint, tmp_path / "out", tmp_path, detector="haar", cache=tmp_path / "cache")
    assert done.failures["real"].code == "no-face"


def test_a_silent_clip_is_generated(checkpoint: Path, tmp_path: Path) -> None:
    """Silence is speech like any other, as a drive needs it; a file without sound is not."""
    frames = np.stack([picture(index, WIDTH, HEIGHT) for index in range(6)])
    root, boxes = tmp_path / "real", tmp_path / "boxes"
    root.mkdir()
    boxes.mkdir()
    write_video(root / "a.mp4", frames, samples=np.zeros(6 * 640, np.int16))
    np.save(boxes / "a.npy", np.tile(BOX, (6, 1)))
    done = generate_folder(checkpoint, tmp_path / "out", root, boxes=boxes)
    assert (done.written, done.frames, done.failures) == (1, 6, {})
    assert not read_audio(tmp_path / "out" / "a.mp4").any()


def test_conversions_are_reported(checkpoint: Path, tmp_path: Path) -> None:
    root, boxes = tmp_path / "real", tmp_path / "boxes"
    root.mkdir()
    boxes.mkdir()
    sound = tone(0.4, 44100, 2)
    write_clip(
        root / "a.mp4",
        frames=12,
        frames_per_second=30,
        samples=sound,
        audio_codec="aac",
        sample_rate=44100,
        channels=2,
        width=96,
        height=96,
    )
    np.save(boxes / "a.npy", np.tile([10, 10, 80, 90], (10, 1)))
    done = generate_folder(checkpoint, tmp_path / "out", root, boxes=boxes)
    assert done.converted == {"a": "30 to 25 frames/s; sound of 44100 Hz in 2 channels to 16000 Hz in one channel"}
    assert len(read_video(tmp_path / "out" / "a.mp4")) == done.frames == 10


def test_a_set_without_references_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("id,transcript\na,hello\n")
    with pytest.raises(TlbenchError, match="no reference videos"):
        generate_folder(checkpoint, tmp_path / "out", manifest=tmp_path / "list.csv")


def own_face(tmp_path: Path, frames: int, seconds: float) -> tuple[Path, Path]:
    video = tmp_path / "me.mp4"
    write_video(video, [picture(index, WIDTH, HEIGHT) for index in range(frames)], crf=5)
    speech = tmp_path / "speech.mkv"
    sound = tone(seconds, 44100, 2)
    write_clip(
        speech, frames=1, samples=sound, audio_codec="pcm_s16le", sample_rate=44100, channels=2, codec="mjpeg",
        pixel_format="yuvj420p",
    )  # fmt: skip
    return video, speech


@pytest.mark.parametrize(
    ("frames", "seconds", "count", "message"),
    [(6, 0.56, 14, "played forwards and backwards"), (20, 0.4, 10, "10 are left out"), (10, 0.4, 10, "")],
)
def test_a_single_video_is_as_long_as_its_audio(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    seconds: float,
    count: int,
    message: str,
) -> None:
    monkeypatch.setattr(video_module, "load_detector", lambda rule: OneFace())
    monkeypatch.setattr(TalkLipInference, "generate", its_own_face)
    video, speech = own_face(tmp_path, frames, seconds)
    out, lines = tmp_path / "out" / "said.mp4", list[str]()
    assert generate_video(checkpoint, video, speech, out, device="cpu", notify=lines.append) == count
    generated, real_frames = read_video(out), read_video(video)
    order = [*range(frames), *range(frames - 2, 0, -1)]
    shown = [order[index % len(order)] for index in range(count)]
    assert np.abs(generated.astype(int) - real_frames[shown]).mean(axis=(1, 2, 3)).max() < 3
    assert lines[0].endswith("44100 Hz in 2 channels converted to 16000 Hz in one channel for the generator")
    assert len(lines) == 1 + bool(message)
    assert message in lines[-1]
    assert sound_form(out) == (44100, 1)
    log = json.loads((tmp_path / "out" / "said.mp4.json").read_text("utf-8"))
    assert (log["identity"], log["bridged_frames"], log["faceless_frames"]) == ("same", 0, 0)
    assert log["video"] == {"file": "me.mp4", "sha256": file_sha256(video)}
    assert files(tmp_path / "out") == ["said.mp4", "said.mp4.json"]


def test_frames_far_from_any_face_are_not_changed() -> None:
    found = track_face(_StillVideo(60), OneFace(without=tuple(range(5, 8)) + tuple(range(20, 60))), 0)  # type: ignore[arg-type]
    boxes = found.boxes
    assert (found.filled, found.missing) == (3 + 12, 28)
    assert [index for index, box in enumerate(boxes) if box is None] == list(range(19 + 13, 60))
    frames = [np.full((HEIGHT, WIDTH, 3), 50, np.uint8)] * 60
    source = SourceClip(Clip("still"), iter(enumerate(frames)), 60, boxes, None, identity="same")
    generated = list(_Bright().generate(source).frames)
    changed = [index for index, frame in enumerate(generated) if (frame != 50).any()]
    assert changed == list(range(32))
    assert all((frame == 50).all() for frame in frames)


def test_a_frame_without_a_face_gets_the_nearest_box_the_earlier_of_two() -> None:
    found = track_face(_StillVideo(20), WanderingFace(at=(3, 9, 16)), 0)  # type: ignore[arg-type]
    assert [int(box[0]) for box in found.boxes if box is not None] == [3] * 7 + [9] * 6 + [16] * 7
    assert (found.filled, found.missing) == (17, 0)


def test_the_memory_for_finding_a_face_grows_with_the_video_and_not_with_its_square() -> None:
    tracemalloc.start()
    track_face(_StillVideo(6000), OneFace(), 0)  # type: ignore[arg-type]
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 16 * 2**20 < 6000**2


class WanderingFace(OneFace):
    """A face in few frames; its left edge is the number of the frame."""

    def __init__(self, at: tuple[int, ...]) -> None:
        super().__init__()
        self.at = at

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        numbers = range(self.seen, self.seen + len(frames))
        self.seen += len(frames)
        return [np.array([number, 0, 100, 100]) if number in self.at else None for number in numbers]


class _StillVideo:
    def __init__(self, count: int) -> None:
        self.path, self.count = Path("still.mp4"), count

    def frames(self) -> Iterator[FrameChunk]:
        picture = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        return (FrameChunk(start, (picture,) * 20) for start in range(0, self.count, 20))


class _Bright(FaceGenerator):
    name = "bright"

    @classmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> _Bright:
        return cls()

    def start_clip(self, sound: np.ndarray | None, frames: int) -> FaceClip:
        return _BrightClip()


class _BrightClip(FaceClip):
    def generate(self, numbers: np.ndarray, poses: np.ndarray, identity: np.ndarray | None) -> np.ndarray:
        return np.full(poses.shape, 200, np.float32)


def test_single_videos_that_can_not_be_generated(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, speech = own_face(tmp_path, 4, 0.2)
    out = tmp_path / "out.mp4"
    with pytest.raises(ClipError, match="no face was found"):
        generate_video(checkpoint, video, speech, out, FaceOptions("haar"), device="cpu")
    monkeypatch.setattr(video_module, "load_detector", lambda rule: OneFace())
    with pytest.raises(ClipError, match="no sound"):
        generate_video(checkpoint, video, video, out, device="cpu")
    with pytest.raises(ClipError):
        generate_video(checkpoint, tmp_path / "nothing.mp4", speech, out, device="cpu")
    with pytest.raises(TlbenchError, match=r"no video container|\.mp4"):
        generate_video(checkpoint, video, speech, tmp_path / "out.xyz", device="cpu")
    out.write_bytes(b"mine")
    with pytest.raises(TlbenchError, match=r"exists; remove it or choose another name"):
        generate_video(checkpoint, video, speech, out, device="cpu")
    assert out.read_bytes() == b"mine"
    assert files(tmp_path) == ["me.mp4", "out.mp4", "speech.mkv"]


def test_the_folder_under_test_is_what_scoring_finds(generate: Generate, real: Path, tmp_path: Path) -> None:
    generate(tmp_path / "out")
    selection = load_dataset("folder", real / "videos", generated=tmp_path / "out")
    assert [clip.generated is not None for clip in selection.clips] == [True] * 3
    assert not selection.extra
    assert isinstance(selection.clips[0], Clip)

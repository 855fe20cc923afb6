"""Training data of a generator: faces, frames and audio of clips, and which clips are left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.factories.media_factory import picture, tone, write_clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.face_patch import crop_face
from tlbench.observing.face_boxes import BoxRule
from tlbench.talklip.dataset import FACE_SIDE, Faces, TalkLipDataset, Tokenize, boxes_in_crop

FIXED = BoxRule("fixed", fixed=(30, 20, 130, 150))


def make_set(root: Path, side: int = 160, sample_rate: int = 16000, channels: int = 1) -> Path:
    """One clip in LRS2's layout; frames of ``side`` by ``side``."""
    video = root / "main" / "a" / "00001.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    sound = tone(0.8, sample_rate, channels)
    write_clip(
        video,
        frames=20,
        width=side,
        height=side,
        samples=sound,
        audio_codec="aac",
        sample_rate=sample_rate,
        channels=channels,
    )
    video.with_suffix(".txt").write_text("Text:  BLUE BOATS\n")
    (root / "train.txt").write_text("a/00001\n")
    return root


def prepared(
    root: Path, cache: Path, boxes: BoxRule = FIXED, min_frames: int = 10, tokenize: Tokenize | None = None
) -> TalkLipDataset:
    dataset = TalkLipDataset(
        load_dataset("lrs2", root, split="train"), boxes, cache, min_frames=min_frames, tokenize=tokenize
    )
    dataset.prepare(lambda done, total: None)
    return dataset


def test_silence_is_not_trained_on(tmp_path: Path) -> None:
    root = make_set(tmp_path / "lrs2")
    video = root / "main" / "a" / "00002.mp4"
    write_clip(video, frames=20, width=160, height=160, samples=0 * tone(0.8), audio_codec="aac")
    video.with_suffix(".txt").write_text("Text:  RED CARS\n")
    (root / "train.txt").write_text("a/00001\na/00002\n")
    failures = prepared(root, tmp_path / "cache").failures
    assert list(failures) == ["a/00002"]
    assert failures["a/00002"].code == "silent-audio"
    assert "0.00 s of its sound are audible, at least 0.2 s are needed" in failures["a/00002"].message


def test_faces_are_cut_from_the_frames_and_resized_as_the_original_does(tmp_path: Path) -> None:
    dataset = prepared(make_set(tmp_path), tmp_path / "cache")
    clip = dataset[0]
    assert dataset.lengths == [20]
    frames = clip.frames()
    assert frames.shape == (20, 160, 160, 3)
    assert frames.dtype == np.uint8
    assert clip.boxes.tolist() == [[30, 20, 130, 150]] * 20
    expected = cv2.resize(frames[7, 20:150, 30:130], (96, 96))
    assert (clip.faces[np.array([7])][0] == expected).all()  # to the last bit: they are kept without loss
    assert abs(frames[0, 100, 80].astype(int) - picture(0, 160, 160)[100, 80, ::-1]).max() < 20  # BGR


def test_a_prepared_clip_is_not_decoded_again(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    prepared(root, tmp_path / "cache")
    files = list((tmp_path / "cache" / "material").rglob("*.npz"))
    assert len(files) == 1
    changed = files[0].stat().st_mtime_ns
    prepared(root, tmp_path / "cache", min_frames=5, tokenize=lambda text: [4, 2])
    assert [path.stat().st_mtime_ns for path in (tmp_path / "cache" / "material").rglob("*.npz")] == [changed]


def test_faces_are_encoded_without_loss_and_decoded_by_row() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, FACE_SIDE, FACE_SIDE, 3), np.uint8)
    faces = Faces.encode(pictures)
    assert len(faces) == 5
    rows = np.array([4, 0, 0, 2])
    assert (faces[rows] == pictures[rows]).all()
    with pytest.raises(TlbenchError, match="face 3 of a clip is damaged in the cache"):
        Faces(np.zeros_like(faces.packed), faces.ends)[np.array([3])]


def test_the_cache_takes_less_than_a_third_of_the_pixels(tmp_path: Path) -> None:
    """Raw frames and faces have 77 kB a frame; the audio is 1.3 kB of it."""
    prepared(make_set(tmp_path), tmp_path / "cache")
    (file,) = (tmp_path / "cache" / "material").rglob("*.npz")
    assert file.stat().st_size < 20 * 160 * 160 * 3 / 3


def test_a_video_that_changes_during_a_training_is_refused(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    clip = prepared(root, tmp_path / "cache")[0]
    write_clip(
        root / "main" / "a" / "00001.mp4", frames=19, width=160, height=160, samples=tone(0.8), audio_codec="aac"
    )
    with pytest.raises(
        TlbenchError, match=r"clip a/00001: 00001.mp4 has 19 frames, not 20 as at the start of the training"
    ):
        clip.frames()


def test_a_box_outside_the_frame_is_cropped_at_its_edge() -> None:
    frame = np.arange(160 * 160 * 3, dtype=np.int64).reshape(160, 160, 3).astype(np.uint8)
    face = crop_face(frame, np.array([100, 110, 190, 200]))
    assert (face == cv2.resize(frame[110:160, 100:160], (FACE_SIDE, FACE_SIDE))).all()
    with pytest.raises(ClipError, match="is outside its frame"):
        crop_face(frame, np.array([160, 0, 200, 50]))


def test_boxes_follow_their_frames_into_lrs2_s_framing() -> None:
    square = np.array([[100.0, 50.0, 200.0, 150.0]])  # half a side is 50 px: a window of 140 from (80, 50)
    inside = boxes_in_crop(np.array([[110, 60, 190, 150]]), square)
    scale = 160 / 140
    assert inside.tolist() == [[round(30 * scale), round(10 * scale), round(110 * scale), round(100 * scale)]]


def test_tokens_are_the_experts(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    assert prepared(root, tmp_path / "cache", tokenize=lambda text: [len(text), 2])[0].tokens == [10, 2]
    assert prepared(root, tmp_path / "cache")[0].tokens == []


def test_audio_of_another_rate_in_two_channels_is_converted_and_reported(tmp_path: Path) -> None:
    dataset = prepared(make_set(tmp_path, sample_rate=44100, channels=2), tmp_path / "cache")
    assert dataset.converted == {"a/00001": "44100 Hz in 2 channels"}
    assert abs(len(dataset[0].samples) / 16000 - 0.8) < 0.1


def test_a_clip_without_a_face_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"the first: clip a/00001: no face was found in any frame"):
        prepared(make_set(tmp_path), tmp_path / "cache", BoxRule("haar"))


def test_a_clip_shorter_than_the_minimum_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"clip a/00001: has 20 frames; at least 21 are needed"):
        prepared(make_set(tmp_path), tmp_path / "cache", min_frames=21)


def test_words_unknown_to_the_expert_are_reported(tmp_path: Path) -> None:
    def tokenize(text: str) -> list[int]:
        raise TlbenchError(f"text {text!r}: another vocabulary")

    with pytest.raises(TlbenchError, match=r"clip a/00001: text 'BLUE BOATS': another vocabulary"):
        prepared(make_set(tmp_path), tmp_path / "cache", tokenize=tokenize)


def test_a_clip_without_transcript_is_left_out_only_with_an_expert(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    (root / "main/a/00001.txt").unlink()
    assert len(prepared(root, tmp_path / "cache")) == 1
    with pytest.raises(TlbenchError, match=r"clip a/00001: has no transcript, which the expert needs"):
        prepared(root, tmp_path / "cache", tokenize=lambda text: [2])


def test_frames_of_another_size_are_framed_and_faces_keep_the_video_s_detail(tmp_path: Path) -> None:
    frames, boxes = tmp_path / "frames", tmp_path / "boxes"
    frames.mkdir()
    boxes.mkdir()
    write_clip(frames / "a.mp4", frames=12, width=320, height=240, samples=tone(0.5), audio_codec="aac")
    np.save(boxes / "a.npy", np.array([[100, 60, 200, 180]] * 12))
    (tmp_path / "list.csv").write_text("id,reference,transcript,generated\na,frames/a.mp4,blue boats,frames/a.mp4\n")
    selection = load_dataset("folder", None, manifest=tmp_path / "list.csv", boxes=boxes)
    dataset = TalkLipDataset(selection, BoxRule("haar"), tmp_path / "cache", min_frames=10)
    dataset.prepare(lambda done, total: None)
    clip = dataset[0]
    framed = clip.frames()
    assert framed.shape == (12, 160, 160, 3)
    assert len(clip.faces) == 12
    x1, y1, x2, y2 = clip.boxes[3]
    seen = cv2.resize(framed[3, y1:y2, x1:x2], (96, 96)).astype(int)
    assert abs(seen - clip.faces[np.array([3])][0]).mean() < 4  # the same face, to what resizing twice costs
    assert (x2 - x1, y2 - y1) == pytest.approx((100 * 160 / 168, 120 * 160 / 168), abs=1)

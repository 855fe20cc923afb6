"""Clips that SyncNet can't score, silent or short ones: their findings, and whether the run is complete."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tests.trouble.stream_damage import Loss, overwritten
from tlbench import check, score
from tlbench.checkpoints.package import own_package, write_package
from tlbench.media.audio import LEAST_SOUND_SECONDS
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observers.syncnet.train import TrainableSyncNet
from tlbench.preflight.frames import LEAST_SYNC_FRAMES
from tlbench.scoring.result import Result
from tlbench.training.trainable import LabelInventory

SYNC = ("lse_c/sound", "lse_d/sound", "in_sync/sound", "offset_size/sound")
NAMES = ("a", "b")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "small"
    package = TrainableSyncNet.from_scratch("tiny", LabelInventory((), (), ()), 0).package()
    write_package(own_package(package, SyncNet.views["small-whole"], {}, half=True), folder)
    return folder


def voice(frames: int, loudness: float = 3000.0, seed: int = 0) -> np.ndarray:
    """(N, 1) int16 noise, 16 kHz."""
    return (np.random.default_rng(seed).standard_normal((frames * 640, 1)) * loudness).astype(np.int16)


def clip(folder: Path, name: str, frames: int, crf: int, samples: np.ndarray | None = None) -> None:
    """160 x 160, with sound as loud as speech unless given."""
    folder.mkdir(exist_ok=True)
    sound = voice(frames, seed=NAMES.index(name)) if samples is None else samples
    write_clip(
        folder / f"{name}.mp4",
        frames=frames,
        width=160,
        height=160,
        samples=sound,
        audio_codec="aac",
        codec_options={"crf": str(crf)},
        container_options={"movflags": "faststart"},
    )


def scored(root: Path, weights: Path, lengths: dict[str, int], sounds: dict[str, np.ndarray] | None = None) -> Result:
    """Real clips of 30 frames, or of the length given as ``real``; generated ones of these lengths and sounds."""
    for number, name in enumerate(NAMES):
        clip(root / "real", name, lengths.get("real", 30), 12)
        clip(root / "made", name, lengths.get(name, lengths.get("real", 30)), 30 + number, (sounds or {}).get(name))
        (root / "boxes").mkdir(exist_ok=True)
        np.save(root / "boxes" / f"{name}.npy", np.tile(np.array([30, 30, 130, 130]), (lengths.get("real", 30), 1)))
    return scored_as_they_are(root, weights)


def scored_as_they_are(root: Path, weights: Path) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return score(
            root / "made",
            "folder",
            root / "real",
            metrics=[*SYNC, "psnr/sound"],
            boxes=root / "boxes",
            weights={"syncnet": weights},
            device="cpu",
            cache=root / "cache",
            out=root / "out",
        )


def told(result: Result, name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Level, code and observers of one clip's findings, but for the sound's format."""
    return [(f.level, f.code, f.observers) for f in result.by_id[name].findings if f.level != "info"]


SILENCES = {
    "nothing": np.zeros((30 * 640, 1), np.int16),
    "an offset": np.full((30 * 640, 1), 500, np.int16),
    "hiss": voice(30, 5.0),
    "a click": np.where(np.arange(30 * 640)[:, None] == 7000, 20000, 0).astype(np.int16),
}


@pytest.mark.parametrize("samples", SILENCES.values(), ids=SILENCES)
def test_silent_sound_is_an_error_for_sync_and_for_nobody_else(
    tmp_path: Path, weights: Path, samples: np.ndarray
) -> None:
    result = scored(tmp_path, weights, {}, {"a": samples})
    assert ("error", "silent-audio", ("syncnet",)) in told(result, "a")
    assert "silent-audio" not in [code for _, code, _ in told(result, "b")]
    assert [result.row(key).scored for key in (*SYNC, "psnr/sound")] == [1, 1, 1, 1, 2]
    assert not result.complete


@pytest.mark.parametrize(("share", "level", "code"), [(0.5, "error", "sound-lost"), (0.01, "warning", "sound-missing")])
def test_lost_sound_is_told_by_check_and_score_alike(
    tmp_path: Path, weights: Path, share: float, level: str, code: str
) -> None:
    clip(tmp_path / "real", "a", 30, 12)
    clip(tmp_path / "whole", "a", 30, 30)
    (tmp_path / "made").mkdir()
    overwritten(tmp_path / "whole/a.mp4", tmp_path / "made/a.mp4", Loss("middle", "sound", share), random.Random(1))
    (tmp_path / "boxes").mkdir()
    np.save(tmp_path / "boxes/a.npy", np.tile(np.array([30, 30, 130, 130]), (30, 1)))
    of_check = check(tmp_path / "made", "folder", tmp_path / "real", boxes=tmp_path / "boxes", workers=1).findings
    assert (level, code) in {(found.level, found.code) for found in of_check}
    result = scored_as_they_are(tmp_path, weights)
    lost = level == "error"
    assert (level, code, ("syncnet",) if lost else ()) in told(result, "a")
    assert [result.row(key).scored for key in (*SYNC, "psnr/sound")] == [not lost] * 4 + [1]
    assert result.complete == (not lost)
    again = scored_as_they_are(tmp_path, weights)  # the findings come from the cache
    assert told(again, "a") == told(result, "a")


def test_a_word_in_silence_is_heard(tmp_path: Path, weights: Path) -> None:
    samples = np.zeros((30 * 640, 1), np.int16)
    samples[3000 : 3000 + int(16000 * (LEAST_SOUND_SECONDS + 0.1))] = voice(30)[
        : int(16000 * (LEAST_SOUND_SECONDS + 0.1))
    ]
    result = scored(tmp_path, weights, {}, {"a": samples})
    assert result.row("lse_c/sound").scored == 2
    assert result.complete


def test_a_clip_that_is_short_itself_leaves_the_run_complete(tmp_path: Path, weights: Path) -> None:
    result = scored(tmp_path, weights, {"real": LEAST_SYNC_FRAMES - 1})
    for name in NAMES:
        assert ("warning", "short-clip", ("syncnet",)) in told(result, name)
    assert [result.row(key).scored for key in (*SYNC, "psnr/sound")] == [0, 0, 0, 0, 2]
    assert result.complete


def test_clips_of_the_least_length_are_scored(tmp_path: Path, weights: Path) -> None:
    result = scored(tmp_path, weights, {"real": LEAST_SYNC_FRAMES})
    assert [result.row(key).scored for key in SYNC] == [2, 2, 2, 2]
    assert result.complete


def test_a_video_that_is_short_though_its_clip_is_not_is_one_error(tmp_path: Path, weights: Path) -> None:
    result = scored(tmp_path, weights, {"real": LEAST_SYNC_FRAMES + 2, "a": LEAST_SYNC_FRAMES - 1})
    found = told(result, "a")
    assert [entry for entry in found if entry[0] == "error"] == [("error", "too-short", ("syncnet",))]
    assert [result.row(key).scored for key in (*SYNC, "psnr/sound")] == [1, 1, 1, 1, 2]
    assert not result.complete
    assert result.clips_in_error == ("a",)

"""LSE on given tracks equals joonson/syncnet_python's: tracking, smoothing, crops, distances, scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.golden.formula import fill
from tests.golden.tracks_inputs import detections, frames, samples
from tlbench.media.face_tracks import Track, TrackRule, crop_track, find_tracks
from tlbench.media.video_reader import FrameChunk
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.syncnet.dims import PUBLISHED
from tlbench.observers.syncnet.fast_model import FastSyncNet
from tlbench.observers.syncnet.inference import Lips, Passes, track_lips, track_values
from tlbench.observers.syncnet.model import SyncNetModel
from tlbench.observers.syncnet.view import FACE_TRACK
from tlbench.observing.evidence import Evidence

EXPECTED: list[dict[str, Any]] = json.loads((Path(__file__).with_name("tracks") / "expected.json").read_text())
LONG = [item for item in EXPECTED if item["min_track"] == 100]
ALL = [item for item in EXPECTED if item["min_track"] == 50]


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    return frames()


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    return find_tracks(detections(), FACE_TRACK.rule)


def test_the_goldens_have_a_long_track_with_a_gap_and_a_short_one() -> None:
    assert [(item["start"], item["frames"]) for item in LONG] == [(2, 110)]
    assert [(item["start"], item["frames"]) for item in ALL] == [(2, 110), (20, 60)]


def test_tracks_are_those_of_the_original(tracks: list[Track]) -> None:
    assert [(track.start, len(track)) for track in tracks] == [(item["start"], item["frames"]) for item in ALL]
    assert [(track.start, len(track)) for track in find_tracks(detections(), TrackRule())] == [(2, 110)]
    for track, item in zip(tracks, ALL, strict=True):
        np.testing.assert_allclose(track.xyxy[30], item["xyxy_of_frame_30"], rtol=1e-12)
        np.testing.assert_allclose(track.centre_xy.sum(axis=0), [item["x"], item["y"]], rtol=1e-12)
        np.testing.assert_allclose(track.half_px.sum(), item["s"], rtol=1e-12)


def test_crops_are_those_of_the_original_to_the_bit(tracks: list[Track], video: np.ndarray) -> None:
    for track, item in zip(tracks, ALL, strict=True):
        crops = np.stack([crop_track(video[track.start + i], track, i) for i in range(len(track))])[..., ::-1]
        assert crops.mean() == pytest.approx(item["crop_mean"], rel=1e-12)
        assert hashlib.sha256(np.ascontiguousarray(crops).tobytes()).hexdigest() == item["crops_sha256"]


@pytest.mark.slow
def test_scores_are_those_of_the_original(tracks: list[Track], video: np.ndarray) -> None:
    model = SyncNetModel()
    fill(model.state_dict())
    passes = Passes(FastSyncNet(model.eval().requires_grad_(False)), torch.device("cpu"))
    lips = track_lips(tracks, _chunks(video), partial(Lips, passes, PUBLISHED))
    values = track_values(passes, lips, samples())
    evidence = Evidence("syncnet", values)
    assert evidence.array("track_faces").tolist() == [105, 60]
    for name in ("lse_d", "lse_c"):
        scale = np.array([item["lse_d"] for item in ALL])  # LSE-C is a difference of two distances
        expected = np.array([item[name] for item in ALL])
        assert (np.abs(evidence.array(f"track_{name}") - expected) < 1e-5 * scale).all()
        long, both = (find_metric(f"{name}_{which}/paper").tally(evidence).value for which in ("track", "track50"))
        assert long == pytest.approx(LONG[0][name], abs=1e-5 * LONG[0]["lse_d"])
        assert both == pytest.approx(expected.mean(), abs=1e-5 * scale.max())
    assert evidence.array("track_offset_frames").tolist() == [item["offset_frames"] for item in ALL]


def _chunks(video: np.ndarray) -> Iterator[FrameChunk]:
    for start in range(0, len(video), 32):
        pictures = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in video[start : start + 32]]
        chunk = FrameChunk(start, tuple(pictures))
        np.testing.assert_array_equal(chunk.rgb, video[start : start + 32])
        yield chunk

"""PSNR and SSIM are those of the original script, frame by frame, from files on disk to the number in the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tlbench.datasets.clip import Clip
from tlbench.media.box_files import read_boxes
from tlbench.media.video_reader import VideoReader
from tlbench.media.views import open_view
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.pixels.observer import FACE, Pixels
from tlbench.observers.pixels.psnr import mean_squared_error, psnr_db, wrapped_psnr_db
from tlbench.observers.pixels.ssim import ssim
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk

HERE = Path(__file__).parent
PSNR_DB = 1e-9  # both sides are the same sums of integers; only the logarithm rounds
SSIM = 1e-9  # float64 sums in another order


def observe(generated: Path, reference: Path, boxes: Path) -> Evidence:
    observer = Pixels.load(None, ("face",), "cpu")  # the original looks at nothing else
    state = observer.start_clip(Clip(generated.stem), None)
    xyxy = read_boxes(boxes).xyxy
    for seen, real in zip(VideoReader(generated).frames(), VideoReader(reference).frames(), strict=True):
        state.update(ClipChunk(seen, real, xyxy[real.start : real.start + len(real)]))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence)
    return evidence


def check(name: str, clips: Path, golden: Path) -> None:
    frames = np.load(golden / "frames.npz")
    whole = json.loads((golden / "visual.json").read_text("utf-8"))[name]
    evidence = observe(clips / f"{name}_pert.mp4", clips / f"{name}.mp4", clips / f"{name}.npy")
    np.testing.assert_allclose(
        evidence.array("face_psnr_wrapped"), frames[f"{name}_psnr_original"], rtol=0, atol=PSNR_DB
    )
    np.testing.assert_allclose(evidence.array("face_mse"), frames[f"{name}_mse"], rtol=1e-12)
    np.testing.assert_allclose(evidence.array("face_ssim"), frames[f"{name}_ssim"], rtol=0, atol=SSIM)
    stated = {
        "psnr/paper": whole["psnr_original_mean"],
        "psnr_frame_mean/sound": whole["psnr_correct_frame_mean"],
        "psnr/sound": whole["psnr_correct_pooled_mse"],
        "ssim/paper": whole["ssim_mean"],
    }
    for key, expected in stated.items():
        metric = find_metric(key)
        assert metric.value(metric.tally(evidence)) == pytest.approx(expected, rel=0, abs=1e-9), key


@pytest.mark.parametrize("name", ["clip_a", "clip_b", "clip_c", "clip_c256"])
def test_clips_score_as_in_the_original_script(name: str) -> None:
    check(name, HERE / "clips", HERE / "visual")


@pytest.mark.parametrize("name", ["grid_s1", "grid_s2"])
def test_clips_of_real_video_score_as_in_the_original_script(name: str, shared: Path) -> None:
    check(name, shared / "golden" / "clips", shared / "golden" / "visual")


@pytest.mark.parametrize("name", ["clip_a", "clip_b", "clip_c", "clip_c256"])
def test_the_face_crops_are_the_original_scripts_to_the_pixel(name: str) -> None:
    golden = np.load(HERE / "visual" / "frames.npz")
    boxes = read_boxes(HERE / "clips" / f"{name}.npy").xyxy
    crops = []
    for file, third in ((f"{name}.mp4", "gt96_f3"), (f"{name}_pert.mp4", "sy96_f3")):
        stream = open_view(FACE)
        runs = VideoReader(HERE / "clips" / file).frames()
        crops.append(np.concatenate([stream.apply(run, boxes[run.start : run.start + len(run)]) for run in runs]))
        np.testing.assert_array_equal(crops[-1][3, :, :, ::-1], golden[f"{name}_{third}"])  # the original's are BGR
    sums = np.stack([crop.reshape(len(crop), -1).sum(axis=1, dtype=np.int64) for crop in crops], axis=1)
    np.testing.assert_array_equal(sums, golden[f"{name}_pixsums"])


def test_noise_of_any_strength_scores_as_in_the_original_script() -> None:
    """The sweep's recipe is the golden's own: a sinusoid, and RandomState(7) normals drawn one after another."""
    y, x, c = np.ogrid[:96, :96, :3]
    base = np.uint8(127.5 + 100 * np.sin(0.11 * y + 0.07 * x + c))
    noise = np.random.RandomState(7)
    for step in json.loads((HERE / "visual" / "visual.json").read_text("utf-8"))["_sweep"]:
        noisy = np.uint8(np.clip(np.rint(base + step["sigma"] * noise.standard_normal(base.shape)), 0, 255))
        pair = base[None], noisy[None]
        assert wrapped_psnr_db(*pair)[0] == pytest.approx(step["original"], rel=0, abs=PSNR_DB)
        assert ssim(*pair)[0] == pytest.approx(step["ssim"], rel=0, abs=SSIM)
        if step["correct"] is not None:
            assert psnr_db(mean_squared_error(*pair))[0] == pytest.approx(step["correct"], rel=0, abs=PSNR_DB)

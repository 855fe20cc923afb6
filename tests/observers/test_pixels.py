"""PSNR and SSIM against their definitions and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.faces import Boxes
from tlbench.media.followed import FILLED, FOUND, NO_FACE, FollowedFace
from tlbench.media.video_reader import FrameChunk
from tlbench.metrics.quality import METRICS
from tlbench.observers.pixels.observer import Pixels
from tlbench.observers.pixels.psnr import mean_squared_error, psnr_db, wrapped_psnr_db
from tlbench.observers.pixels.ssim import ssim, ssim_by_row
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk


def as_published(a: np.ndarray, b: np.ndarray) -> float:
    mse = np.mean((a - b) ** 2)  # uint8: this is the fault
    return 100.0 if mse == 0 else 20 * np.log10(255.0 / np.sqrt(mse))


def stack(seed: int, count: int = 2, height: int = 24, width: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_wrapped_psnr_is_the_literal_uint8_formula(seed: int, spread: int) -> None:
    a = stack(seed)
    b = a + np.random.default_rng(seed + 1).integers(0, spread + 1, a.shape, dtype=np.uint8)
    expected = [as_published(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(wrapped_psnr_db(a, b), expected, rtol=0, atol=1e-9)


def test_a_difference_of_sixteen_counts_as_none_in_the_published_arithmetic() -> None:
    a = np.full((1, 12, 12, 3), 100, np.uint8)
    assert wrapped_psnr_db(a, a + 16)[0] == 100.0
    assert psnr_db(mean_squared_error(a, a + 16))[0] == pytest.approx(24.05, abs=0.005)


def test_wrapped_psnr_does_not_mind_which_frame_is_subtracted() -> None:
    a, b = stack(1), stack(2)
    np.testing.assert_array_equal(wrapped_psnr_db(a, b), wrapped_psnr_db(b, a))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_mean_squared_error_is_exact(seed: int) -> None:
    a, b = stack(seed), stack(seed + 1)
    expected = ((a.astype(np.int64) - b) ** 2).reshape(2, -1).sum(axis=1) / a[0].size
    np.testing.assert_array_equal(mean_squared_error(a, b), expected)


def test_mean_squared_error_of_a_large_frame_does_not_overflow() -> None:
    black = np.zeros((1, 1080, 1920, 3), np.uint8)
    white = ~black
    white[0, 0, 0, 0] = 254
    assert mean_squared_error(black, white)[0] == (255**2 * (black.size - 1) + 254**2) / black.size


def by_scikit_image(a: np.ndarray, b: np.ndarray) -> list[float]:
    return [
        structural_similarity(x, y, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=255)
        for x, y in zip(a, b, strict=True)
    ]


# The last three are cut into strips: two that overlap, narrow ones, and one of a width for which few rows are taken.
@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (33, 34), (96, 96), (121, 150), (257, 60), (50, 400)])
def test_ssim_is_scikit_images(shape: tuple[int, int]) -> None:
    a, noise = stack(3, 3, *shape), stack(4, 3, *shape)
    b = a // 2 + noise // 2
    np.testing.assert_allclose(ssim(a, b), by_scikit_image(a, b), rtol=0, atol=1e-9)


@pytest.mark.parametrize("pair", [(0, 0), (255, 255), (0, 255), (7, 8)])
def test_ssim_of_flat_images_is_scikit_images(pair: tuple[int, int]) -> None:
    a, b = (np.full((1, 20, 20, 3), level, np.uint8) for level in pair)
    np.testing.assert_allclose(ssim(a, b), by_scikit_image(a, b), rtol=0, atol=1e-9)


def test_ssim_of_black_beside_white_is_scikit_images() -> None:
    """The input on which float32 loses most: large flat areas, differently bright."""
    a, b = np.zeros((1, 96, 96, 3), np.uint8), np.full((1, 96, 96, 3), 160, np.uint8)
    a[:, :, 48:] = 255
    b[:, 48:] = 90
    np.testing.assert_allclose(ssim(a, b), by_scikit_image(a, b), rtol=0, atol=1e-9)


def test_ssim_of_identical_frames_is_one_exactly() -> None:
    a = stack(5, 3, 40, 50)
    assert np.all(ssim(a, a.copy()) == 1.0)


def test_a_frame_has_the_same_ssim_whoever_else_is_in_the_run() -> None:
    a, b = stack(6, 20, 30, 30), stack(7, 20, 30, 30)
    np.testing.assert_array_equal(ssim(a, b), np.concatenate([ssim(a[k : k + 1], b[k : k + 1]) for k in range(20)]))


@given(st.integers(0, 29))
@settings(max_examples=10, deadline=None)
def test_the_rows_from_k_on_are_those_of_the_frame_cut_off_above_k(k: int) -> None:
    a, b = stack(8, 2, 40, 24), stack(9, 2, 40, 24)
    np.testing.assert_allclose(ssim_by_row(a, b)[:, k:], ssim_by_row(a[:, k:], b[:, k:]), rtol=0, atol=1e-12)


class ArrayFrames(FrameChunk):
    """Frames that never were in a file."""

    def __init__(self, start: int, rgb: np.ndarray) -> None:
        super().__init__(start, tuple([None] * len(rgb)))  # type: ignore[arg-type]
        object.__setattr__(self, "rgb", rgb)


BOX = np.array([[4, 4, 16, 20]])


def look(
    seen: np.ndarray, real: np.ndarray, boxes: np.ndarray, regions: tuple[str, ...] = ("face", "mouth", "frame")
) -> Evidence | ClipError:
    observer = Pixels.load(None, regions, "cpu")
    state = observer.start_clip(Clip("c"), None)
    state.update(ClipChunk(ArrayFrames(0, seen), ArrayFrames(0, real), boxes))
    return observer.compute([state])[0]


def test_compared_are_as_many_frames_as_both_videos_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.observers.pixels.observer._first", lambda f, n: ArrayFrames(f.start, f.rgb[:n]))
    evidence = look(stack(1, 3), stack(1, 5), BOX.repeat(5, 0))
    assert isinstance(evidence, Evidence)
    counts = [evidence.values[name] for name in ("frames", "frames_generated", "frames_reference")]
    assert counts == [3, 3, 5]
    assert len(evidence.array("face_mse")) == 3


def test_evidence_of_each_region_is_that_of_its_pixels() -> None:
    real, seen = stack(1, 3, 120, 110), stack(2, 3, 120, 110) // 2
    x1, y1, x2, y2 = box = (7, 9, 103, 105)  # 96x96, so that resizing changes nothing
    evidence = look(seen, real, np.array([box]).repeat(3, 0))
    assert isinstance(evidence, Evidence)
    face = [frames[:, y1:y2, x1:x2] for frames in (real, seen)]
    pairs = {"face": face, "mouth": [crop[:, 48:] for crop in face], "frame": [real, seen]}
    for region, (a, b) in pairs.items():
        np.testing.assert_array_equal(evidence.array(f"{region}_mse"), mean_squared_error(a, b))
        np.testing.assert_array_equal(evidence.array(f"{region}_psnr_wrapped"), wrapped_psnr_db(a, b))
        np.testing.assert_allclose(evidence.array(f"{region}_ssim"), by_scikit_image(a, b), rtol=0, atol=1e-9)


@pytest.mark.parametrize("regions", [("face",), ("mouth",), ("frame",)])
def test_only_the_regions_asked_for_are_in_the_evidence(regions: tuple[str, ...]) -> None:
    evidence = look(stack(1), stack(2), BOX.repeat(2, 0), regions)
    assert isinstance(evidence, Evidence)
    assert {name.split("_")[0] for name in evidence.values} == {"frames", *regions}


def test_how_a_clip_is_cut_into_runs_does_not_matter() -> None:
    real, seen, boxes = stack(1, 7), stack(2, 7), BOX.repeat(7, 0)
    observer = Pixels.load(None, ("face", "mouth", "frame"), "cpu")
    state = observer.start_clip(Clip("c"), None)
    for start, stop in ((0, 1), (1, 5), (5, 7)):
        cut = slice(start, stop)
        state.update(ClipChunk(ArrayFrames(start, seen[cut]), ArrayFrames(start, real[cut]), boxes[cut]))
    (in_runs,) = observer.compute([state])
    whole = look(seen, real, boxes)
    assert isinstance(in_runs, Evidence)
    assert isinstance(whole, Evidence)
    assert in_runs.values.keys() == whole.values.keys()
    for name in whole.values:
        np.testing.assert_array_equal(in_runs.array(name), whole.array(name))


def test_a_frame_smaller_than_the_window_has_no_ssim() -> None:
    evidence = look(stack(1, 2, 10, 20), stack(2, 2, 10, 20), np.array([[0, 0, 8, 8]]).repeat(2, 0))
    assert isinstance(evidence, Evidence)
    assert "frame_mse" in evidence.values
    assert "frame_ssim" not in evidence.values


def test_the_whole_frame_is_left_out_if_the_sizes_differ_and_the_face_is_cut_by_the_same_box() -> None:
    evidence = look(stack(1, 2, 30, 26), stack(1, 2), BOX.repeat(2, 0))
    assert isinstance(evidence, Evidence)
    assert "frame_mse" not in evidence.values
    assert len(evidence.array("face_ssim")) == 2


def test_a_box_outside_the_frame_names_frame_and_box() -> None:
    with pytest.raises(ClipError, match=r"frame 0: box \[40, 4, 60, 20\]") as caught:
        look(stack(1), stack(1), np.array([[40, 4, 60, 20]]).repeat(2, 0))
    assert caught.value.code == "empty-crop"


def test_a_missing_box_names_the_frame() -> None:
    with pytest.raises(ClipError, match="no face box for frame 1") as caught:
        look(stack(1), stack(1), BOX)
    assert caught.value.code == "boxes-too-short"


def test_videos_without_a_common_frame_are_a_reason_not_a_number() -> None:
    observer = Pixels.load(None, ("face",), "cpu")
    (outcome,) = observer.compute([observer.start_clip(Clip("c"), None)])
    assert isinstance(outcome, ClipError)
    assert outcome.code == "no-frames"


def follow(states: list[int], followed: np.ndarray, best: np.ndarray) -> Boxes:
    missing = sum(state != FOUND for state in states)
    return Boxes(best, missing, "haar", FollowedFace(followed, np.array(states, np.uint8)))


def look_at_faces(seen: np.ndarray, real: np.ndarray, boxes: Boxes) -> Evidence:
    """In runs of two frames."""
    observer = Pixels.load(None, ("face", "mouth", "frame"), "cpu")
    state = observer.start_clip(Clip("c"), None)
    state.clip_boxes = boxes
    for start in range(0, len(seen), 2):
        cut = slice(start, start + 2)
        state.update(ClipChunk(ArrayFrames(start, seen[cut]), ArrayFrames(start, real[cut]), boxes.xyxy[cut]))
    (evidence,) = observer.compute([state])
    assert isinstance(evidence, Evidence)
    return evidence


def test_a_face_that_is_always_the_best_one_leaves_the_evidence_as_it_was() -> None:
    seen, real, rows = stack(1, 6), stack(2, 6), BOX.repeat(6, 0)
    alone, followed = look(seen, real, rows), look_at_faces(seen, real, follow([FOUND] * 6, rows, rows))
    assert isinstance(alone, Evidence)
    assert followed.to_json() == alone.to_json()


@given(st.lists(st.sampled_from([FOUND, FILLED, NO_FACE]), min_size=1, max_size=7))
@settings(max_examples=25, deadline=None)
def test_sound_is_that_of_the_frames_with_a_face_and_paper_that_of_all(states: list[int]) -> None:
    count = len(states)
    seen, real = stack(1, count), stack(2, count)
    best, own = BOX.repeat(count, 0), (BOX + 2).repeat(count, 0)
    followed = np.where(np.array(states)[:, None] == FOUND, best, own)
    evidence = look_at_faces(seen, real, follow(states, followed, best))
    paper, sound = look(seen, real, best), look(seen, real, followed)
    assert isinstance(paper, Evidence)
    assert isinstance(sound, Evidence)
    for name, value in paper.values.items():
        np.testing.assert_array_equal(evidence.values[name], value)
    there = np.array(states) != NO_FACE
    there &= there.mean() >= 0.5
    for metric in METRICS:
        of_frames = "wrapped" not in metric.key and metric.arithmetic == "sound" and metric.view != "frame"
        name = f"{metric.view}_{'ssim' if metric.name.startswith('ssim') else 'mse'}"
        if of_frames:
            kept = Evidence("pixels", {name: sound.array(name)[there]})
            assert metric.tally(evidence) == metric.tally(kept)
        else:
            assert metric.tally(evidence) == metric.tally(paper)

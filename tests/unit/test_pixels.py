"""The arithmetic of pixels against its literal definition and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.video import Frames
from tlbench.observers.pixels.observer import Pixels
from tlbench.observers.pixels.psnr import mean_squared_error, psnr_db, wrapped_psnr_db
from tlbench.observers.pixels.ssim import ssim
from tlbench.observing.evidence import Evidence


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


@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (33, 34), (96, 96), (121, 50)])
def test_ssim_is_scikit_images(shape: tuple[int, int]) -> None:
    a, noise = stack(3, 5, *shape), stack(4, 5, *shape)
    b = a // 2 + noise // 2
    expected = [
        structural_similarity(x, y, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=255)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("pair", [(0, 0), (255, 255), (0, 255), (7, 8)])
def test_ssim_of_flat_images_is_scikit_images(pair: tuple[int, int]) -> None:
    a, b = (np.full((1, 20, 20, 3), level, np.uint8) for level in pair)
    expected = structural_similarity(
        a[0], b[0], channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=255
    )
    assert ssim(a, b)[0] == pytest.approx(expected, abs=1e-9)


class ArrayFrames(Frames):
    """Frames that never were in a file."""

    def __init__(self, start: int, rgb: np.ndarray) -> None:
        super().__init__(start, tuple([None] * len(rgb)))  # type: ignore[arg-type]
        object.__setattr__(self, "rgb", rgb)


BOX = np.array([[4, 4, 16, 20]])


def look(seen: np.ndarray, real: np.ndarray, boxes: np.ndarray) -> Evidence | ClipError:
    observer = Pixels.load(None, ("face", "mouth", "frame"), "cpu")
    watcher = observer.watch(Clip("c"), None)
    watcher.see(ArrayFrames(0, seen), ArrayFrames(0, real), boxes)
    return observer.conclude([watcher])[0]


def test_compared_are_as_many_frames_as_both_videos_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.observers.pixels.observer._first", lambda f, n: ArrayFrames(f.start, f.rgb[:n]))
    evidence = look(stack(1, 3), stack(1, 5), BOX.repeat(5, 0))
    assert isinstance(evidence, Evidence)
    assert (evidence.values["frames"], evidence.values["frames_generated"], evidence.values["frames_reference"]) == (
        3,
        3,
        5,
    )
    assert len(evidence.array("face_mse")) == 3


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
    (outcome,) = observer.conclude([observer.watch(Clip("c"), None)])
    assert isinstance(outcome, ClipError)
    assert outcome.code == "no-frames"

"""SSIM against scikit-image."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.packages import need
from tlbench.observers.pixels.ssim import ssim

images = need("scikit-image", "skimage.metrics")


@settings(max_examples=150, deadline=None)
@given(st.integers(11, 90), st.integers(11, 90), st.integers(0, 60), st.integers(0, 2**31))
def test_ssim_is_scikit_images(height: int, width: int, noise: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    a = draw.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    b = np.clip(a + draw.integers(-noise, noise + 1, a.shape), 0, 255).astype(np.uint8)
    expected = [
        images.structural_similarity(
            one, other, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=255
        )
        for one, other in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=0, atol=1e-9)

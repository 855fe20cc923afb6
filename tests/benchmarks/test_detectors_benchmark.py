"""The turned faces of the detectors' benchmark: the same in a mirror, and what is near hides what is behind it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detectors import mirrored, turned

HEIGHT, WIDTH = 12, 80
BOX = np.array([20.0, 0, 60, HEIGHT])


def head(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random picture, and the depth of a dome with a nose in the middle of its box."""
    x = np.arange(WIDTH)
    dome = 20 * np.sqrt(np.clip(1 - ((x - 40) / 22) ** 2, 0, None)) + 12 * np.exp(-(((x - 40) / 3) ** 2))
    picture = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return picture, np.tile(dome, (HEIGHT, 1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("degrees", [5.0, 30.0, 50.0])
def test_the_other_way_is_the_same_in_a_mirror(seed: int, degrees: float) -> None:
    picture, depth = head(seed)
    right, box = turned((picture, BOX), depth, degrees)
    left, other = turned((picture[:, ::-1], mirrored(BOX, WIDTH)), depth[:, ::-1], -degrees)
    np.testing.assert_array_equal(right, left[:, ::-1])
    np.testing.assert_allclose(box, mirrored(other, WIDTH))
    assert not np.array_equal(right, picture)


@pytest.mark.parametrize("degrees", [-50.0, 50.0])
def test_a_nose_hides_the_cheek_behind_it(degrees: float) -> None:
    _, depth = head(0)
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture[:, 39:42, 0] = 255  # the nose
    behind = slice(46, 52) if degrees > 0 else slice(29, 35)  # what it is turned towards
    picture[:, behind, 1] = 255
    seen, _ = turned((picture, BOX), depth, degrees)
    assert (seen[..., 0] > 200).any()
    assert not (seen[..., 1] > 128).any()
    other_way, _ = turned((picture, BOX), depth, -degrees)
    assert (other_way[..., 1] > 200).any()

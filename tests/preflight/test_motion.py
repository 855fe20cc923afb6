"""Pictures that come late are told from motion, whatever the mouth does; still or foreign motion says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlbench.media.video_reader import read_video
from tlbench.preflight.motion import MAX_LAG_FRAMES, MotionCurve, check_picture_lag, picture_lag

FRAMES = 60


def head(seed: int, frames: int = FRAMES, noise: float = 1.0, mouth: int | None = None) -> np.ndarray:
    """(frames, 96, 96, 3): a blurred pattern that sways at random, with a mouth that moves by itself."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(seed + 1000 if mouth is None else mouth)
    face = np.kron(rng.integers(40, 210, (20, 20)), np.ones((8, 8)))  # 160 x 160
    sway = np.cumsum(rng.normal(0, 0.8, (frames, 2)), axis=0)
    sway -= sway.mean(axis=0)
    opening = np.abs(np.cumsum(own.normal(0, 2, frames))) % 12
    pictures = np.empty((frames, 96, 96, 3))
    for t, (dy, dx) in enumerate(np.clip(np.round(sway), -30, 30).astype(int)):
        pictures[t] = face[32 + dy : 128 + dy, 32 + dx : 128 + dx, None]
        pictures[t, 60 : 66 + int(opening[t]), 36:60] = 30
    grain = np.random.default_rng(seed + 7).normal(0, noise, pictures.shape)
    return np.clip(pictures + grain, 0, 255).astype(np.uint8)


def curve(frames: np.ndarray, run: int = 32) -> MotionCurve:
    motion = MotionCurve()
    for start in range(0, len(frames), run):
        motion.update(frames[start : start + run])
    return motion


def moved(frames: np.ndarray, lag: int) -> np.ndarray:
    """As many frames, shown ``lag`` frames later (earlier below 0); the first or last one stands."""
    return frames[np.clip(np.arange(len(frames)) - lag, 0, len(frames) - 1)]


@settings(max_examples=40, deadline=None)
@given(st.integers(-MAX_LAG_FRAMES, MAX_LAG_FRAMES), st.integers(0, 500), st.booleans())
def test_every_lag_is_told_and_none_is_invented(lag, seed, same_mouth):
    real = head(seed)
    made = moved(head(seed, noise=2.0, mouth=None if same_mouth else seed + 5), lag)
    found = picture_lag(curve(made), curve(real, run=7))
    assert found is not None
    assert found.lag_frames == lag
    (*findings,) = check_picture_lag("a", curve(made), curve(real))
    assert [one.code for one in findings] == (["pictures-late"] if lag else [])
    if lag:
        direction = "later" if lag > 0 else "earlier"
        assert f"{abs(lag)} frame{'s' * (abs(lag) > 1)} {direction}" in findings[0].message


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500))
def test_a_mouth_that_is_late_alone_says_nothing(seed):
    real = head(seed)
    made = head(seed, noise=2.0)
    made[:, 48:, 24:72] = moved(made, 4)[:, 48:, 24:72]
    for still in (False, True):  # whether all around the mouth stands still
        if still:
            real, made = real.copy(), made.copy()
            for frames in (real, made):
                frames[:, :48], frames[:, 48:, :24], frames[:, 48:, 72:] = 90, 90, 90
        assert not list(check_picture_lag("a", curve(made), curve(real)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500))
def test_another_motion_says_nothing(seed):
    assert not list(check_picture_lag("a", curve(head(seed)), curve(head(seed + 3000))))


def test_still_short_and_periodic_videos_say_nothing():
    still = np.repeat(head(1, 1), FRAMES, axis=0)
    grain, other_grain = (
        np.clip(still + np.random.default_rng(seed).normal(0, 1.5, still.shape), 0, 255).astype(np.uint8)
        for seed in (0, 1)
    )
    nods = head(2, 6)[np.arange(FRAMES) % 6]
    for real, made in ((still, still), (grain, other_grain), (head(3, 12), moved(head(3, 12), 3)), (nods, nods)):
        assert not list(check_picture_lag("a", curve(made), curve(real)))
    assert not list(check_picture_lag("a", curve(head(4)[:0]), curve(head(4))))
    assert not list(check_picture_lag("a", curve(moved(nods, 4)), curve(nods)))


@pytest.mark.parametrize("frames", [40, 50])
def test_fewer_frames_are_no_lag(frames):
    assert not list(check_picture_lag("a", curve(head(5)[:frames]), curve(head(5))))


def test_real_clips(shared):
    clips = sorted((shared / "data/grid/s1").glob("*.mp4"))[:3]
    whole = [read_video(path) for path in clips]
    for real, other in zip(whole, whole[1:] + whole[:1], strict=True):
        for lag in (-3, 0, 1, 6):
            found = picture_lag(curve(moved(real, lag)), curve(real))
            assert found is not None
            assert found.lag_frames == lag
        assert not list(check_picture_lag("a", curve(other), curve(real)))

"""Metrics against values worked out by hand, and what the catalogue answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics import catalogue
from tlbench.metrics import sync as sync_metrics
from tlbench.metrics.catalogue import all_metrics, find_metric, find_metrics
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sync import CONFIDENCE_FLOOR
from tlbench.metrics.tally import MeanTally, Tally
from tlbench.observers.syncnet.decode import (
    FEWEST_WINDOWS,
    FRAMES_LOST,
    LEAST_SHIFT_FRAMES,
    LEAST_WINDOWS,
    MAX_SHIFT_FRAMES,
)
from tlbench.observing.evidence import Evidence, Value
from tlbench.preflight.frames import LEAST_SYNC_FRAMES


def pooled(key: str, *clips: Evidence) -> float | None:
    metric = find_metric(key)
    tallies: list[Tally] = [metric.tally(clip) for clip in clips]
    return metric.value(sum(tallies[1:], tallies[0]))


def pixels(*mse: float, wrapped: float = 30.0, ssim: float = 0.5) -> Evidence:
    count = len(mse)
    values = {
        "face_mse": np.array(mse),
        "face_psnr_wrapped": np.full(count, wrapped),
        "face_ssim": np.full(count, ssim),
    }
    return Evidence("pixels", values)


def sync(offset_frames: int = 0, lse_c: float = 7.0, lse_d: float = 6.0, at_zero: float = 6.0) -> Evidence:
    numbers = {"lse_c": lse_c, "lse_d": lse_d, "offset_frames": offset_frames, "zero_offset_distance": at_zero}
    values: dict[str, Value] = {f"{view}_{name}": x for view in ("paper", "common") for name, x in numbers.items()}
    return Evidence("syncnet", {**values, "windows": 70, "common_max_shift_frames": 15})


def test_published_psnr_and_ssim_weigh_frames_not_clips() -> None:
    short, long = pixels(9, wrapped=40.0, ssim=1.0), pixels(9, 9, 9, wrapped=30.0, ssim=0.6)
    assert pooled("psnr/paper", short, long) == pytest.approx(32.5)
    assert pooled("ssim/paper", short, long) == pytest.approx(0.7)


def test_sound_psnr_pools_the_error_before_the_logarithm() -> None:
    # 10 log10(255^2 / 100): the mean error of 0, 0, 100 and 300
    assert pooled("psnr/sound", pixels(0, 0), pixels(100, 300)) == pytest.approx(28.1308036, abs=1e-6)


def test_one_identical_frame_does_not_decide_the_pooled_psnr_but_only_such_make_it_infinite() -> None:
    assert math.isfinite(pooled("psnr/sound", pixels(0, 100)) or math.inf)
    assert pooled("psnr/sound", pixels(0, 0)) == math.inf


def test_an_identical_frame_counts_as_a_hundred_in_the_mean_over_frames() -> None:
    # a mean squared error of 650.25 is 20 dB
    assert pooled("psnr_frame_mean/sound", pixels(0, 650.25)) == pytest.approx(60.0)


def test_the_hundred_touches_identical_crops_only() -> None:
    least = 1 / (96 * 96 * 3)  # one grey level in one channel of one pixel
    value = pooled("psnr_frame_mean/sound", pixels(least))
    assert value == pytest.approx(92.5, abs=0.1)


@given(st.lists(st.floats(0.001, 65025), min_size=1, max_size=20))
def test_the_pooled_psnr_is_never_above_the_mean_over_frames(mse: list[float]) -> None:
    # Jensen: decibels are convex in the error. Identical frames, which the second caps, are left out.
    evidence = pixels(*mse)
    one, other = pooled("psnr/sound", evidence), pooled("psnr_frame_mean/sound", evidence)
    assert one is not None
    assert other is not None
    assert one <= other + 1e-9


@pytest.mark.parametrize("arithmetic", ["paper", "sound"])
def test_lse_is_the_mean_over_clips(arithmetic: str) -> None:
    clips = sync(lse_c=8.0, lse_d=6.0), sync(lse_c=5.0, lse_d=9.0), sync(lse_c=5.0, lse_d=6.0)
    assert pooled(f"lse_c/{arithmetic}", *clips) == pytest.approx(6.0)
    assert pooled(f"lse_d/{arithmetic}", *clips) == pytest.approx(7.0)


def test_the_share_in_sync_takes_one_frame_either_way_and_is_percent() -> None:
    assert pooled("in_sync/sound", *(sync(offset) for offset in (-2, -1, 0, 1, 2))) == pytest.approx(60.0)


def test_a_clip_is_in_sync_only_with_a_confidence_above_the_floor() -> None:
    clips = [sync(0, lse_c=confidence) for confidence in (0.0, CONFIDENCE_FLOOR - 0.01, CONFIDENCE_FLOOR, 7.0)]
    assert pooled("in_sync/sound", *clips) == pytest.approx(50.0)


SOUND_SYNC = ("lse_c", "lse_d", "lse_d_zero", "in_sync", "offset_size")


@pytest.mark.parametrize("name", SOUND_SYNC)
def test_what_an_older_observer_said_is_never_taken_for_the_new_number(name: str) -> None:
    old = Evidence("syncnet", {k.replace("common", "sound"): v for k, v in sync().values.items()})
    with pytest.raises(KeyError, match="common"):
        find_metric(f"{name}/sound").tally(old)


@pytest.mark.parametrize("name", SOUND_SYNC)
def test_a_clip_that_only_the_published_arithmetic_takes_is_too_short_for_the_others(name: str) -> None:
    short = Evidence("syncnet", {**sync().values, "windows": 9, "common_max_shift_frames": 0})
    with pytest.raises(ClipError, match="14 frames with sound") as caught:
        find_metric(f"{name}/sound").tally(short)
    assert caught.value.code == "too-short"
    assert pooled("lse_c/paper", short) == 7.0


def test_the_limits_of_the_shifts_stand_in_the_id_of_sound_and_not_of_paper() -> None:
    ids = {
        key: Protocol.of(find_metric(key), dataset="d", split="test", view="v@1", decoding="c@1").id
        for key in ("lse_c/paper", *(f"{name}/sound" for name in SOUND_SYNC))
    }
    assert ids.pop("lse_c/paper") == "lse_c[d:test/v@1/c@1/clips/paper]@2"
    for text in ids.values():
        limits = f"shifts={LEAST_SHIFT_FRAMES}..{MAX_SHIFT_FRAMES},windows={LEAST_WINDOWS}"
        assert f"/sound/r:{limits}" in text.replace("%3D", "=").replace("%2C", ",")
        assert text.endswith("]@2")
    assert sync_metrics.LEAST_FRAMES == FEWEST_WINDOWS + sync_metrics.FRAMES_LOST
    assert sync_metrics.FRAMES_LOST == FRAMES_LOST
    assert sync_metrics.LEAST_FRAMES == LEAST_SYNC_FRAMES
    assert f"confidence={CONFIDENCE_FLOOR:g}" in ids["in_sync/sound"]


def test_offsets_of_opposite_sign_do_not_cancel() -> None:
    assert pooled("offset_size/sound", sync(-3), sync(5)) == pytest.approx(4.0)


def test_the_distance_at_zero_sees_a_lag_that_lse_d_does_not() -> None:
    level, late = sync(0, at_zero=6.0), sync(5, at_zero=11.0)
    assert pooled("lse_d/sound", level) == pooled("lse_d/sound", late)
    assert (pooled("lse_d_zero/sound", level), pooled("lse_d_zero/sound", late)) == (6.0, 11.0)


def test_a_metric_of_nothing_has_no_value() -> None:
    assert find_metric("psnr/sound").value(MeanTally()) is None


def test_metrics_of_a_region_that_was_not_compared_count_no_clip() -> None:
    assert pooled("ssim_frame/paper", pixels(1.0)) is None
    assert pooled("psnr_frame_mean_mouth/sound", pixels(1.0)) is None


def test_a_mistyped_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(TlbenchError, match="no metric 'lsec/paper'; did you mean 'lse_c/paper'"):
        find_metric("lsec/paper")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("FID", "fid"), ("fidd", "fid"), ("KID/sound", "kid/sound"), ("paper-avater", "paper-avatar"), ("LSE-C", "lse_c")],
)
def test_a_mistyped_column_or_preset_is_answered_with_the_nearest(word: str, meant: str) -> None:
    with pytest.raises(TlbenchError, match=rf"did you mean '{meant}'\?"):
        find_metrics([word])


def test_a_key_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(TlbenchError, match=r"there are .*psnr/paper"):
        find_metric("###")


def test_no_word_asks_for_nothing() -> None:
    assert find_metrics([]) == ()


def test_metrics_come_in_the_catalogues_order_and_once() -> None:
    asked = find_metrics(["ssim", "psnr/sound", "psnr"])
    assert [metric.key for metric in asked] == ["psnr/paper", "ssim/paper", "psnr/sound", "ssim/sound"]


class _Point:
    """An entry point of another package."""

    def __init__(self, metrics: tuple[object, ...]) -> None:
        self._metrics = metrics

    def load(self) -> tuple[object, ...]:
        return self._metrics


def test_two_packages_with_one_key_are_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = _Point((find_metric("psnr/paper"),))
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [twin])
    all_metrics.cache_clear()
    try:
        with pytest.raises(TlbenchError, match="'psnr/paper' is defined twice"):
            all_metrics()
    finally:
        all_metrics.cache_clear()

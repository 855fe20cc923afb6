"""Presets select what a kind of table wants, and say what is not there."""

from __future__ import annotations

import pytest

from tlbench.errors import TlbenchError
from tlbench.metrics.catalogue import all_metrics, find_metrics, named_apart, plain_keys
from tlbench.metrics.presets import PRESETS, Preset, find_preset, presets_of
from tlbench.metrics.sheet import preset_sheet

KEYS = [metric.key for metric in all_metrics() if not metric.parts]


def test_paper_talklip_is_the_published_table_in_both_arithmetics() -> None:
    names = {"wer1", "wer2", "acc", "lse_c", "lse_d", "psnr", "ssim"}
    assert {metric.name for metric in find_metrics(["paper-talklip"])} == names
    assert {metric.arithmetic for metric in find_metrics(["paper-talklip"])} == {"paper", "sound"}


def test_paper_avatar_wants_sets_identity_landmarks_and_lse_on_tracks() -> None:
    wants = {want.partition("/")[0] for want in find_preset("paper-avatar").wants}
    assert wants > {"fid", "kid", "fvd", "csim", "lmd", "lpips", "psnr", "ssim", "lse_c_track", "lse_d_track"}
    assert {metric.key for metric in find_metrics(["paper-avatar"])} >= {"psnr/sound", "lse_c_track/paper"}
    assert not any(metric.key == "psnr/paper" for metric in find_metrics(["paper-avatar"]))


def test_reading_only_reads_and_never_with_the_true_text() -> None:
    assert {metric.reads for metric in find_metrics(["reading"])} == {"sentence", "word", "words"}


def test_all_is_every_metric_but_those_of_a_drive() -> None:
    assert [metric.key for metric in find_metrics(["all"])] == KEYS
    assert sorted(find_preset("all").keys_among(KEYS)) == sorted(KEYS)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_tlbench_has_all_that_a_preset_wants(preset: Preset) -> None:
    assert preset.absent(plain_keys()) == []


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_what_a_preset_selects_is_what_its_sheet_says(preset: Preset) -> None:
    sheet = preset_sheet(preset, KEYS)
    assert {metric.key for metric in find_metrics([preset.name])} == set(sheet["metrics"])
    for metric in find_metrics([preset.name]):
        assert preset.name in presets_of(metric.name, metric.key)


def test_columns_keep_the_order_of_the_preset_and_what_is_unknown_is_absent() -> None:
    preset = Preset("x", "", ("fid/sound", "ssim", "psnr/sound"))
    assert preset.keys_among(["psnr/sound", "psnr/paper", "ssim/sound", "ssim/paper"]) == [
        "ssim/paper",
        "ssim/sound",
        "psnr/sound",
    ]
    assert preset.absent(["psnr/sound", "ssim/paper"]) == ["fid/sound"]
    assert preset.absent(["psnr/paper", "fid/sound"]) == ["ssim", "psnr/sound"]


def test_a_preset_is_no_metric_asked_for_by_name() -> None:
    assert named_apart(["paper-avatar", "all", "reading", "paper", "psnr"]) == ["psnr"]


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TlbenchError, match=r"no preset .paper-avatr..*paper-avatar"):
        find_preset("paper-avatr")

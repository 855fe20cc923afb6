"""Clips of one's own without real videos: what presets leave out, and what faces are compared with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection
from tlbench.observers.identity.observer import Identity
from tlbench.scoring.options import MetricOptions
from tlbench.scoring.setup import prepare


@pytest.fixture
def avatars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Selection:
    """One video made from a picture, whose real video nobody has."""
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.setattr(Identity, "lacking", classmethod(lambda cls, views: ""))
    (tmp_path / "gen").mkdir()
    write_clip(tmp_path / "gen" / "a.mp4", frames=6)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 128, np.uint8))
    (tmp_path / "clips.csv").write_text("id,source\na,a.png\n")
    return DataOptions("folder", manifest=tmp_path / "clips.csv").load(tmp_path / "gen")


def test_a_preset_leaves_out_what_needs_a_real_video_and_says_so(avatars: Selection) -> None:
    found = prepare(avatars, MetricOptions(("paper-avatar",)))
    assert [metric.key for metric in found.metrics] == ["csim/sound", "sharpness/sound"]
    assert [plan.views for plan in found.plan.observers] == [("source",), ("face-256",)]
    said = "psnr/sound, ssim/sound, lmd/paper, lmd_mouth/paper, lpips/paper left out: no clip has a real video"
    assert said in found.left_out
    assert "identity uses the view source, as no clip has a real video" in found.remarks
    assert any(line.startswith("FID, KID, FVD left out: no clip has a real video") for line in found.left_out)


def test_what_is_asked_for_by_name_is_measured_as_asked(avatars: Selection) -> None:
    found = prepare(avatars, MetricOptions(("csim", "psnr"), views={"identity": "face-256"}))
    assert [metric.key for metric in found.metrics if metric.name == "csim"] == ["csim/sound"]
    assert "psnr/sound" in {metric.key for metric in found.metrics}
    assert not found.remarks


def test_views_of_landmarks_on_whole_frames_can_be_chosen(avatars: Selection) -> None:
    found = prepare(avatars, MetricOptions(("lmd",), views={"landmarks": "whole-mesh"}))
    assert [plan.views for plan in found.plan.observers] == [("whole-mesh",)]

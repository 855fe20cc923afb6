"""A column whose extra is not installed: left out and said, or an error if it was asked for by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import tlbench
from tests.factories.media_factory import write_clip
from tlbench.errors import TlbenchError
from tlbench.observers.landmarks.observer import Landmarks

LACKING = "dlib not installed; pip install 'tlbench[landmarks]'"


def test_a_column_without_its_extra_is_left_out_unless_it_was_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.setattr(Landmarks, "lacking", classmethod(lambda cls, views: LACKING))
    for folder in ("real", "made"):
        (tmp_path / folder).mkdir()
        write_clip(tmp_path / folder / "a.mp4", frames=6)

    def score(metrics: str) -> tlbench.Result:
        return tlbench.score(
            tmp_path / "made",
            "folder",
            tmp_path / "real",
            metrics=metrics,
            cache=tmp_path / "cache",
            out=tmp_path / "out",
        )

    with pytest.warns(UserWarning, match="left out") as told:
        found = score("all")
    assert any(str(warning.message) == f"LMD, LMD mouth left out: {LACKING}" for warning in told)
    assert "landmarks" not in {metric.observer for metric in found.metrics}
    with pytest.raises(TlbenchError, match=r"LMD mouth: dlib not installed; pip install 'tlbench\[landmarks\]'"):
        score("all,lmd")

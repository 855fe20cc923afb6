"""Leakage by hand: which frames count, and which sound and which text each number is of."""

from __future__ import annotations

import numpy as np
import pytest

from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.catalogue import all_metrics, find_metric, find_metrics
from tlbench.metrics.tally import HitTally, MeanTally, Tally
from tlbench.observing.evidence import Evidence


def tally(key: str, **parts: dict[str, object]) -> Tally:
    """The tally of a clip whose parts have these values."""
    metric = find_metric(key)
    names = {f"{metric.observer}@{part.replace('_', '-')}": values for part, values in parts.items()}
    return metric.tally(metric.of_parts({name: Evidence(name, values) for name, values in names.items()}))  # type: ignore[arg-type]


def test_only_frames_that_are_open_in_the_source_and_seen_count() -> None:
    gap = np.array([0.3, 0.01, 0.3, -1.0, 0.3])
    source = np.array([0.3, 0.3, 0.01, 0.3, -1.0])
    assert tally("leak_open/sound", silent={"gap": gap, "reference_gap": source}) == HitTally(1, 2)


def test_a_source_that_is_never_open_counts_nothing_and_a_face_that_is_rarely_seen_is_an_error() -> None:
    closed = {"gap": np.full(4, 0.3), "reference_gap": np.full(4, 0.01)}
    assert tally("leak_open/sound", silent=closed) == HitTally(0, 0)
    with pytest.raises(ClipError, match="a face is seen in 1 of the 4 frames with an open mouth") as error:
        tally("leak_open/sound", silent={"gap": np.array([0.3, -1, -1, -1]), "reference_gap": np.full(4, 0.3)})
    assert error.value.code == "no-face"


def test_each_error_rate_is_of_its_own_text() -> None:
    read = {"hypothesis": "bin blue at", "reference": "BIN BLUE AT F", "source_reference": "SET RED"}
    new, source = tally("leak_wer_new/sound", mismatched=read), tally("leak_wer/sound", mismatched=read)
    assert (new.numerator, new.denominator) == (1, 4)
    assert (source.numerator, source.denominator) == (3, 2)


def test_each_sync_is_of_its_own_video_and_sound() -> None:
    def synced(lse_c: float, shift: int = 15) -> dict[str, object]:
        return {"common_max_shift_frames": shift, "common_lse_c": lse_c, "common_lse_d": 10 - lse_c}

    parts = {"silent": synced(1.0), "mismatched": synced(2.0), "mismatched_source": synced(3.0), "matched": synced(5.0)}
    assert tally("leak_silent_lse_c/sound", **parts) == MeanTally(1.0, 1)
    assert tally("leak_lse_c_new/sound", **parts) == MeanTally(2.0, 1)
    assert tally("leak_lse_c/sound", **parts) == MeanTally(3.0, 1)
    assert tally("leak_lsd_c/sound", **parts) == MeanTally(3.0, 1)
    assert tally("leak_lsd_d/sound", **parts) == MeanTally(-3.0, 1)
    with pytest.raises(ClipError, match="LSE takes 21 frames"):
        tally("leak_lsd_c/sound", **{**parts, "matched": synced(5.0, 0)})


def test_they_are_asked_for_by_name_only() -> None:
    assert not any(metric.parts for metric in find_metrics(["all", "sound", "syncnet", "avhubert"]))
    assert {metric.name for metric in all_metrics() if metric.parts} == {
        metric.name for metric in all_metrics() if metric.name.startswith("leak_")
    }
    with pytest.raises(TlbenchError, match="did you mean 'leak_open'"):
        find_metrics(["leak_opn"])

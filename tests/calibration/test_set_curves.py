"""Numbers of a whole set along a fault: worse by the paired jackknife, and no verdict where there is no number."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np

from tlbench.calibration.page import calibration_page, print_calibration
from tlbench.calibration.set_curves import make_set_curves
from tlbench.calibration.verdicts import Calibration
from tlbench.generation.controls import Blurred
from tlbench.generation.faults import Fault
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import set_metric
from tlbench.observing.clip_info import ClipInfo
from tlbench.scoring.result import ClipScore, Result
from tlbench.scoring.set_scores import SetScore
from tlbench.statistics import IntervalSettings

FAULT = Fault("blur", "blur", "px", 0, (0, 1, 4), Blurred, "a Gaussian")
PROTOCOL = Protocol(
    "fid", set_metric("fid").version, "d", "s", "v@1", "pyav-25fps@1", "set", "sound", rule="real=paired"
)
SHARED = np.random.default_rng(0).normal(size=8)


def scored(value: float | None, groups: str = "a" * 64) -> Result:
    """A result with this FID, whose groups wobble as those of every other one do."""
    rng = np.random.default_rng(round(100 * (value or 0)))
    fid = SetScore(set_metric("fid"), PROTOCOL, clips=16, reason="too few frames")
    if value is not None:
        without = (value + SHARED + 0.05 * rng.normal(size=8)).tolist()
        numbers = {"value": value, "low": value - 1, "high": value + 1, "generated": 4000, "real": 4000}
        fid = replace(
            fid, **numbers, without_each=tuple(without), group_sizes=(500,) * 8, groups_sha256=groups, reason=""
        )
    clips = tuple(ClipScore(ClipInfo(f"c{number:02}")) for number in range(16))
    return Result("x", "d", "s", (), {}, clips, 16, {}, IntervalSettings(), sets=(fid,))


def test_a_distance_that_grows_with_the_fault_sees_it() -> None:
    (curve,) = make_set_curves(FAULT, scored(3.0), {1: scored(5.0), 4: scored(30.0)}, 0.95)
    assert [point.mark for point in curve.points] == ["none", "worse", "worse"]
    assert [point.delta for point in curve.points] == [0.0, 2.0, 27.0]
    (side,) = curve.sides
    assert (side.verdict, side.correlation, side.low, side.clips) == ("sees", 1.0, None, 16)


def test_one_that_falls_prefers_the_fault_and_one_that_stays_is_blind_to_it() -> None:
    (falls,) = make_set_curves(FAULT, scored(3.0), {1: scored(2.0), 4: scored(1.0)}, 0.95)
    assert (falls.sides[0].verdict, falls.sides[0].correlation) == ("prefers", -1.0)
    (stays,) = make_set_curves(FAULT, scored(3.0), {1: scored(3.0), 4: scored(3.02)}, 0.95)
    assert stays.sides[0].verdict == "blind"


def test_a_size_without_the_number_or_of_other_clips_is_not_known() -> None:
    (absent,) = make_set_curves(FAULT, scored(3.0), {1: scored(5.0), 4: scored(None)}, 0.95)
    assert (absent.sides[0].verdict, absent.sides[0].correlation) == ("unknown", None)
    (other,) = make_set_curves(FAULT, scored(3.0), {1: scored(5.0), 4: scored(30.0, "b" * 64)}, 0.95)
    assert (other.points[-1].value, other.points[-1].delta, other.points[-1].mark) == (30.0, None, "unknown")
    assert make_set_curves(FAULT, scored(None), {1: scored(5.0), 4: scored(30.0)}, 0.95) == []


def test_the_page_and_the_table_have_it_with_how_it_was_made() -> None:
    curves = tuple(make_set_curves(FAULT, scored(3.0), {1: scored(5.0), 4: scored(30.0)}, 0.95))
    found = Calibration("d", "s", None, 16, (FAULT,), (set_metric("fid"),), curves, IntervalSettings())
    page = calibration_page(found)
    assert "| `fid/sound` | 3.00 [2.00, 4.00] | 5.00 [4.00, 6.00] worse | 30.00 [29.00, 31.00] worse |" in page
    assert "- **FID** (`fid/sound`): sees blur." in page
    stream = io.StringIO()
    print_calibration(found, stream)
    assert "FID: of the set as a whole; worse by the paired jackknife over groups." in " ".join(
        stream.getvalue().split()
    )

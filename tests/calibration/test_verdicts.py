"""From results to curves, correlations and verdicts, and what is printed of them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import spearmanr

from tlbench.calibration.curves import draw_curves
from tlbench.calibration.page import calibration_page, print_calibration
from tlbench.calibration.verdicts import Calibration, Mark, decide_verdict, make_curves, mark_of, spearman
from tlbench.errors import TlbenchError
from tlbench.generation.controls import Blurred
from tlbench.generation.faults import Fault
from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import MeanTally
from tlbench.observing.clip_info import ClipInfo
from tlbench.scoring.result import ClipScore, Result
from tlbench.statistics import IntervalSettings

SSIM, LSE_D = find_metric("ssim/sound"), find_metric("lse_d/sound")  # higher and lower is better
SETTINGS = IntervalSettings(resamples=500)
FAULT = Fault("blur", "blur", "px", 0, (0, 1, 2, 4), Blurred, "a Gaussian")
SHIFT = Fault("shift", "shift", "frames", 0, (-2, -1, 0, 1, 2), Blurred, "late", below="early", above="late")


def result(values: Mapping[str, Sequence[float | None]]) -> Result:
    """A result with these numbers a clip, by metric key; None where a clip was not scored."""
    metrics = [find_metric(key) for key in values]
    count = len(next(iter(values.values())))
    clips = tuple(
        ClipScore(
            ClipInfo(f"clip{number}"),
            tallies={
                key: MeanTally(value, 1) for key, column in values.items() if (value := column[number]) is not None
            },
        )
        for number in range(count)
    )
    protocols = {m.key: Protocol.of(m, dataset="folder", split="all", view="v", decoding="d") for m in metrics}
    return Result("x", "folder", "all", tuple(metrics), protocols, clips, count, {}, SETTINGS)


def falling(step: float, clips: int = 8, metric: Metric = SSIM) -> Result:
    """Every clip a little different, all of them ``step`` lower."""
    spread = np.random.default_rng(5).uniform(0.8, 1.0, clips)
    wobble = np.random.default_rng(round(1000 * step) % 997).normal(0, 0.001, clips)
    return result({metric.key: (spread - step + wobble).tolist()})


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=12).filter(lambda values: len(set(values)) > 1))
def test_the_correlation_is_spearmans(values: list[int]) -> None:
    assert spearman(values) == pytest.approx(spearmanr(range(len(values)), values).statistic, abs=1e-12)


def test_a_value_that_never_moves_has_no_order() -> None:
    assert spearman([0.7, 0.7, 0.7]) == 0.0
    assert spearman([0.7, 0.7 * (1 + 1e-15), 0.7]) == 0.0  # rounding is no movement
    assert spearman([float("inf"), 3.0, 2.0]) == -1.0  # pooled PSNR of identical frames


MARKS: dict[str, Mark] = {"w": "worse", "b": "better", "=": "same", "?": "unknown"}


@pytest.mark.parametrize(
    ("marks", "verdict"),
    [
        ("www", ("sees", None)),
        ("=ww", ("sees from", 2)),
        ("w=w", ("sees from", 3)),
        ("?=w", ("sees from", 3)),
        ("===", ("blind", None)),
        ("bb=", ("blind", None)),
        ("ww=", ("sees up to", 2)),
        ("w==", ("sees up to", 1)),
        ("wwb", ("prefers", None)),
        ("ww?", ("unknown", None)),
    ],
)
def test_the_verdict_hangs_on_the_largest_size_and_then_on_the_others(
    marks: str, verdict: tuple[str, float | None]
) -> None:
    assert decide_verdict([1, 2, 3], [MARKS[mark] for mark in marks]) == verdict


@pytest.mark.parametrize(
    ("metric", "ends", "units", "mark"),
    [
        (SSIM, (-2.0, -1.0), 5, "worse"),
        (SSIM, (1.0, 2.0), 5, "better"),
        (LSE_D, (1.0, 2.0), 5, "worse"),
        (LSE_D, (-1.0, 0.0), 5, "same"),
        (LSE_D, (None, None), 5, "unknown"),
        (SSIM, (-2.0, -1.0), 1, "unknown"),
    ],
)
def test_worse_is_on_the_worse_side_of_zero_with_the_whole_interval(
    metric: Metric, ends: tuple[float | None, float | None], units: int, mark: str
) -> None:
    assert mark_of(metric, *ends, units) == mark


def test_a_metric_that_falls_with_every_size_sees_the_fault() -> None:
    grown = {1.0: falling(0.1), 2.0: falling(0.2), 4.0: falling(0.3)}
    (curve,) = make_curves(FAULT, falling(0), grown, SETTINGS)
    (side,) = curve.sides
    assert (side.verdict, side.correlation, side.low, side.high, side.clips) == ("sees", 1.0, 1.0, 1.0, 8)
    assert [point.size for point in curve.points] == [0, 1, 2, 4]
    assert [point.mark for point in curve.points] == ["none", "worse", "worse", "worse"]
    assert curve.points[0].delta == 0
    last = curve.points[3]
    assert last.delta == pytest.approx(-0.3, abs=0.002)
    assert last.delta is not None
    assert last.delta_low is not None
    assert last.delta_high is not None
    assert last.delta_low <= last.delta <= last.delta_high < 0
    assert curve.protocol == falling(0).protocols["ssim/sound"].id


def test_a_clip_that_is_hard_from_the_start_hides_nothing() -> None:
    """Values differ far more between clips than by the fault: a correlation over all points would be near zero."""
    bases = np.linspace(0, 1, 8)
    grown = {size: result({"ssim/sound": (bases - 0.001 * size).tolist()}) for size in (1.0, 2.0, 4.0)}
    (curve,) = make_curves(FAULT, result({"ssim/sound": bases.tolist()}), grown, SETTINGS)
    assert curve.sides[0].correlation == 1.0
    assert curve.sides[0].verdict == "sees"


def test_a_metric_that_rises_prefers_the_fault_and_its_correlation_is_negative() -> None:
    grown = {1.0: falling(-0.1), 2.0: falling(-0.2), 4.0: falling(-0.3)}
    side = make_curves(FAULT, falling(0), grown, SETTINGS)[0].sides[0]
    assert (side.verdict, side.correlation) == ("prefers", -1.0)


def test_where_lower_is_better_rising_is_seeing() -> None:
    grown = {size: falling(-0.1 * size, metric=LSE_D) for size in (1.0, 2.0, 4.0)}
    side = make_curves(FAULT, falling(0, metric=LSE_D), grown, SETTINGS)[0].sides[0]
    assert (side.verdict, side.correlation) == ("sees", 1.0)


def test_a_metric_that_does_not_move_is_blind() -> None:
    none = falling(0)
    side = make_curves(FAULT, none, dict.fromkeys((1.0, 2.0, 4.0), none), SETTINGS)[0].sides[0]
    assert (side.verdict, side.correlation, side.low, side.high) == ("blind", 0.0, 0.0, 0.0)


def test_the_two_sides_of_no_fault_are_decide_verdictd_apart() -> None:
    none = falling(0)
    grown = {-2.0: none, -1.0: none, 1.0: falling(0.1), 2.0: falling(0.2)}
    early, late = make_curves(SHIFT, none, grown, SETTINGS)[0].sides
    assert (early.name, early.sizes, early.verdict) == ("early", (-1, -2), "blind")
    assert (late.name, late.sizes, late.verdict) == ("late", (1, 2), "sees")


def test_clips_that_lack_a_size_are_in_no_correlation_but_in_the_differences_they_have() -> None:
    none = result({"ssim/sound": [0.9, 0.8, 0.7]})
    grown = {size: result({"ssim/sound": [0.5 / size, 0.4 / size, None]}) for size in (1.0, 2.0)}
    grown[4.0] = result({"ssim/sound": [0.05, None, None]})
    (curve,) = make_curves(FAULT, none, grown, SETTINGS)
    assert [point.clips for point in curve.points] == [3, 2, 2, 1]
    assert curve.sides[0].clips == 1
    assert curve.sides[0].verdict == "unknown"  # one clip has no interval


def made() -> Calibration:
    none = result({"ssim/sound": [0.9, 0.8, 0.85], "psnr/sound": [0.0, 10.0, 20.0], "lse_d/sound": [7, 8, None]})
    grown = {
        size: result(
            {
                "ssim/sound": [0.9 - size / 10, 0.8 - size / 11, 0.85 - size / 12],
                "psnr/sound": [0.0, 10.0, 20.0],
                "lse_d/sound": [7 - size, 8 - size / 2, None],
            }
        )
        for size in (-2.0, -1.0, 1.0, 2.0)
    }
    return Calibration(
        dataset="folder",
        split="all",
        selection=None,
        clips=3,
        faults=(SHIFT,),
        metrics=none.metrics,
        curves=tuple(make_curves(SHIFT, none, grown, SETTINGS)),
        interval=SETTINGS,
        failures={"shift": {"2": {"too-short": 1}}},
        left_out=("fault 'other-speaker' left out: | nobody",),
    )


def test_the_file_is_strict_json_with_everything_in_it(tmp_path: Path) -> None:
    made().write(tmp_path / "deep" / "calibration.json")
    text = (tmp_path / "deep" / "calibration.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    data = json.loads(text)
    assert data["schema"] == "tlbench.calibration/1"
    assert [curve["metric"] for curve in data["curves"]] == ["ssim/sound", "psnr/sound", "lse_d/sound"]
    assert data["faults"][0]["sides"] == {"early": [-1, -2], "late": [1, 2]}
    assert len(data["curves"][0]["points"]) == 5


def test_the_table_has_a_row_a_metric_and_a_column_a_side() -> None:
    stream = io.StringIO()
    print_calibration(made(), stream)
    text = stream.getvalue()
    assert "shift, early" in text
    assert "shift, late" in text
    assert "+1.00 sees" in text
    assert "0.00 blind" in text
    assert "too-short" in text
    assert "left out" in text


def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_calibration(made(), stream)
    stream.flush()
    assert b"+1.00 sees" in raw.getvalue()


def test_the_page_says_what_each_metric_is_blind_to_and_names_every_number() -> None:
    page = calibration_page(made())
    assert "- **PSNR** (`psnr/sound`): blind to shift early, shift late." in page
    assert "(`ssim/sound`): better with shift early; sees shift late." in page
    assert "| `ssim/sound` | 1.033" in page
    assert "## Left out" in page
    for line in page.splitlines():  # a table is not broken by what stands in a cell
        if line.startswith("| `"):
            assert line.count("|") == 7


def test_the_figure_is_a_png_with_a_row_a_metric_and_a_column_a_fault(tmp_path: Path) -> None:
    draw_curves(made(), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        width, height = image.size
        pixels = np.asarray(image.convert("RGB"))
    assert height > width  # three metrics, one fault
    assert (pixels.min(axis=-1) > 220).mean() > 0.8  # light
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_figure_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(TlbenchError, match="can't be written"):
        draw_curves(made(), tmp_path / "taken" / "curves.png")


def test_a_curve_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(TlbenchError, match="there are shift and ssim/sound"):
        made().curve("shift", "wer1/paper")

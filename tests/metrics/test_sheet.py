"""The list of metrics says what each needs and what it is blind to, as the calibration pages do."""

from __future__ import annotations

import importlib.util
import json
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from tlbench.cli.main import group
from tlbench.metrics.catalogue import all_metrics, find_metric
from tlbench.metrics.sets import SET_METRICS
from tlbench.metrics.sheet import SET_NEEDS, blind_spots, needs_of, shown_blind_spots

SCRIPT = Path(__file__).parents[2] / "scripts" / "blind_spots.py"


def test_the_copy_is_what_the_pages_say() -> None:
    spec = importlib.util.spec_from_file_location("blind_spots_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    pages = script.blind_spots()
    assert set(pages) == {"grid", "grid-columns", "grid-csim", "grid-readers", "grid-speakers", "synthetic"}
    copy = files("tlbench.metrics") / script.COPY.name  # of the installed package, from which the sources may be away
    assert json.loads(copy.read_text("utf-8")) == pages
    assert blind_spots(find_metric("psnr/paper"))["grid"] == {"blind": ["other sound"], "in_part": []}
    assert set(pages["grid"]) <= {metric.key for metric in all_metrics()}


def test_what_was_not_calibrated_is_said_so() -> None:
    assert shown_blind_spots(find_metric("avs_m/sound")) == ["not calibrated"]
    assert shown_blind_spots(find_metric("psnr/paper"))[0] == "grid: blind to other sound"


def test_every_metric_of_a_drive_says_what_is_known_of_its_ends() -> None:
    assert shown_blind_spots(find_metric("leak_open/sound"))[0].startswith("100 with the source's own mouth, 0 with")
    for metric in all_metrics():
        assert bool(metric.ends) == bool(metric.parts), metric.key
        assert len(shown_blind_spots(metric)) == 1 or not metric.parts


@pytest.mark.parametrize(
    ("key", "needs"),
    [
        ("wer3/paper", ["transcript", "checkpoint"]),
        ("lip_score/paper", ["reference video", "checkpoint"]),
        ("acc/paper", ["word label", "checkpoint"]),
    ],
)
def test_needs_are_those_of_the_observer_in_its_mode(key: str, needs: list[str]) -> None:
    assert [word for word in needs_of(find_metric(key)) if word in needs] == needs
    assert ("transcript" in needs_of(find_metric(key))) == ("transcript" in needs)


def test_the_command_lists_every_metric_for_people_and_programs() -> None:
    shown = CliRunner().invoke(group, ["metrics", "list"], catch_exceptions=False).output
    listed = json.loads(CliRunner().invoke(group, ["metrics", "list", "--json"], catch_exceptions=False).output)
    assert [entry["key"] for entry in listed] == [metric.key for metric in (*all_metrics(), *SET_METRICS)]
    for entry in listed:
        assert f"{entry['key']}  {entry['label']}, " in shown
        assert entry["better"] in ("higher", "lower", "none")
        of_set = entry["key"] in {metric.key for metric in SET_METRICS}
        assert entry["needs"] == (list(SET_NEEDS) if of_set else needs_of(find_metric(entry["key"])))

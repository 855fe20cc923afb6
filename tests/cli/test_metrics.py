"""``tlbench metrics`` lists metrics and presets, for people and for programs."""

from __future__ import annotations

import json

from click.testing import CliRunner

from tlbench.cli.main import group


def test_the_list_ends_with_the_presets() -> None:
    text = CliRunner().invoke(group, ["metrics", "list"], catch_exceptions=False).output
    metrics, _, presets = text.partition("\nPresets\n")
    assert "psnr/sound" in metrics
    assert [line for line in presets.splitlines() if line and not line.startswith(" ")] == [
        "paper-talklip",
        "paper-avatar",
        "reading",
        "all",
    ]


def test_json_says_which_presets_want_a_metric() -> None:
    items = json.loads(CliRunner().invoke(group, ["metrics", "list", "--json"], catch_exceptions=False).stdout)
    presets = {item["key"]: item["presets"] for item in items}
    assert presets["psnr/sound"] == ["paper-talklip", "paper-avatar", "all"]
    assert presets["wer3/sound"] == ["reading", "all"]
    assert presets["leak_open/sound"] == []


def test_presets_as_json_name_metrics_and_what_is_absent() -> None:
    items = json.loads(CliRunner().invoke(group, ["metrics", "presets", "--json"], catch_exceptions=False).stdout)
    avatar = {item["name"]: item for item in items}["paper-avatar"]
    assert {"psnr/sound", "lse_c_track/paper"} <= set(avatar["metrics"])
    assert not set(avatar["metrics"]) & set(avatar["absent"])

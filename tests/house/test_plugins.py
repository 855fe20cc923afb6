"""All groups of entry points come from one look at the installed packages."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from tlbench import plugins


def test_each_group_is_told_apart_and_packages_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[EntryPoints] = []

    def installed() -> EntryPoints:
        names = ("tlbench.metrics", "tlbench.observers", "console_scripts")
        looks.append(EntryPoints(EntryPoint(f"of {name}", "package:Thing", name) for name in names))
        return looks[-1]

    monkeypatch.setattr(importlib.metadata, "entry_points", installed)
    plugins._installed.cache_clear()
    try:
        assert [point.name for point in plugins.entry_points("tlbench.metrics")] == ["of tlbench.metrics"]
        assert [point.name for point in plugins.entry_points("tlbench.observers")] == ["of tlbench.observers"]
        assert not plugins.entry_points("tlbench.datasets")
    finally:
        plugins._installed.cache_clear()
    assert len(looks) == 1

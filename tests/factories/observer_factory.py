"""Observers made for a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tlbench.observing.observer import Observer


def use_observers(monkeypatch: pytest.MonkeyPatch, by_name: Callable[[str], type[Observer]]) -> None:
    """Let runs look up observers with ``by_name`` instead of the registry."""
    for module in ("runner", "plan", "clip_checker"):
        monkeypatch.setattr(f"tlbench.observing.{module}.observer_class", by_name)

"""What every end-to-end test may ask for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FindFaults: TypeAlias = "Callable[[Page], list[str]]"


@pytest.fixture(scope="session")
def axe() -> FindFaults:
    """What axe finds wrong on an open page, one line each: faults for people who use a keyboard or a screen reader."""
    pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe

    tester = Axe()

    def find(page: Page) -> list[str]:
        violations = tester.run(page).response["violations"]
        return [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"]]

    return find


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium that is installed; the test is skipped where there is none, or no playwright to drive it."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="driving a browser needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"there is no Chromium here (looked for {', '.join(names)})")
    arguments = ["--mute-audio", "--autoplay-policy=no-user-gesture-required"]  # a study plays clips
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # it refuses to run as root otherwise
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=arguments)
        yield launched
        launched.close()

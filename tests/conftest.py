"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FindFaults: TypeAlias = "Callable[[Page], list[str]]"

# Workers side by side share the processor: one thread each, also in the processes that tests start. Set before torch
# is imported, which reads it once.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray's library ends a process that can't reach its cluster's head for a minute, such as a worker of xdist on a busy
# machine. Read when Ray is imported.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")

# A loaded machine is slow now and then; that is no property of the code under test. The same examples in every run, so
# that a change is never blamed for what was there before it; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where data sets are on the developer's machine changes no test, in this process or in those it starts."""
    os.environ["TLBENCH_CONFIG"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The developers' shared folder (goldens of the original code, GRID clips); the test is skipped without it."""
    folder = Path(os.environ.get("TLBENCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"needs the shared folder with goldens and clips; {folder} is not there (set TLBENCH_SHARED)")
    return folder


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

"""The documentation site: built without a warning, no link in it leads nowhere, and nothing of it lies elsewhere.

Its pages are looked at in a browser, too, if there is one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import FindFaults
from tests.docs.commands import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def nav_pages() -> list[str]:
    """Pages in the contents of the site, in order; addresses elsewhere are none."""

    def walk(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
        return [page for part in parts for page in walk(part)]

    contents = walk(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"])
    return [page for page in contents if not page.startswith("https://")]


def test_every_page_is_in_the_contents_once() -> None:
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(nav_pages()) == sorted(there)


@pytest.mark.parametrize("name", ["docs", "site"])
def test_the_workflows_build_with_what_the_extra_names(name: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    workflow = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8")
    for requirement in extras.get("docs", []):
        assert f'"{requirement}"' in workflow
    assert "zensical build --strict" in workflow


def project(folder: Path) -> Path:
    """What the builder reads, in a folder that it may write to."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copytree(ROOT / "tlbench", folder / "tlbench", ignore=shutil.ignore_patterns("__pycache__", "static"))
    (folder / ".ci").mkdir()
    for name in ("zensical.toml", ".ci/docs_roles.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    for module in ("zensical", "mkdocstrings_handlers.python"):
        if find_spec(module.partition(".")[0]) is None:
            pytest.skip(f'building the site needs {module} (pip install -e ".[docs]")')
    command = [sys.executable, "-c", "from zensical.main import cli; cli()", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("project"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "docs"


class Links(HTMLParser):
    """Addresses a page points at or loads, and the places in it that can be pointed at."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.places.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe") and "src" in given:
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given.get("href", ""))


def test_each_page_is_built_and_every_link_leads_to_a_page_and_a_place_in_it(site: Path) -> None:
    pages = {page: Links(page) for page in sorted(site.rglob("*.html")) if page.name != "404.html"}
    assert {str(page.relative_to(site)) for page in pages} == {page.replace(".md", ".html") for page in nav_pages()}
    followed = 0
    for page, seen in pages.items():
        for link in seen.links:
            if re.match(r"[a-z]+:", link):
                continue
            address, _, place = link.partition("#")
            target = (page.parent / address).resolve() if address else page
            assert target.exists(), f"{page.name} links to {link}"
            assert not place or target not in pages or place in pages[target].places, f"{page.name} links to {link}"
            followed += 1
    assert followed > 1000


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in Links(page).loaded:
            assert not re.match(r"[a-z]+:|//", address), f"{page.name} loads {address}"
        # The theme's script asks the repository's host how many stars it has where there is this element.
        assert 'data-md-component="source"' not in page.read_text("utf-8"), page.name


def test_docstrings_stand_on_the_page_without_sphinx_roles(site: Path) -> None:
    text = (site / "python.html").read_text("utf-8")
    for name in ("tlbench.scoring.score.score_all", "tlbench.scoring.result.Result.to_dataframe"):
        assert f'id="{name}"' in text
    assert not re.search(r":(func|class|meth|mod|data|attr):", text)


def faults(browser: Browser, axe: FindFaults, site: Path, names: list[str], width: int, dark: bool) -> list[str]:
    """What axe finds wrong on pages, and pages that scroll sideways, one line each."""
    page: Page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    found = []
    for name in names:
        page.goto((site / name).as_uri())
        # The theme adds to code blocks and tables after the page is loaded; keyboard.js mends what it adds at once.
        page.wait_for_function("!document.querySelector('.highlight') || document.querySelector('.md-code__nav')")
        found += [f"{name}: {fault}" for fault in axe(page)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{name}: is wider than {width} pixels")
    page.close()
    return found


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)], ids=["desktop-light", "phone-dark"])
def test_axe_finds_no_fault_on_pages_of_each_kind(
    browser: Browser, axe: FindFaults, site: Path, width: int, dark: bool
) -> None:
    names = ["index.html", "faq.html", "calibration/grid.html"]
    assert faults(browser, axe, site, names, width, dark) == []


@pytest.mark.slow  # a second a page
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault_on_any_page(browser: Browser, axe: FindFaults, site: Path, dark: bool) -> None:
    names = [page.replace(".md", ".html") for page in nav_pages()]
    assert faults(browser, axe, site, names, 820, dark) == []


@pytest.mark.parametrize("line", ["[gone](gone.md)", "[gone](metrics.md#gone)", "::: tlbench.scoring.score.gone"])
def test_a_page_that_points_at_nothing_breaks_the_build(tmp_path: Path, line: str) -> None:
    page = project(tmp_path) / "docs" / "python.md"
    page.write_text(page.read_text("utf-8") + f"\n{line}\n", "utf-8")
    assert build(tmp_path).returncode != 0

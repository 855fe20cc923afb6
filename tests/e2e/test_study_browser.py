"""A study in a real browser: played, answered by keys and by touch, in both schemes, with and without JavaScript."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="serving a study needs the extra `study` (flask, waitress)")
pytest.importorskip("playwright", reason="driving a browser needs playwright (pip install playwright)")

from playwright.sync_api import Browser, Page, ViewportSize, expect
from werkzeug.serving import BaseWSGIServer, make_server

from tests.conftest import FindFaults
from tests.factories.study_factory import METHODS, make_study, make_videos
from tlbench.study.answers import Answers
from tlbench.study.new_study import NewStudy
from tlbench.study.site import make_site
from tlbench.study.store import Store

PHONE = ViewportSize(width=390, height=780)
DESKTOP = ViewportSize(width=1280, height=800)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def made(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> NewStudy:
    return make_study(tmp_path_factory.mktemp("made") / "study", manifest)


@pytest.fixture(scope="module")
def made_words(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> NewStudy:
    return make_study(tmp_path_factory.mktemp("made words") / "study", manifest.with_name("words.csv"))


class Served:
    """A study on a port of this machine."""

    def __init__(self, made: NewStudy, folder: Path) -> None:
        shutil.copytree(made.folder, folder)
        self.folder, self.codes = folder, made.codes
        self.store = Store(folder)
        self.server: BaseWSGIServer = make_server("127.0.0.1", 0, make_site(self.store), threaded=True)
        self.address = f"http://127.0.0.1:{self.server.port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def answers(self) -> Answers:
        with Store(self.folder) as store:
            return store.answers()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.store.close()


@pytest.fixture
def study(made: NewStudy, tmp_path: Path) -> Iterator[Served]:
    served = Served(made, tmp_path / "study")
    yield served
    served.close()


@pytest.fixture
def word_study(made_words: NewStudy, tmp_path: Path) -> Iterator[Served]:
    served = Served(made_words, tmp_path / "study")
    yield served
    served.close()


def begin(page: Page, served: Served, number: int = 0, axe: FindFaults | None = None) -> list[str]:
    """Enter by keyboard alone; everything the browser complains of is put into the list, and what axe finds."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(served.address)
    expect(page.locator("#code")).to_be_focused()  # a key that comes earlier is lost
    complaints += [] if axe is None else axe(page)
    page.keyboard.type(served.codes[number])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Before you begin")).to_be_visible()
    expect(page.get_by_role("link", name="Begin")).to_be_focused()
    complaints += [] if axe is None else axe(page)
    page.keyboard.press("Enter")
    return complaints


def script_ran(page: Page) -> None:
    """The page listens to keys (one that comes earlier is lost) and has disabled what has to wait."""
    expect(page.locator("[data-play]")).to_be_visible()


def watched(page: Page) -> None:
    script_ran(page)
    expect(page.locator(".answers fieldset input").first).to_be_enabled(timeout=15_000)


def next_page(page: Page, before: str) -> None:
    """Wait until the page asks something else."""
    expect(page.locator(f"form[data-asks='{before}']")).to_have_count(0)


def asks(page: Page) -> str:
    return page.locator("[data-asks]").get_attribute("data-asks") or ""


def test_a_study_is_done_by_keyboard_alone_and_every_answer_is_kept(
    browser: Browser, study: Served, axe: FindFaults
) -> None:
    page = browser.new_page(viewport=DESKTOP, color_scheme="light")
    complaints = begin(page, study, axe=axe)
    seen = []
    for _ in range(10):
        asked = asks(page)
        kind = asked.split()[0]
        seen.append(kind)
        script_ran(page)
        content = page.content()
        assert not any(name in content for name in (*METHODS, "Zorro", "secretclip", "ground-truth"))
        if kind != "readability":
            watched(page)
        if kind not in seen[:-1]:
            complaints += axe(page)
        if kind == "rate":
            for key in "425":
                page.keyboard.press(key)
        elif kind == "readability":
            page.keyboard.press("1")
        else:
            page.keyboard.type("set white 12 r")  # letters and digits are text here, not keys
        page.keyboard.press("Enter")
        next_page(page, asked)
    assert seen == ["rate"] * 4 + ["read", "readability"] * 3
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    complaints += axe(page)
    kept = study.answers()
    by_scale = {scale: {s.score for s in kept.scores if s.scale == scale} for scale in ("quality", "sync", "realness")}
    assert by_scale == {"quality": {4}, "sync": {2}, "realness": {5}}
    assert {s.score for s in kept.scores if s.scale == "readability"} == {1}
    assert {r.reply for r in kept.transcriptions} == {"set white 12 r"}
    assert complaints == []
    page.close()


def test_answers_open_only_when_the_video_was_watched_and_skipping_is_not_watching(
    browser: Browser, study: Served
) -> None:
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.add_init_script("HTMLMediaElement.prototype.play = function () { return Promise.reject(new Error('no')); }")
    begin(page, study)
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.keyboard.press("3")
    assert page.locator("input:checked").count() == 0
    page.keyboard.press("Enter")  # sends nothing
    page.wait_for_timeout(300)
    assert asks(page).startswith("rate ")
    page.evaluate("() => { const v = document.querySelector('video'); v.currentTime = v.duration; }")
    page.evaluate("() => document.querySelector('video').dispatchEvent(new Event('ended'))")
    expect(page.get_by_role("status")).to_contain_text("watch all of it")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    context.close()


@pytest.mark.slow
def test_words_are_chosen_by_touch_on_a_phone_where_nothing_runs_off_the_side(
    browser: Browser, word_study: Served, axe: FindFaults
) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    page = context.new_page()
    complaints = begin(page, word_study, axe=axe)
    seen: set[str] = set()
    for _ in range(10):
        asked = asks(page)
        kind = asked.split()[0]
        assert page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 0
        if kind != "readability":
            watched(page)
        if kind not in seen:
            seen.add(kind)
            complaints += axe(page)
        for group in page.locator("[data-question]").all():
            target = group.locator("label").nth(1)
            box = target.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 40  # a finger's width, WCAG 2.5.5 asks 44 at its best level
            target.tap()
        page.get_by_role("button", name="Next").tap()
        next_page(page, asked)
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    assert len(word_study.answers().transcriptions) == 3
    assert complaints == []
    context.close()


@pytest.mark.slow
def test_without_javascript_the_forms_still_work(browser: Browser, word_study: Served) -> None:
    context = browser.new_context(viewport=DESKTOP, java_script_enabled=False)
    page = context.new_page()
    page.goto(word_study.address)
    page.fill("#code", word_study.codes[2])
    page.click("button")
    page.get_by_role("link", name="Begin").click()
    for _ in range(10):
        for group in page.locator("[data-question]").all():
            group.locator("label").first.click()
        page.get_by_role("button", name="Next").click()
    assert "Thank you" in page.content()
    assert word_study.answers().finished == {2}
    context.close()

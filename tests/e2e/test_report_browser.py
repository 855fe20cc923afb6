"""A report in a real browser: searched, sorted, paged, opened by keys, in both schemes, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="driving a browser needs playwright (pip install playwright)")

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.conftest import FindFaults
from tests.factories.report_factory import NASTY, NASTY_TEXTS, add_blind_rows, make_records, make_run
from tlbench.files import file_sha256
from tlbench.media.video_writer import write_video
from tlbench.reporting.report import report

PHONE = ViewportSize(width=390, height=780)
DESKTOP = ViewportSize(width=1280, height=800)
CLIPS = 120


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    make_run(folder, make_records(CLIPS, names=NASTY, texts=NASTY_TEXTS), remarks=NASTY_TEXTS)
    return report(folder)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "a", make_records(20), name="mine")
    make_run(folder / "b", make_records(20, seed=50), name="theirs")
    return report(folder / "a", folder / "b")


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unread")
    make_run(folder, make_records(20))
    add_blind_rows(folder, "most frequent sentence", "20 transcripts of toy:test, without the clip", unreadable=True)
    return report(folder)


class Opened:
    """A page, and everything it complained of or asked the network for."""

    def __init__(self, browser: Browser, path: Path, size: ViewportSize, dark: bool = False) -> None:
        self.page: Page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.path = path
        self.page.goto(path.as_uri())

    def _asked(self, url: str) -> None:
        if not url.startswith("data:") and url.partition("#")[0] != self.path.as_uri():
            self.said.append(f"asked for {url}")

    def clips(self) -> list[str]:
        return self.page.locator("#table [data-clip]").all_inner_texts()

    def column(self, key: str) -> list[float]:
        """Numbers of a metric in the rows shown; clips without one left out."""
        place = self.page.locator("#table thead button").evaluate_all(
            "(all, key) => all.findIndex(b => b.dataset.key === key)", key
        )
        cells = self.page.locator(f"#table tbody tr > td:nth-child({place + 2})").all_inner_texts()
        return [float(cell) for cell in cells if cell != "-"]

    def close(self) -> None:
        self.page.close()
        assert self.said == []


@pytest.fixture
def opened(browser: Browser, single: Path) -> Iterator[Opened]:
    made = Opened(browser, single, DESKTOP)
    yield made
    made.close()


def test_nothing_in_a_name_or_text_runs_and_everything_is_shown_as_it_is(opened: Opened) -> None:
    assert opened.page.title() == "mine - tlbench report"
    for name in NASTY:
        opened.page.locator("#search").fill("")
        opened.page.locator("#search").fill(name.split()[0])
        shown = opened.page.locator("#table [data-clip]", has_text=name)
        expect(shown.first).to_be_visible()
        shown.first.click()
        expect(opened.page.locator(".detail .reading").first).to_be_visible()
        shown.first.click()
    assert opened.page.locator("img[src='x']").count() == 0
    assert opened.page.title() == "mine - tlbench report"


def test_search_finds_ids_words_and_failures(opened: Opened) -> None:
    search = opened.page.locator("#search")
    search.fill("CLIP00042")
    assert [name.strip() for name in opened.clips()] == ["s0/clip00042"]
    expect(opened.page.locator("#count")).to_have_text(f"1 of {CLIPS} clips")
    search.fill("no-face")
    assert [name.strip() for name in opened.clips()] == [f"s{(CLIPS - 1) % 7}/clip{CLIPS - 1:05d}"]
    search.fill("not-bin s3")
    assert 0 < len(opened.clips()) < CLIPS
    search.fill("nowhere at all")
    assert opened.clips() == []
    search.fill("")
    expect(opened.page.locator("#count")).to_have_text(f"{CLIPS} clips")


def test_a_click_on_a_column_sorts_worst_first_and_another_turns_it(opened: Opened) -> None:
    for key, lower in (("psnr/sound", False), ("lse_d/sound", True)):
        head = opened.page.locator(f"#table [data-key='{key}']")
        head.click()
        worst = opened.column(key)
        assert worst == sorted(worst, reverse=lower)
        assert worst[0] != worst[-1]
        head.click()
        best = opened.column(key)
        assert best == sorted(best, reverse=not lower)
        expect(opened.page.locator("#table th[aria-sort]")).to_have_count(1)
        expect(opened.page.locator("#h-notable")).to_contain_text(head.inner_text().split()[0])


def test_a_clip_without_a_number_comes_last_either_way(opened: Opened) -> None:
    failed = f"clip{CLIPS - 1:05d}"
    for order in ("worst", "best"):
        opened.page.locator("#order").select_option(order)
        while opened.page.locator("#next").is_enabled():
            opened.page.locator("#next").click()
        assert failed in opened.clips()[-1]
        while opened.page.locator("#previous").is_enabled():
            opened.page.locator("#previous").click()


def test_pages_hold_every_clip_once(opened: Opened) -> None:
    seen = opened.clips()
    assert len(seen) == 50
    expect(opened.page.locator("#page")).to_have_text("1 of 3")
    expect(opened.page.locator("#previous")).to_be_disabled()
    for _ in range(2):
        opened.page.locator("#next").click()
        seen += opened.clips()
    expect(opened.page.locator("#next")).to_be_disabled()
    assert len(seen) == len(set(seen)) == CLIPS


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("s1/n/p")  # letters that are keys elsewhere
    expect(page.locator("#search")).to_have_value("s1/n/p")
    page.locator("#search").fill("")
    page.keyboard.press("Escape")
    buttons = page.locator("#table [data-clip]")
    expect(buttons.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(buttons.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(buttons.nth(1)).to_have_attribute("aria-expanded", "true")
    expect(buttons.nth(1)).to_be_focused()
    expect(page.locator(".detail svg").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_have_count(0)
    page.keyboard.press("ArrowUp")
    expect(buttons.first).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#page")).to_have_text("2 of 3")
    page.keyboard.press("p")
    expect(page.locator("#page")).to_have_text("1 of 3")


def test_an_open_clip_shows_words_and_curves(opened: Opened) -> None:
    opened.page.locator("#search").fill("clip00042")
    opened.page.locator("#table [data-clip]").click()
    detail = opened.page.locator(".detail")
    assert detail.locator(".word.right").count() + detail.locator(".word.wrong").count() == 5
    expect(detail.locator(".chart figcaption").first).to_contain_text("Sync distance over offset least")
    assert detail.locator(".chart").count() == 4
    expect(detail.locator(".reading .who")).to_contain_text("avhubert")


def test_a_card_leads_to_its_clip(opened: Opened) -> None:
    opened.page.locator("#search").fill("nothing like it")
    card = opened.page.locator(".card.best button").first
    name = card.inner_text()
    card.click()
    assert opened.page.evaluate("document.activeElement.innerText") == name
    expect(opened.page.locator("#table [aria-expanded=true]")).to_have_text(name)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filmed")
    records = []
    for place, record in enumerate(make_records(6)):
        hashes = {}
        for kind in ("generated", "reference"):
            path = folder / kind / f"{record.id}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, [np.full((64, 48, 3), 60 + 20 * place + i, np.uint8) for i in range(10)])
            hashes[kind] = file_sha256(path)
        info = replace(record.info, generated_sha256=hashes["generated"], reference_sha256=hashes["reference"])
        records.append(replace(record, info=info))
    make_run(folder / "run", records, name="mine")
    add_blind_rows(folder / "run", "most frequent sentence", "a test", unreadable=False)
    make_run(folder / "controls" / "ground-truth", records, name="ground-truth", role="control")
    return report(folder / "run", videos=[folder / "generated", folder / "reference"])


def test_a_page_opens_with_three_films_that_play(browser: Browser, filmed: Path) -> None:
    made = Opened(browser, filmed, DESKTOP)
    cards = made.page.locator("#films .film")
    expect(cards).to_have_count(3)
    assert [text.split(":")[0] for text in cards.locator("h3").all_inner_texts()] == ["Best", "Median", "Worst"]
    values = [float(text.split()[1]) for text in cards.locator("h3 b").all_inner_texts()]
    assert values == sorted(values)
    expect(cards.first).to_be_in_viewport()
    expect(cards.first.locator(".columns span")).to_have_text(["real video", "mine"])
    assert cards.locator(".reading").count() == 3
    film = cards.nth(2).locator("video")
    film.evaluate("video => video.play()")
    made.page.wait_for_function("video => video.currentTime > 0.1", arg=film.element_handle())
    assert film.evaluate("video => [video.videoWidth, video.videoHeight]") == [312, 208]
    expect(made.page.locator("details.fold table").first).to_be_hidden()
    cards.nth(2).locator("button").click()
    expect(made.page.locator("#table [aria-expanded=true]")).to_be_focused()
    made.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault_and_print_leaves_out_what_is_pressed(
    browser: Browser, filmed: Path, both: Path, axe: FindFaults, dark: bool
) -> None:
    for page in (filmed, both):
        made = Opened(browser, page, PHONE if dark else DESKTOP, dark)
        made.page.locator("#table [data-clip]").first.click()
        for fold in made.page.locator("details.fold > summary").all():
            fold.click()
        assert axe(made.page) == [], page
        made.page.emulate_media(media="print")
        expect(made.page.locator("#tools")).to_be_hidden()
        expect(made.page.locator("#h-summary")).to_be_visible()
        assert made.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        made.close()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_schemes_and_sizes(browser: Browser, single: Path, size: ViewportSize, dark: bool) -> None:
    made = Opened(browser, single, size, dark)
    lightness = "parseInt(getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/)[0])"
    assert (made.page.evaluate(lightness) < 100) is dark
    made.page.locator("#table [data-clip]").first.click()
    assert made.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    made.page.locator("#theme").click()
    assert (made.page.evaluate(lightness) < 100) is not dark
    made.close()


def test_two_runs_side_by_side_begin_with_what_changed_most(browser: Browser, both: Path) -> None:
    made = Opened(browser, both, DESKTOP)
    expect(made.page.locator("#h-notable")).to_contain_text("Changed most")
    deltas = [abs(float(text)) for text in made.page.locator("#table tbody td:nth-child(2) .delta").all_inner_texts()]
    assert deltas == sorted(deltas, reverse=True)
    assert deltas[0] > 0
    first = made.page.locator("#table tbody tr").first.locator("td:nth-child(2) .delta")
    change = float(first.inner_text())  # of WER1: less is better
    expect(first).to_have_class("delta good" if change < 0 else "delta bad")
    made.page.locator("#table [data-clip]").first.click()
    expect(made.page.locator(".detail h3")).to_have_text(["mine", "theirs"])
    assert made.page.locator(".detail .chart").first.locator("path").count() == 2
    made.close()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_what_is_not_read_is_seen_at_first_sight(browser: Browser, unread: Path, size: ViewportSize) -> None:
    made = Opened(browser, unread, size)
    expect(made.page.locator(".banner")).to_be_in_viewport()
    expect(made.page.locator(".banner")).to_contain_text("can't read these faces")
    expect(made.page.locator("#blind tbody tr")).to_contain_text("† not read")
    expect(made.page.locator("td.value .bad").first).to_have_text("†")
    assert made.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    made.close()


@pytest.mark.slow
def test_a_page_of_25000_clips_opens_searches_and_sorts_within_seconds(browser: Browser, tmp_path: Path) -> None:
    make_run(tmp_path, make_records(25_000), resamples=100)
    page = report(tmp_path, pictures=0)
    assert page.stat().st_size < 30e6
    made = Opened(browser, page, DESKTOP)
    made.page.set_default_timeout(10_000)
    expect(made.page.locator("#page")).to_have_text("1 of 500")
    made.page.locator("#search").fill("clip24998")
    expect(made.page.locator("#count")).to_have_text("1 of 25,000 clips")
    made.page.locator("#search").fill("")
    made.page.locator("#table [data-key='psnr/sound']").click()
    values = made.column("psnr/sound")
    assert values == sorted(values)
    made.close()

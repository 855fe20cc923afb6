"""The leaderboards' site in a real browser, from its files: sorted, filtered, walked by keys, on a desk and a phone."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="driving a browser needs playwright (pip install playwright)")

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Request,
    ViewportSize,
    expect,
)

from tests.conftest import FindFaults
from tests.factories.site_factory import NASTY, make_leaderboards
from tlbench.leaderboard import build as leaderboard

PHONE = ViewportSize(width=390, height=780)
DESKTOP = ViewportSize(width=1280, height=800)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    leaderboard.build(make_leaderboards(folder), folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    shutil.copytree(ROOT / "leaderboards" / "lrs2", folder / "boards" / "lrs2")
    leaderboard.build(folder / "boards", folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for all tests: to open one takes longer than most of them."""
    made = browser.new_page()
    yield made
    made.close()


class Opened:
    """A page, and everything it complained of or asked the network for."""

    def __init__(self, tab: Page, site: Path, path: str, size: ViewportSize = DESKTOP, dark: bool = False) -> None:
        self.page = tab
        self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.said: list[str] = []
        self.page.on("console", self._told)
        self.page.on("pageerror", self._failed)
        self.page.on("request", self._asked)
        self.site = site
        self.open(path)

    def open(self, path: str) -> None:
        self.page.goto((self.site / path).as_uri())

    def _told(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)

    def _failed(self, error: Error) -> None:
        self.said.append(str(error))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(("data:", self.site.as_uri())):
            self.said.append(f"asked for {request.url}")

    def board(self, arithmetic: str) -> Locator:
        return self.page.locator(f"#{arithmetic}")

    def groups(self, arithmetic: str) -> list[tuple[str, list[str]]]:
        """Label and names of each group that is shown."""
        bodies = self.board(arithmetic).locator(".standings tbody:not([hidden])").all()
        return [
            (
                body.locator(".group").inner_text(),
                body.locator("tr[data-kind]:not([hidden]) th.name").all_inner_texts(),
            )
            for body in bodies
        ]

    def close(self) -> None:
        self.page.evaluate("localStorage.clear()")
        self.page.remove_listener("console", self._told)
        self.page.remove_listener("pageerror", self._failed)
        self.page.remove_listener("request", self._asked)
        assert self.said == []


@pytest.fixture
def opened(tab: Page, site: Path) -> Iterator[Opened]:
    made = Opened(tab, site, "boards/grid.html")
    yield made
    made.close()


@pytest.fixture
def published(tab: Page, papers: Path) -> Iterator[Opened]:
    made = Opened(tab, papers, "boards/lrs2.html")
    yield made
    made.close()


def values(opened: Opened, arithmetic: str, column: int, group: int) -> list[float]:
    body = opened.board(arithmetic).locator(".standings tbody:not([hidden])").nth(group)
    cells = body.locator(f"tr[data-kind]:not([hidden]) td:nth-child({column + 3}) .value")
    return [float(text) for text in cells.all_inner_texts()]


def test_the_script_begins_with_the_order_that_the_page_has_without_it(
    browser: Browser, opened: Opened, site: Path
) -> None:
    bare = browser.new_page(java_script_enabled=False)
    bare.goto((site / "boards" / "grid.html").as_uri())
    for arithmetic in ("sound", "paper"):
        rows = f"#{arithmetic} .standings tbody"
        assert bare.locator(rows).all_inner_texts() == opened.page.locator(rows).all_inner_texts()
    bare.close()


def test_a_click_on_a_column_puts_the_best_first_and_another_the_worst(opened: Opened) -> None:
    heads = opened.board("sound").locator("thead th button")
    for column, lower in ((1, False), (2, True)):  # LSE-C, LSE-D
        for turned in (False, True):
            heads.nth(column + 1).click()
            for group in (0, 1):
                found = values(opened, "sound", column, group)
                assert len(found) == (3, 2)[group]
                assert found == sorted(found, reverse=(not lower) != turned)
        expect(opened.board("sound").locator("th[aria-sort]")).to_have_count(1)
        expect(opened.board("sound").locator(".count")).to_contain_text("worst first")


def test_computed_and_published_rows_and_rows_made_in_other_ways_never_mix(opened: Opened) -> None:
    kinds = [
        ("computed", {"Reads well", "Reads as well", NASTY}),
        ("computed", {"Other boxes", "More other boxes"}),
        ("published", {"Printed", "Printed <i>too</i>"}),
        ("ceilings and floors", {"ground-truth"}),
    ]
    for column in (1, 2, 1):
        opened.board("paper").locator("thead th button").nth(column).click()
        found = opened.groups("paper")
        assert [set(names) for _, names in found] == [names for _, names in kinds]
        assert all(label.startswith(kind) for (label, _), (kind, _) in zip(found, kinds, strict=True))
    assert len({label for label, _ in opened.groups("paper")}) == 4


def test_figures_collected_from_elsewhere_are_a_group_of_their_own(published: Opened) -> None:
    published.board("paper").locator("thead th button", has_text="PSNR").click()
    groups = published.groups("paper")
    assert groups[0][1][:2] == ["TalkLip (l)", "Wav2Lip"]
    assert groups[1][1] == ["SyncTalkFace", "PC-AVS"]  # 32.59 dB would lead the first group
    assert "SyncTalkFace" in groups[1][0]
    assert groups[2] == ("ceilings and floors, without PSNR", ["Ground Truth"])


def test_rows_without_a_number_come_last_and_say_so(published: Opened) -> None:
    assert [label for label, _ in published.groups("paper")] == [
        "published",
        "published, without WER1",
        "ceilings and floors",
    ]


def test_names_sort_by_the_alphabet(published: Opened) -> None:
    published.board("paper").locator("thead th button").first.click()
    names = published.groups("paper")[0][1]
    assert names == sorted(names, key=str.lower)


def test_the_search_and_the_boxes_hide_rows_and_say_how_many_are_left(published: Opened) -> None:
    board = published.board("paper")
    board.locator(".find").fill("TALK g+c")
    assert published.groups("paper") == [("published", ["TalkLip (g+c)"])]
    expect(board.locator(".count")).to_contain_text("1 of 12 rows")
    board.locator(".find").fill("")
    board.get_by_role("checkbox", name="published").uncheck()
    assert published.groups("paper") == [("ceilings and floors", ["Ground Truth"])]
    board.get_by_role("checkbox", name="published").check()
    expect(board.locator(".count")).to_contain_text("12 of 12 rows")


def test_the_rank_column_follows_the_sorted_column_and_names_ties(opened: Opened) -> None:
    ranks = opened.board("sound").locator("tbody tr[data-kind=computed] td.rank")
    assert [text.split() for text in ranks.all_inner_texts()[:3]] == [["1", "tie", "of", "2"]] * 2 + [["3"]]
    opened.board("sound").locator("thead th button", has_text="PSNR").click()
    place = (
        opened.board("sound").locator("thead th").evaluate_all("all => all.findIndex(h => h.dataset.label === 'PSNR')")
    )
    shown = (
        opened.board("sound")
        .locator("tbody tr[data-kind=computed]")
        .evaluate_all(
            "(all, at) => all.map(row => [row.cells[0].firstChild.textContent, row.cells[at].dataset.rank])", place
        )
    )
    assert len(shown) == 5
    assert all(rank == own for rank, own in shown)
    opened.board("sound").locator("thead th button", has_text="system").click()
    assert set(ranks.all_inner_texts()) == {""}


def test_what_is_chosen_is_in_the_address_and_a_link_shows_the_same(opened: Opened) -> None:
    board, page = opened.board("sound"), opened.page
    for _ in range(2):
        board.locator("thead th button", has_text="LSE-D").click()
    board.locator(".find").fill("reads")
    board.get_by_role("checkbox", name="published").uncheck()
    board.locator(".chooser summary").click()
    board.get_by_role("checkbox", name="SSIM").uncheck()
    board.get_by_role("checkbox", name="links").uncheck()
    expect(board.locator("thead th:visible")).to_have_count(8)
    shown, address = opened.groups("sound"), page.url
    assert "#sound.sort=lse_d/sound&sound.worst=1&sound.find=reads&sound.without=published" in address
    page.goto("about:blank")
    page.goto(address)
    assert opened.groups("sound") == shown
    assert {name for _, names in shown for name in names} == {"Reads as well", "Reads well"}
    expect(board.locator("thead th:visible")).to_have_count(8)
    expect(board.locator(".count")).to_contain_text("worst first")
    expect(opened.board("paper").locator(".count")).to_contain_text("8 of 8 rows")
    page.evaluate("location.hash = '#paper'")
    expect(board.locator("thead th:visible")).to_have_count(10)
    expect(board.locator(".find")).to_have_value("")


def test_what_is_shown_can_be_downloaded(opened: Opened) -> None:
    board = opened.board("sound")
    board.locator(".find").fill("e")
    board.locator(".chooser summary").click()
    board.get_by_role("checkbox", name="SSIM").uncheck()
    with opened.page.expect_download() as loaded:
        board.get_by_role("button", name="JSON").click()
    assert loaded.value.suggested_filename == "grid-sound.json"
    data = json.loads(Path(loaded.value.path()).read_text("utf-8"))
    names = [name for _, names in opened.groups("sound") for name in names]
    assert [row["system"] for row in data["rows"]] == names
    assert NASTY in names
    assert (data["dataset"], data["sorted_by"], data["rows"][0]["rank"]) == ("grid", "wer1/sound", 1)
    first = data["rows"][0]["numbers"]["wer1/sound"]
    assert first["low"] <= first["value"] <= first["high"]
    assert first["protocol"].startswith("wer1[grid:test/")
    assert "ssim/sound" not in data["rows"][0]["numbers"]
    with opened.page.expect_download() as loaded:
        board.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(Path(loaded.value.path()).read_text("utf-8").splitlines()))
    assert [row["system"] for row in rows] == names
    assert float(rows[0]["wer1/sound"]) == first["value"]
    assert "ssim/sound" not in rows[0]
    assert [row["trained_on_or_with"] for row in rows if row["system"] == "Reads as well"] == ["syncnet"]


def test_a_column_explains_itself_on_hover_and_on_focus(opened: Opened) -> None:
    tip = opened.page.locator("#tip")
    expect(tip).to_be_hidden()
    head = opened.board("sound").locator("thead th", has_text="WER1")
    head.hover()
    expect(tip).to_contain_text("Word errors of AV-HuBERT reading the lips")
    expect(tip).to_contain_text("lower is better")
    opened.page.mouse.move(5, 5)
    expect(tip).to_be_hidden()
    head.locator("button").focus()
    expect(tip).to_be_visible()
    opened.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    opened.board("sound").locator(".mark").first.focus()
    expect(tip).to_contain_text("no fair judge")


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#sound .find")).to_be_focused()
    page.keyboard.type("other/")  # the key is a letter there
    expect(page.locator("#sound .find")).to_have_value("other/")
    page.locator("#sound .find").fill("")
    for _ in range(7):  # three boxes, the columns, two downloads, then the table's own scrolling
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # names
    page.keyboard.press("Tab")  # WER1
    page.keyboard.press("Enter")
    expect(page.locator("#sound .count")).to_contain_text("worst first")
    found = values(opened, "sound", 0, 0)
    assert found == sorted(found, reverse=True)
    point = page.locator("#sound .desk a").first
    point.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/boards/grid/*.html")


def test_nothing_in_a_name_runs_and_its_page_is_reached_from_table_and_picture(opened: Opened) -> None:
    opened.page.locator("#sound th.name a", has_text="</script>").click()
    expect(opened.page.locator("h1")).to_have_text(NASTY)
    assert opened.page.title() == f"{NASTY} on grid - tlbench leaderboards"
    opened.page.locator(".crumbs a").click()
    opened.page.locator("#sound .desk a", has_text="{{7*7}}").first.click()
    expect(opened.page.locator("h1")).to_have_text(NASTY)
    assert opened.page.locator("img").count() == 0


def test_every_page_is_reached_from_the_front_page_without_a_complaint(tab: Page, site: Path) -> None:
    made = Opened(tab, site, "index.html")
    seen, left = set(), [made.page.url]
    while left:
        url = left.pop()
        if url in seen:
            continue
        seen.add(url)
        made.page.goto(url)
        found = made.page.locator("main a[href]:not([download]), nav a[href]").evaluate_all(
            "all => all.map(a => new URL(a.getAttribute('href'), location).href.split('#')[0])"
        )
        left += [one for one in found if one.startswith("file:")]
    assert {Path(url.removeprefix("file://")) for url in seen} == set(site.rglob("*.html"))
    made.close()


def test_wrapping_psnr_takes_an_error_of_16_levels_for_none_at_all(tab: Page, site: Path) -> None:
    made = Opened(tab, site, "paper-and-sound.html")
    paper, sound, slider = (made.page.locator(f"#{name}") for name in ("psnr-paper", "psnr-sound", "strength"))
    # 20 log10(255 / n), and 10 log10(255^2 / (n^2 mod 256)); 100 where nothing is left.
    for levels, published, true in (("16", "100.00", "24.05"), ("20", "26.55", "22.11"), ("4", "36.09", "36.09")):
        slider.fill(levels)
        assert (paper.inner_text(), sound.inner_text()) == (published, true)
    slider.focus()
    slider.press("ArrowRight")
    expect(made.page.locator("#amount")).to_have_text("5 grey levels")
    slider.fill("0")
    assert (paper.inner_text(), sound.inner_text()) == ("100.00", "∞")
    made.page.locator("#damage").select_option("mouth")
    slider.fill("100")
    assert float(paper.inner_text()) > float(sound.inner_text()) + 3
    assert made.page.locator("#psnr-curve path").count() == 2
    made.close()


def test_the_mean_of_rates_and_the_pooled_rate_part_as_sentences_are_edited(tab: Page, site: Path) -> None:
    made = Opened(tab, site, "paper-and-sound.html")
    mean, pooled = made.page.locator("#wer-paper"), made.page.locator("#wer-sound")
    assert (mean.inner_text(), pooled.inner_text()) == ("74.0 %", "19.0 %")  # (2/1 + 1/13 + 1/7) / 3, and 4/21
    made.page.locator("#utterances li").nth(0).get_by_label("read").fill("Yes!")
    assert (mean.inner_text(), pooled.inner_text()) == ("7.3 %", "9.5 %")
    while made.page.locator("#utterances li").count():
        made.page.locator("#utterances button").first.click()
    assert (mean.inner_text(), pooled.inner_text()) == ("-", "-")
    made.page.locator("#add").click()
    made.page.keyboard.type("<b>a b c d</b>")
    assert made.page.locator("#utterances b").count() == 0
    expect(pooled).to_have_text("100.0 %")
    made.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault_on_any_kind_of_page(tab: Page, site: Path, axe: FindFaults, dark: bool) -> None:
    made = Opened(tab, site, "index.html", PHONE if dark else DESKTOP, dark)
    kinds = ("index.html", "submit.html", "paper-and-sound.html", "boards/grid.html", "boards/grid/reads-well.html")
    for path in (*kinds, "boards/grid/published-printed.html"):
        made.open(path)
        assert axe(made.page) == [], path
    made.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_schemes_and_sizes(tab: Page, site: Path, dark: bool) -> None:
    lightness = "parseInt(getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/)[0])"
    made = Opened(tab, site, "index.html", DESKTOP, dark)
    for path in (
        *("index.html", "submit.html", "paper-and-sound.html"),
        *("boards/grid/reads-well.html", "boards/grid.html"),
    ):
        made.open(path)
        for size in (DESKTOP, PHONE):
            made.page.set_viewport_size(size)
            assert (made.page.evaluate(lightness) < 100) is dark
            assert made.page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
    made.open("boards/grid/reads-well.html")
    place = made.page.locator(".numbers td.text svg circle.mark").first.bounding_box()
    assert place is not None
    assert place["x"] + place["width"] < PHONE["width"]  # in view before the table is scrolled
    other = f"({lightness} < 100) === {str(not dark).lower()}"
    made.page.locator("#theme").click()
    made.page.wait_for_function(other)
    with made.page.expect_navigation():
        made.page.locator(".home").click()
    made.page.wait_for_function(other)  # and it stays so on the next page
    made.close()

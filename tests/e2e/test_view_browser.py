"""``tlbench view`` in a real browser: in both schemes, on a phone and a desktop, while a run goes on."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="the page of runs needs the extra `view` (flask, waitress)")
pytest.importorskip("playwright", reason="driving a browser needs playwright (pip install playwright)")

from playwright.sync_api import Browser, ViewportSize, expect
from werkzeug.serving import make_server

from tests.conftest import FindFaults
from tests.factories.results_factory import LEVEL, levels, result
from tlbench.owner import owned
from tlbench.scoring.announcement import Announcement, announced
from tlbench.viewing.pages import Pages
from tlbench.viewing.runs import Runs
from tlbench.viewing.site import make_site


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: [LEVEL])
    for name in ("a", "b-with-a-long-name-that-has-to-be-broken-somewhere-on-a-phone"):
        result(levels([1.0, 2.0, 3.0]), name=name).write(tmp_path / "results" / name / "result.json")
    return tmp_path / "results"


@pytest.fixture
def address(results: Path, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "pages").mkdir()
    server = make_server("127.0.0.1", 0, make_site(Runs(results), Pages(tmp_path / "pages")), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_runs_are_listed_watched_opened_and_compared(
    browser: Browser, address: str, results: Path, width: int, scheme: str, axe: FindFaults
) -> None:
    size = ViewportSize(width=width, height=900)
    context = browser.new_context(viewport=size, color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    started = datetime.now(timezone.utc) - timedelta(minutes=10)
    running = results / "running"
    about = Announcement("running", "lrs2", "test", 4, started.isoformat())
    with owned(running):
        with announced(running, about):
            (running / "records.jsonl.partial").write_text("{}\n")
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            told = page.locator("[data-run=running] .told")
            expect(told).to_contain_text(re.compile(r"1 of 4 clips, about 3\d min left"))  # the page is asked later
            assert axe(page) == []
            with open(running / "records.jsonl.partial", "a") as records:
                records.write("{}\n{}\n")
            expect(told).to_contain_text("3 of 4 clips")  # without a reload
        result(levels([1.0, 2.0, 3.0, 4.0]), name="running").write(running / "result.json")
    expect(page.locator("[data-run=running] .label")).to_have_text("complete")
    page.get_by_role("link", name="a", exact=True).click()
    expect(page).to_have_title("a - tlbench report")
    page.go_back()
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_title(re.compile(".+ and .+ - tlbench report"))
    assert axe(page) == []
    assert complaints == []
    page.goto(f"{address}report?run=gone")  # 404, which the browser complains of
    assert axe(page) == []
    context.close()

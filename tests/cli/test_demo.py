"""What ``tlbench demo`` prints and opens at its end; that it runs is tested end to end."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.factories.results_factory import LEVEL, levels, result
from tlbench import demo
from tlbench.cli.main import group


@pytest.fixture(autouse=True)
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A demo that has two tables at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "render_demo", lambda *_, **__: None)
    monkeypatch.setattr(demo, "generate_demo", lambda *_, **__: None)
    shown = [
        demo.Shown(name, [result(levels([1.0, 2.0]), [LEVEL], name="talklip")], Path(f"report-{name}.html"))
        for name in ("synthetic", "synthetic-words")
    ]
    monkeypatch.setattr(demo, "score_demo", lambda *_, **__: shown)


def test_json_is_one_document_of_both_tables() -> None:
    said = CliRunner().invoke(group, ["demo", "out", "--json"], catch_exceptions=False)
    printed = json.loads(said.stdout)
    assert printed["results"] == str(Path("out") / "results")
    assert [table["dataset"] for table in printed["tables"]] == ["synthetic", "synthetic-words"]
    assert printed["tables"][1]["page"] == "report-synthetic-words.html"
    assert [one["system"] for one in printed["tables"][0]["results"]] == ["talklip"]


def test_the_first_page_is_opened_if_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    CliRunner().invoke(group, ["demo", "out"], catch_exceptions=False)
    assert opened == []
    said = CliRunner().invoke(group, ["demo", "out", "--open"], catch_exceptions=False)
    assert opened == [(tmp_path / "report-synthetic.html").as_uri()]
    assert "talklip" in said.stdout

"""What ``tlbench demo`` prints and opens at its end; that it runs is tested end to end."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.factories.results_factory import LEVEL, levels, result
from tlbench import demo
from tlbench.cli.main import group
from tlbench.metrics.catalogue import find_metric


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


class Scored:
    """A result as far as the closing sentence looks at it."""

    metrics = (find_metric("psnr/sound"), find_metric("wer1/sound"))

    def __init__(self, name: str, value: float | None) -> None:
        self.name, self.value = name, value

    def row(self, key: str) -> Scored:
        assert key == "wer1/sound"
        return self


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            (46.384, 9.93, 99.858),
            "WER1 of a lip reader: 9.93 % on the drawn faces, 46.38 % on generated faces, 99.86 % on frozen mouths",
        ),
        ((46.384, None, 99.858), ""),
    ],
)
def test_it_ends_with_what_was_seen(values: tuple[float | None, ...], said: str) -> None:
    names = (demo.GENERATOR, demo.GROUND_TRUTH, demo.SHOWN_BESIDE)
    rows: Any = [Scored(name, value) for name, value in zip(names, values, strict=True)]
    assert demo.what_was_seen(demo.Shown("synthetic", rows, Path("page.html"))) == said


def test_the_pages_to_open_are_named_at_the_end() -> None:
    said = CliRunner().invoke(group, ["demo", "out"], catch_exceptions=False)
    *pages, missing, _ = said.stderr.splitlines()[-4:]
    assert pages == [f"{name}; open report-{name}.html" for name in ("synthetic", "synthetic-words")]
    assert missing.startswith("real faces: not here;")

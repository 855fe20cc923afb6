"""What ``tlbench demo`` prints and opens at its end; that it runs is tested end to end."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

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
    """A result as far as the closing sentence looks at it: read by AV-HuBERT (WER1) and by a Conformer (WER2)."""

    metrics = tuple(map(find_metric, ("psnr/sound", "wer1/sound", "wer2/sound")))
    weights: ClassVar = {"avhubert-synthetic": {"sha256": "a" * 64}, "conformer-synthetic": {"sha256": "c" * 64}}

    def __init__(self, name: str, value: float | None, role: str, trained_with: str = "none") -> None:
        self.name, self.value, self.role, self.trained_with = name, value, role, [trained_with]
        self.provenance = {"weights": self.weights}

    def row(self, key: str) -> Any:
        weights = {"wer1/sound": "a" * 12, "wer2/sound": "c" * 12}[key]
        return SimpleNamespace(value=self.value, protocol=SimpleNamespace(weights=weights))


def seen(*made: Scored, truth: float | None = 9.93, dataset: str = "synthetic") -> str:
    ends = (Scored(demo.GROUND_TRUTH, truth, "control"), Scored(demo.SHOWN_BESIDE, 99.858, "control"))
    rows: Any = [*made, *ends]
    return demo.what_was_seen(demo.Shown(dataset, rows, Path("page.html")))


def test_it_ends_with_what_was_seen() -> None:
    assert seen(Scored("wav2lip", 46.384, "system")) == (
        "WER1 of a lip reader: 9.93 % on the drawn faces, 46.38 % on those of wav2lip, 99.86 % on frozen mouths"
    )
    assert seen(Scored("wav2lip", 46.384, "system"), truth=None) == ""


def test_the_sentence_names_all_generators_and_a_reader_that_none_was_trained_with() -> None:
    made = Scored("talklip", 20.0, "system", "avhubert-synthetic-expert"), Scored("wav2lip", 46.384, "system")
    assert seen(*made, dataset=demo.REAL) == (
        "WER2 of a lip reader: 9.93 % on the real faces, 20.00 % on those of talklip, 46.38 % on those of wav2lip, "
        "99.86 % on frozen mouths"
    )


def test_the_pages_to_open_are_named_at_the_end() -> None:
    said = CliRunner().invoke(group, ["demo", "out"], catch_exceptions=False)
    *pages, missing, _ = said.stderr.splitlines()[-4:]
    assert pages == [f"{name}; open report-{name}.html" for name in ("synthetic", "synthetic-words")]
    assert missing.startswith("real faces: not here;")

"""Python on a page runs, or at least names what there is."""

from __future__ import annotations

import ast
import re
import textwrap
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.docs.commands import PAGES, ROOT
from tests.factories.media_factory import picture
from tlbench.media.video_writer import write_video

RUN = ROOT / "docs" / "python.md"
# Excerpts of the examples, which tests/e2e/test_examples.py holds them to.
EXCERPTS = (ROOT / "docs" / "adding-an-observer.md", ROOT / "docs" / "adding-a-generator.md")


def blocks(page: Path) -> list[tuple[int, str]]:
    """Python blocks of a page with the line each begins on."""
    text = page.read_text("utf-8")
    found = re.finditer(r"^( *)```python\n(.*?)^ *```", text, re.S | re.M)
    return [(text.count("\n", 0, match.start()) + 2, textwrap.dedent(match[2])) for match in found]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four short clips in ``real``, softened in ``ours``, and twice that in ``theirs``."""
    for name, noise in (("real", 0), ("ours", 6), ("theirs", 12)):
        (tmp_path / name).mkdir()
        for seed in range(4):
            random = np.random.default_rng(seed)
            frames = np.stack([picture(number + 9 * seed, 112, 112) for number in range(6)]).astype(np.int64)
            frames += random.integers(-noise, noise + 1, frames.shape)
            write_video(tmp_path / name / f"c{seed}.mp4", frames.clip(0, 255).astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_python_page_runs_from_top_to_bottom(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "page"}
    ran = blocks(RUN)
    for line, block in ran:
        exec(compile("\n" * (line - 1) + block, str(RUN), "exec"), names)
    assert len(ran) >= 7
    said = capsys.readouterr().out
    assert said.startswith("<Result 'ours' on folder:all, 4 of 4 clips: ")
    assert "psnr/sound" in said
    assert "did you mean 'psnr'?" in said
    assert (folders / "tlbench-results" / "ours" / "report.html").is_file()


@pytest.mark.parametrize("page", [page for page in PAGES if page not in (RUN, *EXCERPTS)], ids=lambda page: page.name)
def test_python_on_other_pages_is_python_and_names_what_there_is(page: Path) -> None:
    for line, block in blocks(page):
        for node in ast.walk(ast.parse(block, f"{page.name}:{line}")):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tlbench":
                assert hasattr(import_module("tlbench"), node.attr), f"{page.name}:{line} has tlbench.{node.attr}"
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tlbench":
                for alias in node.names:
                    assert hasattr(import_module(node.module), alias.name), f"{page.name}:{line} imports {alias.name}"

"""One code, one level: what ``check`` calls an error, ``score`` calls one, and the other way round."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.media_factory import write_clip
from tlbench.datasets.clip import Clip
from tlbench.observing.clip_checks import concerned
from tlbench.observing.observer import Needs
from tlbench.preflight.clip import Expected, check_clip
from tlbench.preflight.findings import CATALOGUE, finding, of_failure
from tlbench.preflight.texts import ALPHABET, check_texts

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "tlbench").rglob("*.py"), *(ROOT / "observers").rglob("*.py")])
RAISED = ("ClipError", "MediaError")


def codes_of_failures() -> Iterator[str]:
    """The codes of all errors about a clip that any module raises: as ``score`` meets them, they become findings."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = node.func if isinstance(node, ast.Call) else None
            if isinstance(name, ast.Name) and name.id in RAISED and isinstance(node, ast.Call) and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield code.value


FAILURES = sorted(set(codes_of_failures()) & set(CATALOGUE))


def test_the_failures_are_found() -> None:
    assert {"no-audio", "unknown-word", "word-length", "truncated", "bad-boxes"} <= set(FAILURES)


@pytest.mark.parametrize("code", FAILURES)
def test_what_an_observer_fails_with_has_the_level_that_check_gives_it(code: str) -> None:
    assert of_failure("c", code, "why; way out", ("eye",)).level == finding(code, "c", "why").level


def test_nobody_gives_a_finding_a_level_of_its_own() -> None:
    assert list(inspect.signature(finding).parameters) == ["code", "clip", "message"]


@pytest.mark.parametrize("code", [kind.code for kind in CATALOGUE.values() if kind.level == "error"])
def test_an_error_stays_one_where_somebody_is_concerned(code: str) -> None:
    needs = {"all": Needs(boxes=True, audio=True, reference=True, word=True)}
    found = concerned(finding(code, "c", "why"), needs, ["all"])
    assert found.level == "error"
    assert found.observers == (() if CATALOGUE[code].concerns == "none" else ("all",))


def test_a_word_clip_that_is_too_long_is_a_warning_where_nobody_reads_words(tmp_path: Path) -> None:
    clip = Clip("c", generated=write_clip(tmp_path / "g.mp4", frames=40), word="ABUOT")
    told = {found.code: found.level for found in check_clip(clip, Expected()).findings}
    told |= {found.code: found.level for found in check_texts([clip], ALPHABET, ["ABOUT"])}
    told.pop("no-reference")
    assert told == dict.fromkeys(["no-audio", "word-window", "word-length", "unknown-word"], "error")
    long = finding("word-length", "c", "40 frames")
    reader, other = {"mvm": Needs(word=True)}, {"pixels": Needs(reference=True)}
    assert (concerned(long, reader, []).level, concerned(long, reader, []).observers) == ("error", ("mvm",))
    assert (concerned(long, other, []).level, concerned(long, other, []).observers) == ("warning", ())

"""Lines of commands show names from files as text, and a path stays a path for programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.trouble.children import run
from tlbench.cli.lines import say

EVIL = "a\x1b[31m\u202eb\n"


def test_a_line_for_people_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL, err=True)
    assert capsys.readouterr().err == r"a\x1b[31m\u202eb\n" + "\n"


def test_a_path_is_escaped_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say(Path("a\x1bb"))
    assert capsys.readouterr().out == "a\x1bb\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    say(Path("a\x1bb"))
    assert capsys.readouterr().out == r"a\x1bb" + "\n"


def test_an_error_about_a_word_of_the_command_line_escapes_it(tmp_path: Path) -> None:
    outcome = run(["compare", "a", "b", "\x1b[31m" + "x" * 5000], tmp_path)
    assert outcome.code == 2
    assert "\x1b" not in outcome.stderr
    assert "unexpected extra argument" in outcome.stderr
    assert len(outcome.stderr) < 2000

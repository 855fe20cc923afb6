"""``--json``: every command that prints facts has it, and stdout is then one document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.factories.results_factory import LEVEL, levels, result
from tests.factories.study_factory import make_study, make_videos
from tlbench.cli.facts import print_json
from tlbench.cli.main import group

# A server prints where it is, and works until it is stopped.
WITHOUT = {"study serve", "view"}


def commands(parent: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        elif command is not None:
            yield " ".join((*names, name)), command


def printed(*words: object, code: int = 0) -> Any:
    """What a command prints, as the one JSON document that it must be."""
    done = CliRunner().invoke(group, [str(word) for word in words], standalone_mode=False)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert (done.return_value or 0) == code
    return json.loads(done.stdout)


def test_every_command_that_prints_facts_has_it() -> None:
    flags = {
        name: {flag for parameter in command.params for flag in parameter.opts} for name, command in commands(group)
    }
    assert {name for name, own in flags.items() if "--json" not in own} == {name for name in WITHOUT if name in flags}


def test_results_and_comparisons_are_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: [LEVEL])
    for name in ("a", "b"):
        result(levels([1.0, 2.0, 3.0]), name=name).write(tmp_path / name / "result.json")
    tables = printed("table", tmp_path, "--json")
    assert [item["system"] for item in tables["results"]] == ["a", "b"]
    assert tables == printed("table", tmp_path, "--format", "json")
    assert printed("compare", tmp_path / "a", tmp_path / "b", "--json")["rows"]


def test_two_formats_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["table", str(tmp_path), "--json", "--format", "latex"])
    assert str(done.exception) == "--json and --format latex are two formats; give one of them"


def test_lists_of_checkpoints_have_all_or_those_that_are_named() -> None:
    everything = printed("checkpoints", "list", "--json")
    one = printed("checkpoints", "list", "syncnet", "--json")
    assert one == [item for item in everything if item["name"] == "syncnet"]


def test_what_was_done_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said = printed("data", "set", "grid", tmp_path, "--json")
    assert (said["name"], said["folder"]) == ("grid", str(tmp_path))
    assert Path(said["written_to"]).is_file()


def test_a_study_says_who_takes_part(tmp_path: Path) -> None:
    made = make_study(tmp_path / "study", make_videos(tmp_path / "videos"), reading=0)
    people = printed("study", "progress", tmp_path / "study", "--json")
    assert [one["code"] for one in people] == list(made.codes)
    assert all(one["done"] == 0 < one["total"] for one in people)


def test_infinite_numbers_paths_and_errors_are_texts(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"psnr": float("inf"), "at": Path("a") / "b", "why": [ValueError("no é")], "n": 3})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"psnr": "inf", "at": str(Path("a/b")), "why": ["no é"], "n": 3}

"""TOML of strangers is read within limits, and in one place."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from scripts.draw_house import ROOT, sources
from tlbench.checkpoints.card import read_card
from tlbench.cli.config_file import read_config
from tlbench.datasets import locations
from tlbench.errors import TlbenchError
from tlbench.toml_input import parse_toml


def test_a_text_and_the_bytes_of_a_file_are_the_same() -> None:
    assert parse_toml('a = "\u00e9"') == parse_toml('\ufeffa = "\u00e9"'.encode()) == {"a": "\u00e9"}


WRONG = [
    (b"= 1", "is not TOML"),
    (b"a = 1\na = 2", "is not TOML"),
    (b"a = '\xff'", "is not UTF-8"),
    (b"a = " + b"[" * 100_000, "is nested too deeply"),
    (b"a = " + b"{b=" * 5_000, "is nested too deeply"),
    (b".".join([b"a"] * 2_000) + b" = 1", "is nested too deeply, more than 32 levels"),
]


@pytest.mark.parametrize(("raw", "why"), WRONG)
def test_what_is_wrong_is_one_line(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        parse_toml(raw)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("raw", "why"), WRONG)
def test_cards_config_files_and_the_places_of_data_sets_say_it(
    raw: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / locations.FILE_NAME
    path.write_bytes(raw)
    monkeypatch.setenv(locations.CONFIG_VARIABLE, str(tmp_path))
    for read in (
        lambda: read_card(path),
        lambda: read_config(path, click.Command("x")),
        lambda: locations.find_root("x"),
    ):
        with pytest.raises(TlbenchError, match=why) as error:
            read()
        assert "\n" not in str(error.value)


def test_all_toml_is_read_in_one_place() -> None:
    readers = [path.name for path in sources(ROOT / "tlbench") if "import tomllib" in path.read_text("utf-8")]
    assert readers == ["toml_input.py"]

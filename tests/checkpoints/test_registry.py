"""The registry: names that are imported lazily, capabilities, and observers of other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tlbench.checkpoints import catalogue
from tlbench.checkpoints.catalogue import observer_cards, observer_names
from tlbench.errors import TlbenchError
from tlbench.observing.registry import Capability, capability, observer_class


class Point:
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    """What is put into it is installed."""
    points: list[Point] = []
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points if group == "tlbench.observers" else [])
    observer_names.cache_clear()
    yield points
    observer_names.cache_clear()


def test_the_built_in_observers_bear_the_names_they_are_found_by() -> None:
    for name in observer_names():
        assert observer_class(name).name == name


def test_an_installed_observer_is_found_with_its_card(
    installed: list[Point], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lipsight"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "observer.py").write_text("class Sight:\n    name = 'sight'\n")
    fields = ("name", "title", "observer", "file", "url", "licence", "trained_on", "view")
    (package / "card.toml").write_text("".join(f"{field} = 'sight'\n" for field in fields))
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.append(Point("sight", "lipsight.observer:Sight"))
    assert observer_class("sight").name == "sight"
    assert [card.name for card in observer_cards("sight")] == ["sight"]


@pytest.mark.parametrize(
    "value", ["nowhere.at.all:Sight", "json.decoder:Sight", "json:JSONDecoder"], ids=["module", "class", "package"]
)
def test_an_observer_that_can_not_be_imported_is_one_line(installed: list[Point], value: str) -> None:
    installed.append(Point("sight", value))
    with pytest.raises(TlbenchError, match="observer 'sight'"):
        (observer_cards("sight"), observer_class("sight"))


@pytest.mark.parametrize("name", list(observer_names()))
def test_what_an_observer_says_it_offers_can_be_imported(name: str) -> None:
    for which in get_args(Capability):
        if getattr(observer_class(name), which):
            assert callable(capability(name, which))


def test_what_an_observer_does_not_offer_is_one_line_with_those_that_do() -> None:
    with pytest.raises(
        TlbenchError, match=r"^observer 'pixels' can't be trained; choose one of autoavsr, avhubert, conformer"
    ):
        capability("pixels", "trainable")
    with pytest.raises(TlbenchError, match=r"^observer 'syncnet' has no audio encoder; choose one of avhubert$"):
        capability("syncnet", "audio_encoder")


def test_an_offer_that_can_not_be_imported_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_class("mvm"), "trainable", "tlbench.observers.mvm.train:Nothing")
    with pytest.raises(TlbenchError, match=r"observer 'mvm': tlbench.observers.mvm.train:Nothing can't be imported"):
        capability("mvm", "trainable")


def test_a_name_can_not_be_taken_twice(installed: list[Point]) -> None:
    installed.append(Point("pixels", "other.module:Pixels"))
    with pytest.raises(TlbenchError, match="has the name of"):
        observer_names()


def test_names_and_cards_are_known_without_importing_a_network() -> None:
    code = (
        "import sys\n"
        "from tlbench.checkpoints.catalogue import observer_cards, observer_names\n"
        "print(sum(len(observer_cards(name)) for name in observer_names()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cards, torch_imported = done.stdout.split()
    assert int(cards) >= 1
    assert torch_imported == "False"

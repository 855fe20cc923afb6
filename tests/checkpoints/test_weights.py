"""The choice of the checkpoint: named, bundled or in the checkpoint folder; warnings for another file."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tlbench.checkpoints.card import Card, read_card
from tlbench.checkpoints.package import Package, own_package, write_package
from tlbench.checkpoints.weights import (
    KNOWN_NAME,
    check_names,
    checkpoint_folder,
    find_weights,
    here,
    known_hashes,
    parse_weights,
)
from tlbench.errors import TlbenchError

CARD = Card("net", "A network", "observer", "net.pth", "https://example.org/net.pth", "MIT", "films", "face@1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def test_words_become_a_mapping_and_a_path_may_hold_an_equals_sign() -> None:
    assert parse_weights(["a=x/y.pth", "b=c=d"]) == {"a": Path("x/y.pth"), "b": Path("c=d")}


@pytest.mark.parametrize("words", [["net"], ["=x"], ["net="], ["net=a", "net=b"]])
def test_words_of_another_form_are_refused(words: list[str]) -> None:
    with pytest.raises(TlbenchError, match="--weights"):
        parse_weights(words)


def test_a_name_that_no_card_has_gets_a_hint() -> None:
    with pytest.raises(TlbenchError, match="did you mean 'net'"):
        check_names({"nett": Path("x")}, [CARD])


def test_the_named_file_goes_before_the_folders(folder: Path) -> None:
    (checkpoint_folder() / "net.pth").write_bytes(b"kept")
    (folder / "named.pth").write_bytes(b"named")
    kept, named = find_weights([CARD], {}), find_weights([CARD], {"net": folder / "named.pth"})
    assert kept is not None
    assert named is not None
    assert (kept.path, named.path) == (checkpoint_folder() / "net.pth", folder / "named.pth")
    assert named.sha256 == hashlib.sha256(b"named").hexdigest()
    assert named.as_published is None  # the card states no hash


def test_none_there_is_none(folder: Path) -> None:
    assert find_weights([CARD], {}) is None


def test_a_relative_of_the_family_is_used_where_it_is_the_one_there(folder: Path) -> None:
    (checkpoint_folder() / "other.pth").write_bytes(b"other")
    found = find_weights([CARD, replace(CARD, name="other", file="other.pth")], {})
    assert found is not None
    assert found.card.name == "other"


def test_a_file_that_is_not_the_published_one_is_said(folder: Path) -> None:
    (checkpoint_folder() / "net.pth").write_bytes(b"x")
    with pytest.warns(UserWarning, match="instead of the published 0123"):
        found = find_weights([replace(CARD, sha256="0123456789ab")], {})
    assert found is not None
    assert found.as_published is False
    prefix = hashlib.sha256(b"x").hexdigest()[:10]  # the published part of a hash is enough
    again = find_weights([replace(CARD, sha256=prefix)], {})
    assert again is not None
    assert again.as_published is True


@pytest.mark.parametrize("name", ["missing.pth", "."])
def test_a_named_file_that_can_not_be_read_is_one_line_with_the_source(folder: Path, name: str) -> None:
    with pytest.raises(TlbenchError, match=r"can't be read .*example\.org"):
        find_weights([CARD], {"net": folder / name})


def test_a_card_that_is_no_default_has_to_be_named(folder: Path) -> None:
    other = replace(CARD, name="expert", file="expert.pth", default=False)
    (checkpoint_folder() / "expert.pth").write_bytes(b"x")
    assert find_weights([CARD, other], {}) is None
    named = find_weights([CARD, other], {"expert": checkpoint_folder() / "expert.pth"})
    assert named is not None
    assert named.card.name == "expert"


def test_what_is_named_goes_before_what_lies_there(folder: Path) -> None:
    (checkpoint_folder() / "net.pth").write_bytes(b"x")
    (folder / "expert.pth").write_bytes(b"y")
    found = find_weights([CARD, replace(CARD, name="expert", default=False)], {"expert": folder / "expert.pth"})
    assert found is not None
    assert found.card.name == "expert"


def test_a_package_goes_before_the_file_and_is_named_by_the_hash_of_the_file_it_was_made_of(folder: Path) -> None:
    (checkpoint_folder() / "net.pth").write_bytes(b"x")
    sha256 = hashlib.sha256(b"x").hexdigest()
    package = Package("observer", {"weight": torch.zeros(2)}, {}, {}, "net.pth", sha256)
    write_package(package, checkpoint_folder() / "net")
    found = find_weights([CARD], {})
    assert found is not None
    assert (found.path, found.sha256) == (checkpoint_folder() / "net", sha256)
    assert here(CARD) == found.path


def test_a_file_without_a_published_hash_is_known_again_and_a_changed_one_is_said(folder: Path) -> None:
    file = checkpoint_folder() / "net.pth"
    file.write_bytes(b"first")
    find_weights([CARD], {})
    assert known_hashes() == {"net": hashlib.sha256(b"first").hexdigest()}
    find_weights([CARD], {})  # the same file: nothing to say
    file.write_bytes(b"second")
    with pytest.warns(UserWarning, match="of the first file used under that name"):
        find_weights([CARD], {})
    assert known_hashes() == {"net": hashlib.sha256(b"first").hexdigest()}


def test_a_damaged_record_of_hashes_is_one_line(folder: Path) -> None:
    (checkpoint_folder() / "net.pth").write_bytes(b"x")
    (checkpoint_folder() / KNOWN_NAME).write_text("[1")
    with pytest.raises(TlbenchError, match=KNOWN_NAME):
        find_weights([CARD], {})
    (checkpoint_folder() / KNOWN_NAME).write_text("[1]")
    with pytest.raises(TlbenchError, match="does not map names to hashes"):
        find_weights([CARD], {})


def bundled_card(folder: Path, name: str = "small", datasets: str = '["grid"]') -> Card:
    """A card with a package beside it, as bundled ones have."""
    (folder / "card_small.toml").write_text(
        f'name = "{name}"\ntitle = ""\nobserver = "avhubert"\nfile = "{name}"\nurl = ""\nlicence = ""\n'
        f'trained_on = ""\nview = "old@1"\nbundled = true\ndatasets = {datasets}\n'
    )
    card = read_card(folder / "card_small.toml")
    assert card.package == folder / "bundled" / name
    own = own_package(Package("avhubert", {"w": torch.ones(2)}), "new@1", {"steps": 1}, half=True)
    write_package(own, card.package)
    return card


def test_a_bundled_checkpoint_reads_its_own_data_sets_only(tmp_path: Path) -> None:
    card = bundled_card(tmp_path)
    found = find_weights([card], {}, "grid")
    assert found is not None
    assert found.path == card.package
    assert found.view == "new@1"  # what the package says goes before the card
    assert find_weights([card], {}, "lrs2") is None
    assert find_weights([card], {}) is None
    forced = find_weights([card], parse_weights(["small"], [card]), "lrs2")
    assert forced is not None
    assert forced.path == card.package


def test_a_checkpoint_that_is_not_here_can_not_be_named_alone(tmp_path: Path) -> None:
    card = bundled_card(tmp_path)
    assert card.package is not None
    shutil.rmtree(card.package)
    with pytest.raises(TlbenchError, match=r"--weights small: this checkpoint is not in .*; give it as NAME=FILE"):
        parse_weights(["small"], [card])


def test_a_package_of_ones_own_is_named_by_its_content() -> None:
    tensors = {"a": torch.arange(4.0), "b": torch.ones(2, 2)}

    def name(tensors: dict[str, torch.Tensor], *, half: bool = False) -> str:
        return own_package(Package("avhubert", tensors), "v@1", {"step": 1}, half=half).source_sha256

    assert name(tensors) == name(dict(reversed(tensors.items())))
    assert name(tensors) != name({**tensors, "a": torch.arange(4.0) + 1})
    assert name(tensors) != name({**tensors, "a": torch.arange(4.0).reshape(2, 2)})
    assert name(tensors) != name(tensors, half=True)


def test_a_file_is_found_by_its_other_names_and_compared_with_a_published_md5(folder: Path) -> None:
    card = replace(CARD, md5=hashlib.md5(b"kept").hexdigest()[:5], names=["net_updated.pth"])
    (checkpoint_folder() / "net_updated.pth").write_bytes(b"kept")
    found = find_weights([card], {})
    assert found is not None
    assert found.path.name == "net_updated.pth"
    assert found.as_published is True
    (checkpoint_folder() / "net.pth").write_bytes(b"another")
    with pytest.warns(UserWarning, match=r"MD5 is [0-9a-f]{12} instead of the published") as told:
        other = find_weights([card], {"net": checkpoint_folder() / "net.pth"})
    assert other is not None
    assert other.as_published is False
    assert "\n" not in str(told[0].message)
    assert here(card) == checkpoint_folder() / "net.pth"

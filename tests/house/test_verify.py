"""The self-test of a checkpoint, and its published value on the real videos."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.factories.media_factory import write_clip
from tests.factories.observer_weights import formula_weights
from tlbench import verify as verifying
from tlbench.checkpoints.catalogue import find_card, known_cards
from tlbench.checkpoints.package import Package, read_package, write_package
from tlbench.checkpoints.weights import Weights
from tlbench.errors import ClipError, TlbenchError
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observing import originals
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipState
from tlbench.verify import (
    GroundTruthCheck,
    made_up_clip,
    original_check,
    published_check,
    reader_of,
    self_test,
    weights_of,
)

SENTENCES = ("HELLO", "GOOD MORNING TO YOU", "IT IS LATE", "WHERE HAVE ALL THE FLOWERS GONE")


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache and no checkpoints but the test's own."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small AV-HuBERT with weights made by the formula, as a package."""
    return formula_weights("avhubert", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def lrs2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four real videos in LRS2's layout."""
    root = tmp_path_factory.mktemp("lrs2")
    for number, sentence in enumerate(SENTENCES):
        video = root / "main" / f"{number}" / "00001.mp4"
        video.parent.mkdir(parents=True)
        write_clip(video, frames=6 + 2 * number, width=160, height=160)
        video.with_suffix(".txt").write_text(f"Text:  {sentence}\nConf:  4\n")
    (root / "test.txt").write_text("".join(f"{number}/00001\n" for number in range(len(SENTENCES))))
    return root


def given(name: str, path: Path, **published: float) -> Weights:
    card = find_card(name)
    return Weights(replace(card, published_values=published) if published else card, path, "0" * 64)


@pytest.mark.parametrize("name", ["autoavsr", "avhubert", "syncnet"])  # the first aligns mouths by landmarks
def test_a_checkpoint_that_works_passes_and_says_what_it_saw(name: str, tmp_path: Path) -> None:
    said = self_test(given(name, formula_weights(name, tmp_path)))
    assert " " in said


def test_a_classifier_of_timed_words_is_shown_one_that_it_knows(tmp_path: Path) -> None:
    said = self_test(given("mvm-grid", formula_weights("mvm-aligned", tmp_path)))
    assert said.startswith("words ['BIN'], predicted [")


def test_every_kind_of_observer_can_be_shown_the_made_up_clip(tmp_path: Path) -> None:
    clip = made_up_clip(tmp_path)
    assert clip.transcript
    assert clip.word
    assert clip.boxes is not None
    assert len(np.load(clip.boxes)) == verifying.SELF_TEST_FRAMES


@pytest.mark.parametrize("value", [float("nan"), np.array([1.0, np.inf])])
def test_numbers_that_are_none_are_found_out(tiny: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(verifying, "_observe", lambda *_: Evidence("avhubert", {"tokens": 3, "score": value}))
    with pytest.raises(TlbenchError, match=r"'avhubert': its score is not finite"):
        self_test(given("avhubert", tiny))


def test_damaged_weights_are_found_out(tiny: Path, tmp_path: Path) -> None:
    package = read_package(tiny)
    tensors = {name: tensor.clone() for name, tensor in package.tensors.items()}
    tensors["decoder.layer_norm.weight"].fill_(torch.nan)
    write_package(replace(package, tensors=tensors), tmp_path / "broken")
    with pytest.raises(TlbenchError, match="NaN"):
        self_test(given("avhubert", tmp_path / "broken"))


def test_an_observer_that_says_two_things_of_one_clip_is_found_out(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[Evidence] = iter([Evidence("avhubert", {"score": 1.0}), Evidence("avhubert", {"score": 1.5})])
    monkeypatch.setattr(verifying, "_observe", lambda *_: next(answers))
    with pytest.raises(TlbenchError, match="gives two answers for one clip"):
        self_test(given("avhubert", tiny))


def test_another_models_checkpoint_is_one_line(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(TlbenchError, match=r"other\.pt") as caught:
        self_test(given("syncnet", tmp_path / "other.pt"))
    assert "\n" not in str(caught.value)


def test_of_a_generators_checkpoint_there_is_nothing_to_verify_or_import(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="no observer uses it"):
        self_test(given("talklip-g", tmp_path / "x.pth"))
    with pytest.raises(TlbenchError, match="no observer uses it"):
        reader_of(find_card("talklip-g"))


def test_a_file_that_is_read_as_it_is_needs_no_import() -> None:
    assert reader_of(find_card("talklip-expert")).__module__ == "tlbench.observers.avhubert.checkpoint"
    with pytest.raises(TlbenchError, match=r"reads syncnet_v2\.model as it is; nothing to import"):
        reader_of(replace(find_card("syncnet"), observer="pixels"))


def test_a_checkpoint_that_is_not_here_names_the_ways_to_it(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"is not here; download https://\S+, or pass --file FILE"):
        weights_of(find_card("mvm"), None)


def test_a_card_that_has_to_be_named_is_found_where_it_is_named(tmp_path: Path) -> None:
    """``verify talklip-expert`` names it, though no score would take it unasked."""
    write_package(Package("avhubert", {"a": torch.zeros(1)}), tmp_path / "checkpoints" / "talklip-expert")
    assert weights_of(find_card("talklip-expert"), None).path == tmp_path / "checkpoints" / "talklip-expert"


def test_ground_truth_is_scored_as_the_card_says_and_set_beside_what_was_published(tiny: Path, lrs2: Path) -> None:
    (found,) = published_check(given("avhubert", tiny, lrs2_wer1=23.82), "lrs2", lrs2)
    assert (found.metric, found.published, found.scored, found.expected) == ("wer1/paper", 23.82, 4, 4)
    assert found.value > 50  # of a network that never learnt to read
    assert not found.agrees
    (same,) = published_check(given("avhubert", tiny, lrs2_wer1=found.value), "lrs2", lrs2)
    assert same.agrees
    assert (same.value, same.low, same.high) == (found.value, found.low, found.high)


def test_a_part_of_the_clips_is_enough_to_try(tiny: Path, lrs2: Path) -> None:
    (found,) = published_check(given("avhubert", tiny), "lrs2", lrs2, limit=2)
    assert found.expected == 2


def test_clips_that_can_not_be_scored_are_counted(tiny: Path, lrs2: Path, tmp_path: Path) -> None:
    for file in sorted(lrs2.rglob("*.*")):
        copy = tmp_path / "part" / file.relative_to(lrs2)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"" if file.match("2/*.mp4") else file.read_bytes())
    (found,) = published_check(given("avhubert", tiny), "lrs2", tmp_path / "part")
    assert (found.scored, found.expected) == (3, 4)
    for file in (tmp_path / "part").rglob("*.mp4"):
        file.write_bytes(b"")
    with pytest.raises(TlbenchError, match="none of 4 clips could be scored"):
        published_check(given("avhubert", tiny), "lrs2", tmp_path / "part")


def test_a_data_set_that_nothing_was_published_of_is_one_line(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"no published value of ground truth on 'grid' \(lrs2 known\)"):
        published_check(given("avhubert", tiny), "grid", tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "published", "agrees"),
    [(22.0, 25.0, 23.82, True), (22.0, 23.82, 23.82, True), (24.0, 25.0, 23.82, False), (None, None, 23.82, False)],
)
def test_values_agree_if_the_interval_holds_the_published_one(
    low: float | None, high: float | None, published: float, agrees: bool
) -> None:
    assert GroundTruthCheck("wer1/paper", 24.0, low, high, published, 9, 9).agrees is agrees


@pytest.mark.parametrize("name", [card.name for card in known_cards() if card.package and card.observer])
def test_a_bundled_observer_is_found_and_passes_its_own_test(name: str) -> None:
    found = weights_of(find_card(name), None)
    assert found.path == found.card.package
    assert " " in self_test(found)


class OtherSyncNet(SyncNet):
    """Gives another confidence than ours."""

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        found = super().compute(states)
        assert isinstance(found[0], Evidence)
        return [replace(found[0], values={**found[0].values, "sound_lse_c": 1.0})]


def test_an_original_with_another_value_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_original(weights: Path, view: str, code: Path | None) -> SyncNet:
        return OtherSyncNet.load(weights, [view], "cpu")

    monkeypatch.setattr(verifying, "capability", lambda *_: load_original)
    found = original_check(given("syncnet", formula_weights("syncnet", tmp_path)), None, None)
    assert [one.name for one in found if not one.equal] == ["sound_lse_c"]
    assert len(found) > 3


def test_without_the_original_package_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "find_spec", lambda _: None)
    with pytest.raises(TlbenchError, match=r"of syncnet-python can't be imported .* see docs/live\.md") as caught:
        original_check(given("syncnet", formula_weights("syncnet", tmp_path)), None, None)
    assert "\n" not in str(caught.value)


def test_an_observer_of_which_there_is_no_package_says_so(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="'mvm' has no original package to compare with; choose one of autoavsr"):
        original_check(given("mvm", tmp_path / "x.pth"), None, None)


def test_a_clone_of_other_code_or_for_other_sizes_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = given("autoavsr", formula_weights("autoavsr", tmp_path))
    with pytest.raises(TlbenchError, match="its code builds the published sizes only, and this network has others"):
        original_check(weights, None, None, code=tmp_path)
    with pytest.raises(TlbenchError, match="for avhubert and autoavsr only"):
        original_check(given("conformer", tmp_path), None, None, code=tmp_path)
    with pytest.raises(TlbenchError, match=r"no original_of_it/part\.py; pass a clone of their/code"):
        originals.clone_module(tmp_path, "original_of_it.part", "their/code")
    (tmp_path / "original_of_it").mkdir()
    (tmp_path / "original_of_it" / "part.py").write_text("import original_of_it.other")
    monkeypatch.setitem(sys.modules, "original_of_it", ModuleType("original_of_it"))
    sys.modules["original_of_it"].__path__ = ["elsewhere"]
    with pytest.raises(TlbenchError, match="another package 'original_of_it' is imported already"):
        originals.clone_module(tmp_path, "original_of_it.part", "their/code")
    monkeypatch.delitem(sys.modules, "original_of_it")
    with pytest.raises(TlbenchError, match="part can't be imported"):
        originals.clone_module(tmp_path, "original_of_it.part", "their/code")
    (tmp_path / "original_of_it" / "part.py").write_text("value = 3")
    assert originals.clone_module(tmp_path, "original_of_it.part", "their/code").value == 3
    monkeypatch.delitem(sys.modules, "original_of_it.part")
    monkeypatch.delitem(sys.modules, "original_of_it")

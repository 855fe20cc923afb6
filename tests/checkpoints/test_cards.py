"""Cards: complete, readable, and with their relatives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tlbench.checkpoints.card import Card, overlap, read_card
from tlbench.checkpoints.catalogue import find_card, known_cards, observer_names
from tlbench.checkpoints.package import read_package
from tlbench.datasets.dataset import dataset_class
from tlbench.errors import TlbenchError
from tlbench.metrics.catalogue import find_metric
from tlbench.observing.registry import observer_class
from tlbench.talklip.checkpoint import GENERATOR

CARDS = known_cards()


def test_names_are_unique_and_files_do_not_collide() -> None:
    assert len({card.name for card in CARDS}) == len(CARDS)
    assert len({card.file for card in CARDS}) == len(CARDS)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_says_all_that_a_user_must_know(card: Card) -> None:
    assert card.url.startswith(("https://", "http://") if card.package is None else "installed with tlbench")
    for said in (card.title, card.licence, card.trained_on, card.source, card.file):
        assert len(said) >= 3
    assert all(relative in {other.name for other in CARDS} for relative in card.relatives)
    assert card.name not in card.relatives


PUBLISHED = {card.observer for card in CARDS if card.package is None}


@pytest.mark.parametrize("name", [name for name in observer_names() if name in PUBLISHED])
def test_an_observers_usual_card_was_trained_behind_its_usual_view(name: str) -> None:
    kind = observer_class(name)
    (usual,) = [card for card in CARDS if card.observer == name and card.default and card.package is None]
    view = kind.views[kind.default_view] if kind.default_view else kind.views["paper"]
    assert usual.view == view


@pytest.mark.parametrize("card", [card for card in CARDS if card.package and card.observer], ids=lambda card: card.name)
def test_a_bundled_observer_is_what_its_card_says(card: Card) -> None:
    assert card.package is not None
    package = read_package(card.package)
    assert package.observer == card.observer
    assert package.config["view"] == card.view
    assert card.view in observer_class(card.observer).views.values()
    for dataset in card.datasets:
        dataset_class(dataset)
    if card.datasets:  # none: it reads nothing unless it is named
        assert package.config["trained"]["dataset"] in card.datasets
    assert "Apache-2.0" in card.licence


@pytest.mark.parametrize(
    "card", [card for card in CARDS if card.package and not card.observer], ids=lambda card: card.name
)
def test_a_bundled_generator_is_what_its_card_says(card: Card) -> None:
    assert card.package is not None
    package = read_package(card.package)
    trained = package.config["trained"]
    assert package.observer == ("wav2lip" if trained["recipe"]["variant"] == "wav2lip" else GENERATOR)
    expert = trained["expert"]  # a lip reader; Wav2Lip has none
    assert card.relatives == [] if expert is None else expert["name"] in card.relatives
    assert not card.datasets or trained["dataset"] in card.datasets
    assert "Apache-2.0" in card.licence


def test_all_bundled_checkpoints_together_are_small() -> None:
    folders = [card.package for card in CARDS if card.package is not None]
    sizes = [path.stat().st_size for folder in folders for path in folder.iterdir()]
    assert sum(sizes) < 60e6
    assert max(sizes, default=0) < 10e6


def test_published_values_are_of_metrics_that_exist_and_are_those_of_the_paper() -> None:
    published = {key: value for card in CARDS for key, value in card.published_values.items()}
    for key in published:
        find_metric(f"{key.partition('_')[2]}/paper")
    assert published["lrs2_wer1"] == 23.82
    assert published["lrs2_wer2"] == 40.9
    assert published["lrw_acc"] == 88.51
    assert (published["lrs2_lse_c"], published["lrs2_lse_d"]) == (8.25, 6.45)


def test_relatives_are_mutual_among_observers() -> None:
    cards = {card.name: card for card in CARDS}
    for card in CARDS:
        for relative in card.relatives:
            if cards[relative].observer == card.observer:
                assert card.name in cards[relative].relatives


def test_an_observer_that_is_kin_to_the_training_expert_is_said() -> None:
    observer = find_card("avhubert")
    assert overlap(observer, ()) is None
    assert overlap(observer, ["syncnet"]) is None
    assert "relative" in (overlap(observer, ["talklip-expert"]) or "")
    assert "also scores" in (overlap(observer, ["avhubert"]) or "")
    assert overlap(find_card("conformer"), ["talklip-expert"]) is None


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(TlbenchError, match="did you mean 'conformer'"):
        find_card("confomer")


@pytest.mark.parametrize(
    ("text", "message"),
    [('name = "x"\n', "missing"), ('colour = "red"\n', "unknown field 'colour'"), ("name =\n", "can't be read")],
)
def test_a_malformed_card_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(TlbenchError, match=message):
        read_card(tmp_path / "card.toml")


@pytest.mark.parametrize("field", ["name", "file"])
@pytest.mark.parametrize("value", ["../net", "a/b", "", ".hidden", ".."])
def test_a_card_can_not_name_a_file_outside_of_the_checkpoint_folder(tmp_path: Path, field: str, value: str) -> None:
    fields = dict.fromkeys(("name", "title", "observer", "file", "url", "licence", "trained_on", "view"), "x")
    lines = [f'{key} = "{said}"' for key, said in {**fields, field: value}.items()]
    (tmp_path / "card.toml").write_text("\n".join(lines))
    with pytest.raises(TlbenchError, match="is not a plain file name"):
        read_card(tmp_path / "card.toml")


def test_every_checkpoint_stands_on_the_page_with_its_place() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text("utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `")}
    for card in CARDS:
        assert card.url in rows[f"`{card.name}`"], card.name
    assert len(rows) == len(CARDS)


def test_a_card_without_relatives_overlaps_with_itself_alone() -> None:
    alone = replace(find_card("mvm"), relatives=[])
    assert overlap(alone, ["mvm"]) is not None
    assert overlap(alone, ["avhubert", "conformer"]) is None

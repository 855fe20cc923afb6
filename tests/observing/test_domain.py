"""Clips beside what a checkpoint was trained on: a finding where they are others, none where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.checkpoints.card import Card, Domain, read_card
from tlbench.checkpoints.catalogue import find_card, known_cards
from tlbench.checkpoints.weights import Weights, find_weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import dataset_class, dataset_names
from tlbench.datasets.synthetic.grammar import MIDDLE_WORDS, vocabulary
from tlbench.errors import TlbenchError
from tlbench.observing.domain import (
    FEW_SPEAKERS,
    FEW_WORDS,
    OF_CHECKPOINTS,
    check_checkpoint,
    check_domain,
    domain_of,
    published_on,
)
from tlbench.preflight.findings import CATALOGUE, Finding

NARROW = Domain(("grid",), ("s1",), ("bin", "blue"), "face")
BROAD = Domain(("lrs2",), "many", "open", "centre")
WORDS = st.lists(st.sampled_from(["bin", "Blue,", "red", "lay", "NOW!"]), min_size=1, max_size=5)


def found(domain: Domain, dataset: str, clips: Sequence[Clip]) -> dict[str, Finding]:
    return {told.code: told for told in check_domain("eye", domain, dataset_class(dataset)(), clips)}


def clip(text: str = "bin blue", speaker: str | None = "s1") -> Clip:
    return Clip(f"{speaker}/{text}", transcript=text, speaker=speaker)


def test_clips_of_the_kind_it_was_trained_on_give_no_finding() -> None:
    assert found(NARROW, "grid", [clip(), clip("Blue, bin!")]) == {}
    assert found(BROAD, "lrs2", [clip("anything at all", "programme 7")]) == {}


@pytest.mark.parametrize("name", list(dataset_names()))
def test_every_other_data_set_is_another_one(name: str) -> None:
    same = {"grid": {"grid", "grid-sample"}, "lrs2": {"lrs2", "lrs2-wav2lip-pairs", "folder"}}
    for domain in (NARROW, BROAD):
        codes = set(found(domain, name, [clip()]))
        assert codes == (set() if name in same[domain.datasets[0]] else {"other-dataset"})


def test_other_speakers_are_counted_and_named() -> None:
    told = found(NARROW, "grid", [clip(), *(clip(speaker=f"s{n}") for n in (10, 2, 2, 30, 4)), clip(speaker=None)])
    assert list(told) == ["other-speakers"]
    assert told["other-speakers"].message == (
        "checkpoint 'eye' was trained on speaker s1 alone; clips of others: 5 of 7 (4 speakers: s2, s4, s10, ...)"
    )


def test_a_single_clip_of_a_single_other_is_said_in_the_singular() -> None:
    told = found(replace(NARROW, speakers=("s1", "s2")), "grid", [clip(speaker="s3")])
    assert told["other-speakers"].message == (
        "checkpoint 'eye' was trained on 2 speakers (s1, s2); clips of others: 1 of 1 (1 speaker: s3)"
    )


def test_other_words_are_a_share_of_all_words() -> None:
    told = found(NARROW, "grid", [clip("bin blue"), clip("lay blue now now")])
    assert told["other-vocabulary"].message == (
        "checkpoint 'eye' knows 2 words; 50.0 % of the words of these clips are others (3 of 6: now, lay)"
    )
    labels = found(NARROW, "grid", [Clip("1", word="BIN"), Clip("2", word="ABOUT")])
    assert "(1 of 2: about)" in labels["other-vocabulary"].message


@given(st.lists(st.tuples(WORDS, st.sampled_from(["s1", "s2", None])), min_size=1, max_size=6))
def test_what_a_training_writes_down_covers_its_own_clips(said: list[tuple[list[str], str | None]]) -> None:
    clips = [clip(" ".join(words), speaker) for words, speaker in said]
    domain = domain_of(dataset_class("grid")(), clips, "face", reads=True)
    assert found(domain, "grid", clips) == {}
    assert Domain.from_json(domain.to_json()) == domain
    other = found(domain, "grid", [*clips, clip("unheard", "s9")])
    assert set(other) == {"other-vocabulary"} | ({"other-speakers"} if domain.speakers != "not stated" else set())


def test_many_speakers_and_words_are_not_listed() -> None:
    dataset = dataset_class("synthetic")()
    few = [clip(f"w{n}", f"s{n}") for n in range(FEW_SPEAKERS)]
    assert len(domain_of(dataset, few, "", reads=True).speakers) == FEW_SPEAKERS
    many = [clip(f"w{n}", f"s{n}") for n in range(FEW_WORDS + 1)]
    domain = domain_of(dataset, many, "", reads=True)
    assert (domain.speakers, domain.vocabulary) == ("many", "open")
    assert domain_of(dataset, few, "", reads=False).vocabulary == "not read"
    assert domain_of(dataset, [Clip("1")], "", reads=True).speakers == "not stated"


def test_every_observers_card_states_its_domain() -> None:
    without = [card.name for card in known_cards() if card.observer in OBSERVERS and card.domain is None]
    assert without == []


OBSERVERS = ("avhubert", "conformer", "mvm", "mvm-aligned", "syncnet")


@pytest.mark.parametrize("card", [c for c in known_cards() if c.observer in OBSERVERS], ids=lambda card: card.name)
def test_a_bundled_card_covers_the_boards_it_scores(card: Card) -> None:
    """Ours: speaker s1 of GRID, whatever sentence of the grammar."""
    said = {
        "grid": [clip(speaker="s1")],
        "grid-sample": [clip(speaker="s1")],
        "synthetic": [clip(" ".join(vocabulary()), "f9")],
    }
    said["synthetic-words"] = [Clip(word, word=word.upper()) for word in MIDDLE_WORDS]
    assert card.domain is not None
    for dataset in card.datasets:
        assert found(card.domain, dataset, said[dataset]) == {}


def test_avhubert_grid_is_outside_its_training_before_any_other_speaker_and_data_set() -> None:
    domain = find_card("avhubert-grid").domain
    assert domain is not None
    assert set(found(domain, "grid", [clip(speaker="s4")])) == {"other-speakers"}
    assert set(found(domain, "lrs2", [clip("when you are old", "62815")])) == {
        "other-dataset",
        "other-speakers",
        "other-vocabulary",
    }
    assert {code: CATALOGUE[code].level for code in OF_CHECKPOINTS} == dict.fromkeys(OF_CHECKPOINTS, "warning")


def test_a_domain_is_told_in_a_line() -> None:
    assert str(NARROW) == "grid; speakers: s1; vocabulary: 2 words; face"
    assert str(Domain(("lrs3", "voxceleb2"))) == "lrs3, voxceleb2; speakers: many; vocabulary: open"


def test_data_sets_with_published_values_are_those_of_the_cards() -> None:
    assert published_on(known_cards()) == {"lrs2", "lrs3", "lrw"}


CARD = Card("eye", "", "avhubert", "eye.pt", "", "", "", "", domain=BROAD)


@pytest.mark.parametrize(
    ("stated", "trained", "said"),
    [
        ("", None, "SHA-256 abcdef012345 can't be compared: its publisher states none"),
        ("123456", None, "SHA-256 abcdef012345 is not the published 123456"),
        ("abcdef", None, None),
        ("", {"dataset": "grid"}, None),
        ("123456", {"dataset": "grid"}, None),
    ],
)
def test_a_file_is_verified_by_the_hash_on_its_card(stated: str, trained: dict[str, str] | None, said: str) -> None:
    weights = Weights(replace(CARD, sha256=stated), Path("eye.pt"), "abcdef0123456789", trained=trained)
    told = list(check_checkpoint(weights))
    assert [t.code for t in told] == ([] if said is None else ["unverified-checkpoint"])
    assert said is None or told[0].message == f"checkpoint 'eye': {said}"


def test_a_package_of_ones_own_says_what_it_knows_and_its_card_does_not() -> None:
    told = {"domain": NARROW.to_json(), "dataset": "grid"}
    assert Weights(CARD, Path("mine"), "0", trained=told).domain == NARROW
    assert Weights(CARD, Path("mine"), "0", trained={"dataset": "grid"}).domain == Domain(("grid",))
    assert Weights(CARD, Path("mine"), "0", trained={}).domain is None
    assert Weights(CARD, Path("eye.pt"), "0").domain == BROAD
    with pytest.raises(TlbenchError, match="train it again"):
        _ = Weights(CARD, Path("mine"), "0", trained={"domain": {"datasets": "grid"}}).domain


def test_a_bundled_package_is_known_by_its_card() -> None:
    weights = find_weights([find_card("avhubert-grid")], {}, "grid")
    assert weights is not None
    assert weights.trained is not None
    assert weights.domain == find_card("avhubert-grid").domain


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('speakers = "many"', "has a list named datasets"),
        ('datasets = ["grid"]\nvoices = ["a"]', "has a list named datasets"),
        ('datasets = ["grid"]\nspeakers = 3', "speakers of a domain must be a text or a list of texts, got 3"),
        ('datasets = ["grid"]\nvocabulary = ["a", 1]', "vocabulary of a domain must be a text"),
        ('datasets = ["grid"]\nframing = ["a"]', "framing of a domain must be a text"),
    ],
)
def test_a_malformed_domain_is_an_error_that_names_the_card(tmp_path: Path, table: str, said: str) -> None:
    path = tmp_path / "card.toml"
    fields = ("name", "title", "observer", "file", "url", "licence", "trained_on", "view")
    path.write_text("".join(f'{name} = "x"\n' for name in fields) + f"[domain]\n{table}\n")
    with pytest.raises(TlbenchError, match=f"card {path}: .*{said}"):
        read_card(path)

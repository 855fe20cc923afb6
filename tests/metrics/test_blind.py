"""Guesses of readers that do not look: from texts alone, never from a clip's own, in whatever order they come."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.datasets.clip import Clip, Span
from tlbench.datasets.known_texts import KnownTexts, known_transcripts, known_words
from tlbench.datasets.selection import load_dataset
from tlbench.metrics.blind import (
    CHANCE_SENTENCE,
    CHANCE_WORD,
    FREQUENT_SENTENCE,
    FREQUENT_WORD,
    FREQUENT_WORDS,
    NEVER,
    BlindReading,
    SentenceGuesses,
    blind_sentences,
    blind_words,
    draw,
)
from tlbench.metrics.catalogue import all_metrics, find_metrics
from tlbench.metrics.tally import HitTally

WORDS = st.sampled_from(["a", "b", "c", "d"])
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=8)


def clips_of(texts: Sequence[str]) -> list[Clip]:
    return [Clip(f"c{i:03d}", transcript=text) for i, text in enumerate(texts)]


def known(texts: Sequence[str], own: bool = False) -> KnownTexts:
    return KnownTexts(tuple(texts), "a test", own)


def guesses(sentences: Sequence[Sequence[str]]) -> SentenceGuesses:
    return SentenceGuesses(sentences)


@given(SENTENCES, st.integers(0, 2**64))
def test_leaving_one_out_guesses_as_if_it_had_never_been_there(sentences: list[tuple[str, ...]], number: int) -> None:
    whole = guesses(sentences)
    for place, own in enumerate(sentences):
        without = guesses(sentences[:place] + sentences[place + 1 :])
        assert whole.most_frequent(own) == without.most_frequent()
        assert whole.most_frequent_words(own) == without.most_frequent_words()
        assert whole.by_chance(number, own) == without.by_chance(number)


@given(SENTENCES, st.randoms(use_true_random=False))
def test_guesses_do_not_depend_on_the_order_of_the_texts(sentences: list[tuple[str, ...]], dice: random.Random) -> None:
    mixed = list(sentences)
    dice.shuffle(mixed)
    for own in (None, sentences[0]):
        one, other = guesses(sentences), guesses(mixed)
        assert one.most_frequent(own) == other.most_frequent(own)
        assert one.most_frequent_words(own) == other.most_frequent_words(own)
        assert one.by_chance(7, own) == other.by_chance(7, own)


@given(SENTENCES)
def test_the_most_frequent_sentence_is_one_that_none_is_more_frequent_than(sentences: list[tuple[str, ...]]) -> None:
    counts = Counter(sentences)
    assert counts[guesses(sentences).most_frequent()] == max(counts.values())


@given(SENTENCES)
def test_at_every_place_no_word_and_no_end_is_more_frequent(sentences: list[tuple[str, ...]]) -> None:
    said = guesses(sentences).most_frequent_words()
    for place in range(len(said) + 1):
        there = Counter(sentence[place] for sentence in sentences if len(sentence) > place)
        ended, most = len(sentences) - there.total(), max(there.values(), default=0)
        if place < len(said):
            assert there[said[place]] == most > ended
        else:
            assert most <= ended


@given(SENTENCES)
def test_by_chance_every_other_sentence_has_its_turn(sentences: list[tuple[str, ...]]) -> None:
    whole = guesses(sentences)
    drawn = Counter(whole.by_chance(number) for number in range(len(sentences)))
    assert drawn == Counter(sentences)


def test_a_single_text_left_out_leaves_nothing_to_say() -> None:
    alone = guesses([("a", "b")])
    assert alone.most_frequent(("a", "b")) == alone.most_frequent_words(("a", "b")) == alone.by_chance(3, ("a", "b"))
    assert alone.most_frequent(("a", "b")) == ()


def test_chance_is_of_the_seed_and_the_clip_alone() -> None:
    assert draw(0, "a") == draw(0, "a") != draw(1, "a") != draw(1, "b")


def test_ties_are_not_broken_by_the_alphabet() -> None:
    """Else the first clips of a split, which mostly begin with its first words, would be guessed right."""
    names = [f"word{i:02d}" for i in range(40)]
    firsts = {guesses([(name,) for name in names[start:]]).most_frequent() for start in range(20)}
    assert len(firsts) < 20  # the alphabet would give another one each time its first is taken away
    assert guesses([(name,) for name in names]).most_frequent() != ("word00",)


def test_words_are_guessed_each_in_its_place_where_their_times_are_known() -> None:
    metrics = find_metrics(["acc_aligned", "wer1"])
    times = (Span(0.1, 0.2, "BIN"), Span(0.2, 0.3, "BLUE"), Span(0.3, 0.5, "NOW"))
    clips = [Clip("a", transcript="bin blue now", word_times=times), Clip("b", transcript="bin red again")]
    texts = known(["bin red now", "bin red now", "lay blue soon again", "set blue"])
    tallies = {one.name: one.tallies["acc_aligned/sound"] for one in blind_sentences(metrics, clips, texts)}
    assert tallies[FREQUENT_SENTENCE] == {"a": HitTally(2, 3)}  # bin red now
    assert tallies[CHANCE_SENTENCE]["a"].denominator == 3
    assert all(set(own) == {"a"} for own in tallies.values())
    without = blind_sentences(metrics, clips[1:], texts)
    assert all("acc_aligned/sound" not in one.tallies for one in without)
    short = blind_sentences(metrics, clips, known(["bin"]))
    assert short[0].tallies["acc_aligned/sound"] == {"a": HitTally(1, 3)}


def test_sentences_are_guessed_of_all_metrics_that_read_them_and_of_no_other() -> None:
    readings = blind_sentences(all_metrics(), clips_of(["bin blue", "lay red"]), known(["bin blue", "bin blue", "x"]))
    assert [reading.name for reading in readings] == [FREQUENT_SENTENCE, FREQUENT_WORDS, CHANCE_SENTENCE]
    expected = {metric.key for metric in all_metrics() if metric.reads == "sentence" and metric.better != "none"}
    assert {"wer1/paper", "wer1/sound", "cer1/sound", "ver/sound", "wer2_free/sound", "wer2_ctc/sound"} <= expected
    for reading in readings:
        assert set(reading.tallies) == expected


def test_the_errors_of_a_guess_are_those_of_the_metric() -> None:
    [wer] = find_metrics(["wer1/sound"])
    frequent, *_ = blind_sentences([wer], clips_of(["Bin blue!", "bin red", "lay"]), known(["bin blue"] * 2 + ["x"]))
    counted = {clip: tally.numerator for clip, tally in frequent.tallies["wer1/sound"].items()}
    assert counted == {"c000": 0, "c001": 1, "c002": 2}


def test_clips_without_words_are_in_no_blind_row() -> None:
    metrics = find_metrics(["wer1/sound"])
    first, *_ = blind_sentences(metrics, [*clips_of(["a"]), Clip("none"), Clip("empty", transcript=" ")], known(["a"]))
    assert set(first.tallies["wer1/sound"]) == {"c000"}
    assert blind_sentences(metrics, [Clip("none")], known([])) == []
    assert blind_sentences(find_metrics(["psnr"]), clips_of(["a"]), known(["a"])) == []


@given(st.lists(st.sampled_from(["ABOUT", "MONEY", "YEARS"]), min_size=1, max_size=9))
def test_a_word_is_ranked_as_if_its_clip_had_never_been_there(labels: list[str]) -> None:
    [acc] = find_metrics(["acc/sound"])
    clips = [Clip(f"c{i}", word=word) for i, word in enumerate(labels)]
    whole = dict(zip((FREQUENT_WORD, CHANCE_WORD), blind_words([acc], clips, known(labels, own=True)), strict=True))
    for place, clip in enumerate(clips):
        others = labels[:place] + labels[place + 1 :]
        alone = dict(zip((FREQUENT_WORD, CHANCE_WORD), blind_words([acc], [clip], known(others)), strict=True))
        for name in whole:
            assert whole[name].tallies["acc/sound"][clip.id] == alone[name].tallies["acc/sound"][clip.id]


@pytest.mark.parametrize("each", [1, 3])
def test_a_balanced_split_of_words_is_guessed_from_the_readers_own_words(each: int) -> None:
    """Left out alone, each word would be the rarest: a reader who knows the words would get nothing at all."""
    [acc] = find_metrics(["acc/sound"])
    vocabulary = [f"word{i}" for i in range(40)]
    labels = [word.upper() for word in vocabulary for _ in range(each)]
    clips = [Clip(f"c{i:03}", word=word) for i, word in enumerate(labels)]
    known_words = known(labels, own=True)
    assert hits_of(blind_words([acc], clips, known_words)[0], len(clips)) == 0
    frequent, chance = blind_words([acc], clips, known_words, vocabulary=vocabulary)
    assert hits_of(frequent, len(clips)) == each  # one word of 40
    by_seed = [hits_of(blind_words([acc], clips, known_words, s, vocabulary)[1], len(clips)) for s in range(200)]
    assert 0.8 < sum(by_seed) / 200 / each < 1.2
    assert chance.tallies == blind_words([acc], clips, known_words, vocabulary=vocabulary)[1].tallies


def test_a_word_that_the_reader_can_not_answer_is_never_guessed() -> None:
    [acc] = find_metrics(["acc/sound"])
    clips = [Clip("a", word="A"), Clip("b", word="B")]
    for seed in range(30):
        for reading in blind_words([acc], clips, known(["A", "B"], own=True), seed, ["B"]):
            assert {c: t.numerator for c, t in reading.tallies["acc/sound"].items()} == {"a": 0, "b": 1}


def test_the_readers_words_change_nothing_where_there_are_training_texts() -> None:
    [acc] = find_metrics(["acc/sound"])
    clips = [Clip("a", word="A"), Clip("b", word="B")]
    texts = known(["A", "A", "B"])
    assert blind_words([acc], clips, texts) == blind_words([acc], clips, texts, vocabulary=["A", "B", "C"])


def hits_of(reading: BlindReading, clips: int) -> int:
    tallies = reading.tallies["acc/sound"]
    assert len(tallies) == clips
    return int(sum(tally.numerator for tally in tallies.values()))


def test_words_are_ranked_by_how_often_they_occur_and_unknown_ones_never_hit() -> None:
    acc, acc5 = find_metrics(["acc/sound"])[0], find_metrics(["acc5/sound"])[0]
    texts = ["A"] * 9 + ["B"] * 8 + ["C"] * 7 + ["D"] * 6 + ["E"] * 5 + ["F"] * 4
    clips = [Clip(word, word=word) for word in "ABEFX"]
    frequent, _ = blind_words([acc, acc5], clips, known(texts))
    hits = {key: {clip for clip, tally in own.items() if tally.numerator} for key, own in frequent.tallies.items()}
    assert hits == {"acc/sound": {"A"}, "acc5/sound": {"A", "B", "E"}}
    assert NEVER > 500


def write_grid(root: Path, lists: dict[str, list[str]]) -> Path:
    for names in lists.values():
        for name in names:
            (root / "s1").mkdir(parents=True, exist_ok=True)
            (root / "s1" / f"{name}.mp4").write_bytes(b"")
    for split, names in lists.items():
        if split != "all":
            (root / f"split_{split}.txt").write_text("".join(f"s1/{name}\n" for name in names))
    return root


@pytest.mark.parametrize(
    ("lists", "texts", "own", "source"),
    [
        (
            {"train": ["bbaf2n", "lrwz9a"], "val": ["sbwz1p"], "test": ["pwix3a"]},
            2,
            False,
            "2 transcripts of grid:train",
        ),
        ({"val": ["sbwz1p"], "test": ["pwix3a"]}, 1, False, "1 transcripts of grid:val"),
        ({"test": ["pwix3a", "sbwz1p", "bbaf2n"]}, 3, True, "the other transcripts of grid:test (3 in all"),
        ({"train": ["bbaf2n"], "test": ["bbaf2n"]}, 1, True, "the other transcripts of grid:test (1 in all"),
    ],
)
def test_texts_come_from_the_training_split_else_from_the_split_itself(
    tmp_path: Path, lists: dict[str, list[str]], texts: int, own: bool, source: str
) -> None:
    selection = load_dataset("grid", write_grid(tmp_path, lists), split="test", limit=1)
    found = known_transcripts(selection)
    assert (len(found.texts), found.own) == (texts, own)
    assert found.source.startswith(source)
    assert selection.clips[0].transcript in found.texts if own else selection.clips[0].transcript not in found.texts
    assert known_words(selection).texts == ()

"""Blind rows: the scores of guesses made from the texts alone, without looking at the videos.

With a small closed vocabulary, or if most sentences begin with the same word, guessing scores well: on GRID the most
frequent training sentence has a fifth of the words right. A lip reader's number means something only if it is better.

Sentences are guessed in three ways (the most frequent sentence, the most frequent word at each position, a random
sentence), words in two (the most frequent word, a random word). If the texts are those of the clips themselves, each
clip is guessed from the other clips, and words are guessed among those that the observer can answer: without its own
text, a word of a balanced split is always the rarest, so it would never be guessed.

Of equally frequent texts the first by a hash is taken, and random choices depend on the clip id, so no guess depends on
the order of the clips. The hash replaces alphabetical order, because the first clips of a split (``--limit``) are often
the first by alphabet, where such a guess would be right without merit.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.known_texts import KnownTexts
from tlbench.errors import ClipError
from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import Tally
from tlbench.metrics.text import as_published, spoken
from tlbench.observing.evidence import Evidence

FREQUENT_SENTENCE = "most frequent sentence"
FREQUENT_WORDS = "most frequent words"
CHANCE_SENTENCE = "sentence by chance"
FREQUENT_WORD = "most frequent word"
CHANCE_WORD = "word by chance"
GREY = "grey frames"  # the name of the row of the network on grey pictures
NEVER = 2**31 - 1  # the rank of a word that is never guessed

_WORDS: Mapping[str, Callable[[str], list[str]]] = {"paper": as_published, "sound": spoken}

Item = TypeVar("Item", str, tuple[str, ...])
Sentence = tuple[str, ...]


@dataclass(frozen=True)
class BlindReading:
    """The tallies of one way of guessing, by metric key and clip id."""

    name: str
    tallies: Mapping[str, Mapping[str, Tally]]


def _key(item: Item, count: int) -> tuple[int, bytes, Item]:
    """Sort key of an item: count, then a hash."""
    text = item if isinstance(item, str) else " ".join(item)
    return -count, hashlib.sha256(text.encode()).digest(), item


class _Ranking(Generic[Item]):
    """Items sorted by how often they occur, then by a hash."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.counts: Counter[Item] = Counter(items)
        self.keys: list[tuple[int, bytes, Item]] = sorted(_key(item, count) for item, count in self.counts.items())

    def first(self, without: Item | None = None) -> tuple[int, Item] | None:
        """Count and item of the most frequent one, with ``without`` counted once less; None if none is left."""
        best = next((key for key in self.keys if key[2] != without), None)
        if without is not None and self.counts[without] > 1:
            own = _key(without, self.counts[without] - 1)
            best = own if best is None else min(best, own)
        return None if best is None else (-best[0], best[2])

    def place(self, item: Item, *, without: bool) -> int:
        """How many items occur more often than ``item``; :data:`NEVER` if it does not occur.

        ``without``: count ``item`` once less.
        """
        count = self.counts[item] - (1 if without else 0)
        if count < 1:
            return NEVER
        before = bisect_left(self.keys, _key(item, count))
        return before - (1 if without else 0)  # itself, with its full count, is among those before

    def known(self, item: Item, *, without: bool) -> int:
        """The number of different items; ``without``: with ``item`` counted once less."""
        return len(self.keys) - (1 if without and self.counts[item] == 1 else 0)


class SentenceGuesses:
    """Guesses of whole sentences.

    Parameters
    ----------
    sentences : sequence of tuple of str
        The words of the known sentences. Sentences without a word are left out.
    """

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self._sorted: list[Sentence] = sorted(tuple(words) for words in sentences if words)
        self._sentences = _Ranking(self._sorted)
        longest = max(map(len, self._sorted), default=0)
        self._places = [
            _Ranking(sentence[place] for sentence in self._sorted if len(sentence) > place) for place in range(longest)
        ]
        self._saying = [sum(ranking.counts.values()) for ranking in self._places]

    def most_frequent(self, own: Sentence | None = None) -> Sentence:
        """The most frequent sentence, with ``own`` counted once less; empty if there is no other sentence."""
        found = self._sentences.first(own)
        return () if found is None else found[1]

    def most_frequent_words(self, own: Sentence | None = None) -> Sentence:
        """The most frequent word at each position, up to where at least as many sentences have ended."""
        others = len(self._sorted) - (0 if own is None else 1)
        chosen = []
        for place, ranking in enumerate(self._places):
            word = own[place] if own is not None and len(own) > place else None
            ended = others - self._saying[place] + (0 if word is None else 1)
            found = ranking.first(word)
            if found is None or found[0] <= ended:
                break
            chosen.append(found[1])
        return tuple(chosen)

    def by_chance(self, number: int, own: Sentence | None = None) -> Sentence:
        """The sentence with this number (modulo their count), with ``own`` left out once."""
        others = len(self._sorted) - (0 if own is None else 1)
        if others < 1:
            return ()
        place = number % others
        left_out = len(self._sorted) if own is None else bisect_left(self._sorted, own)
        return self._sorted[place + (1 if place >= left_out else 0)]


def draw(seed: int, clip_id: str) -> int:
    """A random 64-bit number that depends only on the seed and the clip."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()[:8], "big")


def blind_sentences(
    metrics: Sequence[Metric], clips: Sequence[Clip], known: KnownTexts, seed: int = 0
) -> list[BlindReading]:
    """The scores of guessed sentences, for the metrics with ``reads="sentence"`` or ``"words"``.

    Of ``words`` each is compared with the word at the same place of the guess. Clips without a transcript are left out,
    for ``words`` those without word times too. Empty if there is no such metric or no such clip.
    """
    kinds = {"sentence", "words"} if any(clip.word_times for clip in clips) else {"sentence"}
    asked = [metric for metric in metrics if metric.reads in kinds and metric.better != "none"]
    with_text = [clip for clip in clips if (clip.transcript or "").strip()]
    guessed: dict[tuple[str, str], dict[str, str]] = {}  # by arithmetic and name, then by clip id: the guess
    for arithmetic in dict.fromkeys(metric.arithmetic for metric in asked):
        words = _WORDS[arithmetic]
        guesses = SentenceGuesses(words(text) for text in known.texts)
        for clip in with_text:
            own = (tuple(words(clip.transcript or "")) or None) if known.own else None
            for name, guess in (
                (FREQUENT_SENTENCE, guesses.most_frequent(own)),
                (FREQUENT_WORDS, guesses.most_frequent_words(own)),
                (CHANCE_SENTENCE, guesses.by_chance(draw(seed, clip.id), own)),
            ):
                guessed.setdefault((arithmetic, name), {})[clip.id] = " ".join(guess)
    by_id = {clip.id: clip for clip in with_text}
    readings = []
    for name in (FREQUENT_SENTENCE, FREQUENT_WORDS, CHANCE_SENTENCE):
        tallies = {}
        for metric in asked:
            guesses_of = guessed.get((metric.arithmetic, name), {})
            made = _sentence_evidence if metric.reads == "sentence" else _words_evidence
            evidence = {clip_id: made(metric, by_id[clip_id], guess) for clip_id, guess in guesses_of.items()}
            tallies[metric.key] = tally_each(metric, evidence)
        readings.append(BlindReading(name, tallies))
    return readings if asked and with_text else []


def blind_words(
    metrics: Sequence[Metric],
    clips: Sequence[Clip],
    known: KnownTexts,
    seed: int = 0,
    vocabulary: Sequence[str] = (),
) -> list[BlindReading]:
    """The scores of guessed word labels, for the metrics with ``reads="word"``; see :func:`blind_sentences`.

    The guess by frequency ranks all words by how often they occur, for metrics over the first five. The random guess
    ranks all words that occur in a random order.

    Parameters
    ----------
    metrics, clips, known, seed
    vocabulary : sequence of str
        All words that the observer can answer, in upper or lower case; empty if they are not known. If ``known`` is of
        the clips themselves, the random guess is among these, and so is the most frequent word if all words occur
        equally often.
    """
    asked = [metric for metric in metrics if metric.reads == "word" and metric.better != "none"]
    labelled = {clip.id: clip.word for clip in clips if clip.word}
    learned = _Ranking(known.texts)
    prior = _Ranking(_spelled(vocabulary, [*known.texts, *labelled.values()]) if known.own else ())
    balanced = len(set(learned.counts.values())) <= 1
    frequent, frequent_own = (prior, False) if prior.keys and balanced else (learned, known.own)
    by_chance, chance_own = (prior, False) if prior.keys else (learned, known.own)
    ranks: dict[str, dict[str, int]] = {FREQUENT_WORD: {}, CHANCE_WORD: {}}
    for clip_id, word in labelled.items():
        ranks[FREQUENT_WORD][clip_id] = frequent.place(word, without=frequent_own)
        choices = by_chance.known(word, without=chance_own)
        there = by_chance.counts[word] > (1 if chance_own else 0)
        # In a random order each rank is equally likely.
        ranks[CHANCE_WORD][clip_id] = draw(seed, clip_id) % choices if there else NEVER
    readings = []
    for name, by_clip in ranks.items():
        tallies = {}
        for metric in asked:
            evidence = {
                clip_id: Evidence(metric.observer, {"word": labelled[clip_id], "rank": rank, "rank_plain": rank})
                for clip_id, rank in by_clip.items()
            }
            tallies[metric.key] = tally_each(metric, evidence)
        readings.append(BlindReading(name, tallies))
    return readings if asked and labelled else []


def _spelled(vocabulary: Iterable[str], labels: Iterable[str]) -> set[str]:
    """The words of a vocabulary in the case that the labels have."""
    cased = {label.lower(): label for label in labels}
    return {cased.get(word.lower(), word) for word in vocabulary}


def tally_each(metric: Metric, evidence: Mapping[str, Evidence]) -> dict[str, Tally]:
    """A metric's tallies by clip id, without the clips that it does not apply to."""
    tallies = {}
    for clip_id, seen in evidence.items():
        try:
            tally = metric.tally(seen)
        except ClipError:
            continue
        if tally.numerator or tally.denominator or metric.scores_empty:
            tallies[clip_id] = tally
    return tallies


def _sentence_evidence(metric: Metric, clip: Clip, guess: str) -> Evidence:
    """The evidence of an observer that reads this guess, under every name that a metric of sentences may use.

    A guess has no network whose tokens spell the transcript, so it is compared with the transcript as it is.
    """
    said = dict.fromkeys(("hypothesis", "free_hypothesis", "ctc_hypothesis"), guess)
    transcript = clip.transcript or ""
    return Evidence(metric.observer, {"reference": transcript, "reference_spelled": transcript, **said})


def _words_evidence(metric: Metric, clip: Clip, guess: str) -> Evidence:
    """The evidence of an observer that names these words, each in the place of a word of the clip."""
    said = [span.label.lower() for span in clip.word_times]
    guessed = guess.lower().split()
    ranks = [0 if guessed[place : place + 1] == [word] else NEVER for place, word in enumerate(said)]
    return Evidence(metric.observer, {"words": said, "ranks": np.array(ranks, np.int64)})

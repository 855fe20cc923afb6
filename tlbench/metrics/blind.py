"""What a reader gets who does not look: guesses from the texts alone.

A small closed vocabulary, or one word that everybody says first, makes guessing cheap: on GRID the most frequent
training sentence has a fifth of the words right. A lip reader's number means something only where it is better.

Sentences are guessed in three ways (the most frequent one, at every place of the sentence the most frequent word,
another sentence by chance), words in two (the most frequent, one by chance). Where the texts are those of the clips
themselves, each clip is guessed from the others, and a reader of words chooses among those that it can answer: without
its own, a word of a balanced split is always the rarest, so that leaving out alone would never guess it.

Of equally frequent ones the first by a hash is taken, and chance is drawn by clip id: no guess depends on the order of
the clips. By a hash and not by the alphabet, because the first clips of a split (``--limit``) mostly are the first of
the alphabet, where such a guess would be right by no merit of its own.

How the Conformer of WER2 does, which is told the true beginning, can't be guessed from texts: its network is asked
before grey pictures (:mod:`tlbench.observing.grey`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

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
GREY = "grey frames"  # the name of the network's own row
NEVER = 2**31 - 1  # the rank of a word that is not among those that are guessed

_WORDS: Mapping[str, Callable[[str], list[str]]] = {"paper": as_published, "sound": spoken}

Item = TypeVar("Item", str, tuple[str, ...])
Sentence = tuple[str, ...]


@dataclass(frozen=True)
class BlindReading:
    """What one way of guessing gets: by metric key and clip id its tally."""

    name: str
    tallies: Mapping[str, Mapping[str, Tally]]


def _key(item: Item, count: int) -> tuple[int, bytes, Item]:
    """What items are sorted by."""
    text = item if isinstance(item, str) else " ".join(item)
    return -count, hashlib.sha256(text.encode()).digest(), item


class _Ranking(Generic[Item]):
    """Items by how often they occur, the first by a hash before others of the same count."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.counts: Counter[Item] = Counter(items)
        self.keys: list[tuple[int, bytes, Item]] = sorted(_key(item, count) for item, count in self.counts.items())

    def first(self, without: Item | None = None) -> tuple[int, Item] | None:
        """Count and name of the most frequent one, as if ``without`` had occurred once less; None if none is left."""
        best = next((key for key in self.keys if key[2] != without), None)
        if without is not None and self.counts[without] > 1:
            own = _key(without, self.counts[without] - 1)
            best = own if best is None else min(best, own)
        return None if best is None else (-best[0], best[2])

    def place(self, item: Item, *, without: bool) -> int:
        """How many items occur more often than ``item``; :data:`NEVER` if it does not occur.

        ``without``: as if ``item`` had occurred once less.
        """
        count = self.counts[item] - (1 if without else 0)
        if count < 1:
            return NEVER
        before = bisect_left(self.keys, _key(item, count))
        return before - (1 if without else 0)  # itself, with its full count, is among those before

    def known(self, item: Item, *, without: bool) -> int:
        """How many different items there are."""
        return len(self.keys) - (1 if without and self.counts[item] == 1 else 0)


class SentenceGuesses:
    """Guesses of whole sentences.

    Parameters
    ----------
    sentences : sequence of tuple of str
        Words of the known sentences; those without a word are left out.
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
        """The most frequent sentence, ``own`` counted once less; no word if there is no other sentence."""
        found = self._sentences.first(own)
        return () if found is None else found[1]

    def most_frequent_words(self, own: Sentence | None = None) -> Sentence:
        """At each place its most frequent word, up to where at least as many sentences have ended by then."""
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
        """Of the sentences, ``own`` left out once, the one of this number (modulo how many there are)."""
        others = len(self._sorted) - (0 if own is None else 1)
        if others < 1:
            return ()
        place = number % others
        left_out = len(self._sorted) if own is None else bisect_left(self._sorted, own)
        return self._sorted[place + (1 if place >= left_out else 0)]


def draw(seed: int, clip_id: str) -> int:
    """A number of 64 bits by chance, always the same for a seed and a clip."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()[:8], "big")


def blind_sentences(
    metrics: Sequence[Metric], clips: Sequence[Clip], known: KnownTexts, seed: int = 0
) -> list[BlindReading]:
    """What guesses of sentences get by those of the metrics whose ``reads`` is ``sentence``.

    Clips without a transcript are in no tally. Empty if there is no such metric or no such clip.
    """
    asked = [metric for metric in metrics if metric.reads == "sentence" and metric.better != "none"]
    told = [clip for clip in clips if (clip.transcript or "").strip()]
    guessed: dict[tuple[str, str], dict[str, str]] = {}  # by arithmetic and name: by clip id what is guessed
    for arithmetic in dict.fromkeys(metric.arithmetic for metric in asked):
        words = _WORDS[arithmetic]
        guesses = SentenceGuesses(words(text) for text in known.texts)
        for clip in told:
            own = (tuple(words(clip.transcript or "")) or None) if known.own else None
            for name, said in (
                (FREQUENT_SENTENCE, guesses.most_frequent(own)),
                (FREQUENT_WORDS, guesses.most_frequent_words(own)),
                (CHANCE_SENTENCE, guesses.by_chance(draw(seed, clip.id), own)),
            ):
                guessed.setdefault((arithmetic, name), {})[clip.id] = " ".join(said)
    transcripts = {clip.id: clip.transcript or "" for clip in told}
    readings = []
    for name in (FREQUENT_SENTENCE, FREQUENT_WORDS, CHANCE_SENTENCE):
        tallies = {}
        for metric in asked:
            said_of = guessed.get((metric.arithmetic, name), {})
            evidence = {
                clip_id: _sentence_evidence(metric, transcripts[clip_id], said) for clip_id, said in said_of.items()
            }
            tallies[metric.key] = tally_each(metric, evidence)
        readings.append(BlindReading(name, tallies))
    return readings if asked and told else []


def blind_words(
    metrics: Sequence[Metric],
    clips: Sequence[Clip],
    known: KnownTexts,
    seed: int = 0,
    vocabulary: Sequence[str] = (),
) -> list[BlindReading]:
    """What guesses of word labels get by those of the metrics whose ``reads`` is ``word``; see blind_sentences.

    The most frequent word comes with all others behind it in the order of how often they occur, which is what a metric
    over the first five asks; by chance every word that occurs is as likely as any other.

    Parameters
    ----------
    metrics, clips, known, seed
    vocabulary : sequence of str
        All words that the reader can answer, in upper or lower case; empty if nobody knows. Where ``known`` is of the
        clips themselves, chance is among these, and so is the most frequent word if none occurs more often than others.
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
        # In an order by chance any word has each place equally often.
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
    """By clip id what the metric makes of evidence; clips it has nothing to say of are not in it."""
    tallies = {}
    for clip_id, seen in evidence.items():
        try:
            tally = metric.tally(seen)
        except ClipError:
            continue
        if tally.numerator or tally.denominator or metric.scores_empty:
            tallies[clip_id] = tally
    return tallies


def _sentence_evidence(metric: Metric, transcript: str, guess: str) -> Evidence:
    """As an observer of sentences reports, whichever of its ways of reading the metric asks for."""
    said = dict.fromkeys(("hypothesis", "free_hypothesis", "ctc_hypothesis"), guess)
    return Evidence(metric.observer, {"reference": transcript, **said})

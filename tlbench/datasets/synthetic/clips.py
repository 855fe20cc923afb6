"""Making one clip of the synthetic corpus: speaker, sentence, times and pictures.

A clip depends only on its key (seed, part, split, number), not on which other clips are rendered or in which order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tlbench.datasets.synthetic.articulation import articulate
from tlbench.datasets.synthetic.grammar import MIDDLE_WORDS, focus_words, sentence_with
from tlbench.datasets.synthetic.head import Head
from tlbench.datasets.synthetic.person import Person, make_person
from tlbench.datasets.synthetic.phonemes import SILENCE
from tlbench.datasets.synthetic.rng import StableRng
from tlbench.datasets.synthetic.scene import Scene
from tlbench.datasets.synthetic.speech import SAMPLE_RATE, Speech, SpeechSynthesizer
from tlbench.datasets.synthetic.timings import Times
from tlbench.media.rates import FRAMES_PER_SECOND

PEOPLE = {"train": 80, "val": 16, "test": 24}  # different people in each split
WORD_FRAMES = 29  # length of a clip of the word part, as in LRW
_HEADS_KEPT = 4


@dataclass(frozen=True)
class ClipKey:
    """The key of a clip.

    Attributes
    ----------
    part : str
        ``sentences`` or ``words``.
    split : str
        ``train``, ``val`` or ``test``.
    number : int
        From 0.
    """

    seed: int
    part: str
    split: str
    number: int

    @property
    def rng(self) -> StableRng:
        return StableRng(self.seed, self.part, self.split, self.number)

    @property
    def person(self) -> int:
        """Index of the person in the split. People take turns, so that a few clips already show many faces."""
        return (self.number // (1 if self.part == "sentences" else len(MIDDLE_WORDS))) % PEOPLE[self.split]

    @property
    def word(self) -> str:
        """The label of a clip of the word part, in upper case as in LRW."""
        return MIDDLE_WORDS[self.number % len(MIDDLE_WORDS)].upper()

    @property
    def name(self) -> str:
        """Path inside the corpus without suffix."""
        if self.part == "sentences":
            return f"main/{self.split}{self.person:03d}/{self.number + 1:05d}"
        turn = self.number // len(MIDDLE_WORDS) + 1
        return f"words/{self.word}/{self.split}/{self.word}_{turn:05d}"


@dataclass(frozen=True)
class Take:
    """A finished clip.

    Attributes
    ----------
    samples : (N,) int16 at 22,050 Hz
        From the beginning of the first frame to the end of the last.
    phonemes, words : Times
        In seconds of the video.
    boxes : (T, 4) int64
        The face in each frame, x1 y1 x2 y2.
    """

    samples: np.ndarray
    phonemes: Times
    words: Times
    boxes: np.ndarray
    _scene: Scene
    _shapes: np.ndarray

    def frames(self) -> Iterator[np.ndarray]:
        """The frames, each (160, 160, 3) uint8 RGB."""
        return self._scene.film(self._shapes)


def make_take(key: ClipKey, speaker: SpeechSynthesizer) -> Take:
    """Make the sound and the scene of one clip."""
    rng = key.rng
    who, head = _person(key.seed, key.split, key.person)
    if key.part == "sentences":
        focus = focus_words()
        text = sentence_with(focus[key.number % len(focus)], rng, key.split)
    else:
        text = sentence_with(key.word.lower(), rng, key.split, inside=True)
    voice = replace(
        who.voice,
        words_per_minute=who.voice.words_per_minute - 10 + rng.below(21),
        pitch=who.voice.pitch - 3 + rng.below(7),
    )
    speech = speaker.say(text, voice, seed=1 + rng.below(2**31 - 1))
    seed = rng.below(2**31)
    if key.part == "sentences":
        before, after = rng.between(0.12, 0.36), rng.between(0.12, 0.36)
        frames = math.ceil((before + speech.duration_seconds + after) * FRAMES_PER_SECOND)
    else:
        begin, end = next((begin, end) for begin, end, word in speech.words if word.upper() == key.word)
        before, frames = WORD_FRAMES / FRAMES_PER_SECOND / 2 - (begin + end) / 2, WORD_FRAMES
    seconds = frames / FRAMES_PER_SECOND
    shapes = articulate(_moved(speech.phonemes, before), frames, who.effort)
    scene = Scene(who, head, frames, seed)
    return Take(
        _sound(speech, before, seconds),
        _inside(_moved(speech.phonemes, before), seconds, SILENCE),
        _inside(_moved(speech.words, before), seconds, None),
        np.array([scene.box(t) for t in range(frames)], np.int64),
        scene,
        shapes,
    )


@lru_cache(maxsize=_HEADS_KEPT)
def _person(seed: int, split: str, number: int) -> tuple[Person, Head]:
    who = make_person(StableRng(seed, "person", split, number))
    return who, Head(who)


def _moved(times: Times, seconds: float) -> Times:
    return [(begin + seconds, end + seconds, label) for begin, end, label in times]


def _inside(times: Times, seconds: float, filling: str | None) -> Times:
    """The times between 0 and ``seconds``, clipped; ``filling`` is put before the first and after the last."""
    kept = [(max(begin, 0.0), min(end, seconds), label) for begin, end, label in times if end > 0 and begin < seconds]
    if filling is not None:
        if kept[0][0] > 0:
            kept.insert(0, (0.0, kept[0][0], filling))
        if kept[-1][1] < seconds:
            kept.append((kept[-1][1], seconds, filling))
    return kept


def _sound(speech: Speech, before: float, seconds: float) -> np.ndarray:
    """(N,) int16 of ``seconds``: the speech starts at ``before`` seconds, and is cut off before 0."""
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    start = round(before * SAMPLE_RATE)
    source = speech.samples[max(-start, 0) :][: len(sound) - max(start, 0)]
    sound[max(start, 0) : max(start, 0) + len(source)] = source
    return sound

"""The answers of a user study: scores from 1 to 5, words read from muted clips, attention checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlbench.metrics.opinion import WORD_ERRORS, WORDS_READ
from tlbench.metrics.text import count_errors, spoken

GROUND_TRUTH = "ground-truth"  # the condition that shows the real videos


@dataclass(frozen=True)
class Score:
    """One 1 to 5 answer; ``scale`` is the key of one of ``SCALES``, ``condition`` a method or the ground truth."""

    participant: int
    condition: str
    clip: str
    scale: str
    score: int


@dataclass(frozen=True)
class TranscriptionAnswer:
    """What somebody read from a muted clip; ``choices`` is how many words were offered, 0 if the answer was typed."""

    participant: int
    condition: str
    clip: str
    truth: str
    reply: str
    choices: int


@dataclass(frozen=True)
class Check:
    """An attention check: the clip asks for ``wanted`` on every scale."""

    participant: int
    wanted: int
    given: tuple[int, ...]

    @property
    def passed(self) -> bool:
        return all(score == self.wanted for score in self.given)


@dataclass(frozen=True)
class Answers:
    """All that was answered in a study, and what it was about.

    Attributes
    ----------
    conditions : tuple of str
        The methods in the order of the table; ``GROUND_TRUTH`` stands last.
    dataset, split : str
    invited : int
        How many participants were planned.
    finished : frozenset of int
        Numbers of the participants who answered everything.
    sources : mapping of (condition, clip) to str
        SHA-256 of the video file that was shown.
    hasty : mapping of participant to int
        How many videos they answered sooner than it takes to watch them. Only said: the page does not let that happen,
        so it is a browser without scripts, or somebody who went round the page.
    """

    conditions: tuple[str, ...]
    dataset: str
    split: str
    invited: int
    scores: tuple[Score, ...]
    readings: tuple[TranscriptionAnswer, ...]
    checks: tuple[Check, ...]
    finished: frozenset[int]
    sources: Mapping[tuple[str, str], str] = field(default_factory=dict)
    hasty: Mapping[int, int] = field(default_factory=dict)

    @property
    def begun(self) -> frozenset[int]:
        """Numbers of the participants who answered something."""
        kinds: tuple[Sequence[Score | TranscriptionAnswer | Check], ...] = (self.scores, self.readings, self.checks)
        return frozenset(answer.participant for answers in kinds for answer in answers)


def answer_sums(answers: Answers) -> list[tuple[int, str, str, str, float, float]]:
    """All answers alike: participant, condition, clip, measure, numerator, denominator."""
    items = [(a.participant, a.condition, a.clip, a.scale, float(a.score), 1.0) for a in answers.scores]
    for a in answers.readings:
        truth, reply = spoken(a.truth), spoken(a.reply)
        if a.choices:
            items.append((a.participant, a.condition, a.clip, WORDS_READ.key, float(truth == reply), 1.0))
        else:
            tally = count_errors(truth, reply)
            items.append((a.participant, a.condition, a.clip, WORD_ERRORS.key, tally.numerator, tally.denominator))
    return items

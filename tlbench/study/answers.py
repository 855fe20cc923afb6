"""The answers of a user study: scores from 1 to 5, words read from muted clips, attention checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlbench.metrics.opinion import WORD_ERRORS, WORDS_READ
from tlbench.metrics.text import count_word_errors, spoken

GROUND_TRUTH = "ground-truth"  # the condition that shows the real videos


@dataclass(frozen=True)
class Score:
    """One answer from 1 to 5.

    ``scale`` is the key of one of :data:`tlbench.metrics.opinion.SCALES`, ``condition`` a method or the ground truth.
    """

    participant: int
    condition: str
    clip: str
    scale: str
    score: int


@dataclass(frozen=True)
class TranscriptionAnswer:
    """What a participant read from a muted clip. ``choices`` is the number of words offered, 0 for a typed answer."""

    participant: int
    condition: str
    clip: str
    transcript: str
    reply: str
    choices: int


@dataclass(frozen=True)
class Check:
    """An attention check: the video asks for the score ``wanted`` on every scale."""

    participant: int
    wanted: int
    given: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Whether all given scores are the wanted one."""
        return all(score == self.wanted for score in self.given)


@dataclass(frozen=True)
class Answers:
    """All answers of a study, with its methods, data set and participants.

    Attributes
    ----------
    conditions : tuple of str
        The methods in the order of the table, then ``GROUND_TRUTH``.
    dataset, split : str
    invited : int
        Number of participants planned.
    finished : frozenset of int
        Numbers of the participants who answered everything.
    sources : mapping of (condition, clip) to str
        SHA-256 of the video file that was shown.
    hasty : mapping of participant to int
        Number of videos answered in less time than they take to play. These answers are reported and kept. The page
        prevents them, so they come from a browser without scripts or from a request not made by the page.
    """

    conditions: tuple[str, ...]
    dataset: str
    split: str
    invited: int
    scores: tuple[Score, ...]
    transcriptions: tuple[TranscriptionAnswer, ...]
    checks: tuple[Check, ...]
    finished: frozenset[int]
    sources: Mapping[tuple[str, str], str] = field(default_factory=dict)
    hasty: Mapping[int, int] = field(default_factory=dict)

    @property
    def started(self) -> frozenset[int]:
        """Numbers of the participants who answered at least one question."""
        kinds: tuple[Sequence[Score | TranscriptionAnswer | Check], ...] = (
            self.scores,
            self.transcriptions,
            self.checks,
        )
        return frozenset(answer.participant for answers in kinds for answer in answers)


def answer_sums(answers: Answers) -> list[tuple[int, str, str, str, float, float]]:
    """All answers in one form: participant, condition, clip, measure, numerator, denominator."""
    items = [(a.participant, a.condition, a.clip, a.scale, float(a.score), 1.0) for a in answers.scores]
    for a in answers.transcriptions:
        transcript, reply = spoken(a.transcript), spoken(a.reply)
        if a.choices:
            items.append((a.participant, a.condition, a.clip, WORDS_READ.key, float(transcript == reply), 1.0))
        else:
            tally = count_word_errors(transcript, reply)
            items.append((a.participant, a.condition, a.clip, WORD_ERRORS.key, tally.numerator, tally.denominator))
    return items

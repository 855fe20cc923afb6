"""Errors of lip reading by length of word and by viseme, over all clips, without any transcript.

A result's tallies say how many words of a clip were misread, not which. The records say which, but they have the
transcripts, which many corpora forbid to publish. So these counts are made from the records when a result is added to
a leaderboard, and only the counts are kept. Their sums must equal the sums of the clips' tallies, which is checked when
they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.json_fields import count, entries_of, fields_of
from tlbench.metrics.tally import ErrorTally
from tlbench.metrics.text import align, spoken
from tlbench.metrics.visemes import VISEMES, phonemes, visemes
from tlbench.observing.evidence import Evidence
from tlbench.scoring.record import ClipRecord
from tlbench.scoring.result import Result

WORDS, VISEME_ERRORS = "wer1/sound", "ver/sound"  # the metrics that are broken down
LONGEST = 12  # letters; longer words count as words of this length


@dataclass(frozen=True)
class Share:
    """Errors in one kind of word or viseme: how many were said, and how many of these were misread or missed."""

    said: int = 0
    substituted: int = 0
    deleted: int = 0

    def __post_init__(self) -> None:
        if min(self.said, self.substituted, self.deleted) < 0 or self.substituted + self.deleted > self.said:
            raise ValueError(f"{self.substituted} misread and {self.deleted} missed of {self.said} are impossible")

    def plus(self, operation: str) -> Share:
        """The share with one more that was said."""
        return Share(
            self.said + 1, self.substituted + (operation == "substitute"), self.deleted + (operation == "delete")
        )


@dataclass(frozen=True)
class Breakdown:
    """Errors of AV-HuBERT by kind of word and viseme.

    Attributes
    ----------
    words : mapping of number of letters to Share
        Longer words count as ``LONGEST``. Empty if the result has no WER1 (sound).
    visemes : mapping of viseme to Share
        Empty if the result has no VER.
    """

    words: Mapping[int, Share] = field(default_factory=dict)
    visemes: Mapping[str, Share] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """``[said, substituted, deleted]`` for each, in the order of lengths and of the list of visemes."""
        return {
            "words": {str(length): _counts(self.words[length]) for length in sorted(self.words)},
            "visemes": {name: _counts(self.visemes[name]) for name in _order(self.visemes)},
        }


def _counts(share: Share) -> list[int]:
    return [share.said, share.substituted, share.deleted]


def _order(names: Iterable[str]) -> list[str]:
    known = list(dict.fromkeys(VISEMES.values()))
    return sorted(names, key=known.index)


def can_break_down(result: Result) -> bool:
    """Whether the result has a metric that can be broken down."""
    return any(metric.key in (WORDS, VISEME_ERRORS) for metric in result.metrics)


def break_down(records: Iterable[ClipRecord], result: Result) -> Breakdown:
    """The breakdown of a run, from its records.

    Parameters
    ----------
    records : iterable of ClipRecord
        Of the run with this result.
    result : Result

    Raises
    ------
    TlbenchError
        If the texts of a record do not give the clip's tally: the records are of another run.
    """
    lengths: dict[int, Share] = {}
    by_viseme: dict[str, Share] = {}
    missing = {clip.id for clip in result.clips}
    for record in records:
        clip = result.by_id.get(record.id)
        if clip is None:
            raise TlbenchError(f"clip {shortened(record.id)} is not in the result; the records are of another run")
        missing.discard(record.id)
        if WORDS in clip.tallies:
            said, read = _texts(record, result)
            _count_errors(said, read, clip.tallies[WORDS], lengths, _length, record.id)
        if VISEME_ERRORS in clip.tallies:
            said, read = (visemes(phonemes(words)) for words in _texts(record, result))
            _count_errors(said, read, clip.tallies[VISEME_ERRORS], by_viseme, str, record.id)
    if missing:
        raise TlbenchError(f"clip {min(missing)} is not among the records; they are of another run")
    return Breakdown(lengths, by_viseme)


def _texts(record: ClipRecord, result: Result) -> tuple[list[str], list[str]]:
    observer = next(metric.observer for metric in result.metrics if metric.key in (WORDS, VISEME_ERRORS))
    evidence: Evidence | None = record.evidence.get(observer)
    if evidence is None or not {"reference", "hypothesis"} <= set(evidence.values):
        raise TlbenchError(
            f"clip {shortened(record.id)}: its record has no reading of {observer}; it is of another run"
        )
    return spoken(str(evidence.values["reference"])), spoken(str(evidence.values["hypothesis"]))


def _length(word: str) -> int:
    return min(LONGEST, sum(character.isalnum() for character in word))


def _count_errors(
    said: Sequence[str],
    read: Sequence[str],
    tally: object,
    into: dict[Any, Share],
    kind: Callable[[str], Any],
    clip_id: str,
) -> None:
    steps = align(said, read)
    kinds = [step.operation for step in steps]
    counted = ErrorTally(kinds.count("substitute"), kinds.count("delete"), kinds.count("insert"), len(said))
    if counted != tally:
        raise TlbenchError(
            f"clip {shortened(clip_id)}: its record gives {counted}, the result has {tally}; they are of two runs"
        )
    for step in steps:
        if step.reference is not None:
            name = kind(step.reference)
            into[name] = into.get(name, Share()).plus(step.operation)


def parse_breakdown(data: Any, result: Result) -> Breakdown:
    """The inverse of :meth:`Breakdown.to_json`. Its sums must equal those of the result's clips.

    Raises
    ------
    TlbenchError
        One line that says what is wrong.
    """
    if not isinstance(data, dict) or set(data) != {"words", "visemes"}:
        raise TlbenchError("the breakdown must have the fields words and visemes; add the result again")
    try:
        made = Breakdown(
            {_letters(name): _share(item) for name, item in fields_of(data["words"], "words").items()},
            {_viseme(name): _share(item) for name, item in fields_of(data["visemes"], "visemes").items()},
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise TlbenchError(f"a damaged breakdown ({error}); add the result again") from error
    for key, shares in ((WORDS, made.words), (VISEME_ERRORS, made.visemes)):
        tallies = [clip.tallies[key] for clip in result.clips if key in clip.tallies]
        errors = [tally for tally in tallies if isinstance(tally, ErrorTally)]
        clips = (
            sum(tally.reference_length for tally in errors),
            sum(tally.substitutions for tally in errors),
            sum(tally.deletions for tally in errors),
        )
        stated = tuple(sum(column) for column in zip((0, 0, 0), *map(_counts, shares.values()), strict=True))
        if stated != clips:
            raise TlbenchError(
                f"the breakdown of {key} sums to {stated} (said, misread, missed), but its clips give {clips}; "
                "add the result again"
            )
    return made


def _letters(name: str) -> int:
    if not name.isascii() or not name.isdecimal() or len(name) > 2 or name != str(int(name)) or int(name) > LONGEST:
        raise ValueError(f"{quoted(name)} is not a length of a word")
    return int(name)


def _viseme(name: str) -> str:
    if name not in VISEMES.values():
        raise ValueError(f"{quoted(name)} is not a viseme")
    return name


def _share(item: Any) -> Share:
    said, substituted, deleted = (count(value, "a count") for value in entries_of(item, "a breakdown", length=3))
    return Share(said, substituted, deleted)

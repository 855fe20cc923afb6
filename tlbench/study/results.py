"""The result of a study: all of its numbers, made from the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass

from tlbench.document import counted
from tlbench.errors import TlbenchError
from tlbench.metrics.opinion import SCALES, WORD_ERRORS, WORDS_READ, Measure
from tlbench.scoring.result import Result
from tlbench.statistics import (
    IntervalSettings,
)
from tlbench.study.answers import Answers
from tlbench.study.correlations import Correlation, check_same_videos, correlations_of
from tlbench.study.estimates import Agreement, Contrast, Estimate, agreement_of, contrasts_of, estimates_of, tallies_of
from tlbench.tables.formats import finite_row

SCHEMA = "tlbench.study/1"


@dataclass(frozen=True)
class StudyResult:
    """All numbers of a study.

    Attributes
    ----------
    answers : Answers
        The answers of the participants who are not excluded.
    measures : tuple of Measure
        The columns in order, without those that were not asked.
    excluded : mapping of participant number to failed attention checks
    chance : float or None
        Share of words that guessing gets right; None if no words were offered.
    """

    answers: Answers
    settings: IntervalSettings
    measures: tuple[Measure, ...]
    estimates: tuple[Estimate, ...]
    contrasts: tuple[Contrast, ...]
    agreement: tuple[Agreement, ...]
    correlations: tuple[Correlation, ...]
    excluded: Mapping[int, int]
    allowed_failed_checks: int
    chance: float | None

    def estimate(self, condition: str, measure: str) -> Estimate | None:
        """The cell of a condition and measure; None without answers."""
        found = (e for e in self.estimates if (e.condition, e.measure) == (condition, measure))
        return next(found, None)

    def to_json(self) -> str:
        """JSON with all digits that ends with a newline. It contains no codes and no single answers."""
        answers = self.answers
        data = {
            "schema": SCHEMA,
            "dataset": answers.dataset,
            "split": answers.split,
            "conditions": list(answers.conditions),
            "participants": {
                "invited": answers.invited,
                "counted": len(answers.started),
                "finished": len(answers.finished),
                "excluded": [{"participant": who, "failed_checks": n} for who, n in self.excluded.items()],
                "allowed_failed_checks": self.allowed_failed_checks,
                "hasty": [{"participant": who, "videos": n} for who, n in answers.hasty.items()],
            },
            "interval": {
                "level": self.settings.level,
                "resamples": self.settings.resamples,
                "seed": self.settings.seed,
            },
            "chance": self.chance,
            "measures": [{"key": m.key, "label": m.label, "better": m.better, "unit": m.unit} for m in self.measures],
            "estimates": [finite_row(asdict(item)) for item in self.estimates],
            "contrasts": [finite_row(asdict(item)) for item in self.contrasts],
            "agreement": [finite_row(asdict(item)) for item in self.agreement],
            "correlations": [finite_row(asdict(item)) for item in self.correlations],
        }
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def evaluate(
    answers: Answers,
    *,
    allowed_failed_checks: int = 0,
    settings: IntervalSettings | None = None,
    results: Mapping[str, Result] | None = None,
) -> StudyResult:
    """Compute the numbers of a study from its answers.

    Participants who fail more attention checks than allowed are left out completely, as ITU-T P.808 does with its
    trapping questions: they may have answered without watching between the checks as well.

    Parameters
    ----------
    answers : Answers
    allowed_failed_checks : int
        Attention checks that a participant may fail without being left out.
    settings : IntervalSettings, optional
        Level of all intervals; resamples and seed of the intervals of correlations.
    results : mapping of condition to Result, optional
        Results on the same videos, to correlate with.

    Raises
    ------
    TlbenchError
        If nobody answered, all participants are left out, or a result is of other videos.
    """
    settings = settings or IntervalSettings()
    if not answers.started:
        raise TlbenchError(
            f"nobody has answered yet ({answers.invited} are invited); run `tlbench study serve` and hand out the codes"
        )
    failed = {
        who: sum(not check.passed for check in answers.checks if check.participant == who) for who in answers.started
    }
    excluded = {who: count for who, count in sorted(failed.items()) if count > allowed_failed_checks}
    kept = _without(answers, excluded.keys())
    if not kept.started:
        raise TlbenchError(
            f"of {counted(len(excluded), 'participant')}, all failed more than "
            f"{counted(allowed_failed_checks, 'attention check')}; "
            "look at the clips, or allow more (--failed-checks)"
        )
    for condition, result in (results or {}).items():
        check_same_videos(answers, condition, result)
    tallies = tallies_of(kept)
    measures = tuple(m for m in (*SCALES, WORDS_READ, WORD_ERRORS) if any(key == m.key for _, key in tallies))
    choices = [reading.choices for reading in kept.transcriptions if reading.choices]
    return StudyResult(
        answers=kept,
        settings=settings,
        measures=measures,
        estimates=estimates_of(kept, measures, tallies, settings),
        contrasts=contrasts_of(kept, measures, tallies, settings),
        agreement=tuple(agreement_of(kept, m) for m in measures if m in SCALES),
        correlations=correlations_of(kept, measures, results or {}, settings),
        excluded=excluded,
        allowed_failed_checks=allowed_failed_checks,
        chance=sum(1 / count for count in choices) / len(choices) if choices else None,
    )


def _without(answers: Answers, excluded: Set[int]) -> Answers:
    return Answers(
        conditions=answers.conditions,
        dataset=answers.dataset,
        split=answers.split,
        invited=answers.invited,
        scores=tuple(a for a in answers.scores if a.participant not in excluded),
        transcriptions=tuple(a for a in answers.transcriptions if a.participant not in excluded),
        checks=tuple(a for a in answers.checks if a.participant not in excluded),
        finished=frozenset(who for who in answers.finished if who not in excluded),
        sources=answers.sources,
        hasty={who: count for who, count in answers.hasty.items() if who not in excluded},
    )

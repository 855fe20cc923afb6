"""A user study's answers to numbers: means with intervals, who was attentive, how far raters agree, what metrics say.

Rules, each with its reason:

* Answers of one participant are not independent (some are strict, some generous), so participants are the units. The
  interval is the jackknife's standard error over them times Student's t with one degree of freedom less than
  participants, cut to what the measure can reach; for a mean of equally many answers each that is the t interval over
  participants' means. Studies have few participants (the paper's 15), and there the bootstrap of results, which has no
  t, is too narrow: simulated, its 95 % interval held the mean in 92 of 100 studies of 15 people and in 80 of 4, this
  one in 95.
* Intervals hold for the clips of the study. That other clips would do the same is not in them.
* Whoever fails more attention checks than allowed is left out whole, as ITU-T P.808 does with its trapping questions:
  whoever clicks through did so between the checks too.
* Agreement is Krippendorff's alpha for ordinal values (see :func:`krippendorff_alpha`). It bears a design in which each
  participant sees a clip by one method only, so that raters differ from item to item; an intraclass correlation for
  raters that are the same everywhere (ICC 2 and 3) does not, and takes the steps of a 1 to 5 scale for equal besides.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import combinations
from math import sqrt
from typing import Literal

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from tlbench.errors import TlbenchError
from tlbench.metrics.metric import Metric
from tlbench.metrics.text import count_errors, spoken
from tlbench.scoring.result import ClipScore, Result, json_row
from tlbench.statistics import (
    IntervalSettings,
    Ratio,
    holm,
    permutation_p_value,
    resampled_sums,
    swapped_sums,
)

SCHEMA = "tlbench.study/1"
GROUND_TRUTH = "ground-truth"  # the condition that shows the real videos
LOWEST, HIGHEST = 1, 5  # TalkLip, section 4.3: "Each metric ranges from 1 to 5"
MIN_PAIRED = 3  # points below which a correlation says nothing at all


Level = Literal["videos", "methods"]  # what is a point of a correlation


@dataclass(frozen=True)
class Measure:
    """One column of the table.

    Attributes
    ----------
    key, label : str
        For programs, and as in the paper's Table 2.
    better : "higher" or "lower"
    unit : str
    scale : float
        From ratio to unit.
    low, high : float
        What the measure can reach, in its unit.
    """

    key: str
    label: str
    better: Literal["higher", "lower"]
    unit: str
    scale: float
    low: float
    high: float


# TalkLip, Table 2, whose four columns these are. There, too, readability is a score that is given knowing the word.
SCALES = (
    Measure("quality", "VQ", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("sync", "Sync", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("realness", "Real", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("readability", "RI", "higher", "", 1.0, LOWEST, HIGHEST),
)
WORDS_READ = Measure("words_read", "read", "higher", "%", 100.0, 0.0, 100.0)
WORD_ERRORS = Measure("word_errors", "WER", "lower", "%", 100.0, 0.0, float("inf"))


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


@dataclass(frozen=True)
class Estimate:
    """One cell of the table: a mean or a rate, in the unit of its measure; no interval where there can be none."""

    condition: str
    measure: str
    value: float
    low: float | None
    high: float | None
    answers: int
    participants: int


@dataclass(frozen=True)
class Contrast:
    """Method a minus method b. ``p_adjusted`` is corrected for all pairs and measures of the study (Holm)."""

    a: str
    b: str
    measure: str
    delta: float
    low: float | None
    high: float | None
    p_value: float
    p_adjusted: float
    participants: int


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha of one scale. ``items``: clips by one method that two or more rated. None: can't be told."""

    measure: str
    alpha: float | None
    items: int
    ratings: int


@dataclass(frozen=True)
class Correlation:
    """Spearman's correlation of what people said with what a metric says, on the same videos.

    Attributes
    ----------
    measure, metric : str
    better : str
        ``higher`` or ``lower``: of the metric.
    headline : bool
        Whether the metric is one that is usually shown.
    level : "videos" or "methods"
        A point is one clip by one method, or one method.
    value : float
    low, high : float or None
        By resampling clips; None for methods, of which there are too few.
    points : int
    """

    measure: str
    metric: str
    better: str
    headline: bool
    level: Level
    value: float
    low: float | None
    high: float | None
    points: int


@dataclass(frozen=True)
class StudyResult:
    """The numbers of a study.

    Attributes
    ----------
    answers : Answers
        Of those who count.
    measures : tuple of Measure
        The columns, in order; only those that were asked.
    excluded : mapping of participant number to failed attention checks
    chance : float or None
        Ratio of words read that guessing would give; None where nothing was chosen.
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
        """The cell of a condition and measure; None if nobody answered."""
        found = (e for e in self.estimates if (e.condition, e.measure) == (condition, measure))
        return next(found, None)

    def to_json(self) -> str:
        """For programs, all digits, ending in a newline. No participant's code and no answer is in it."""
        answers = self.answers
        data = {
            "schema": SCHEMA,
            "dataset": answers.dataset,
            "split": answers.split,
            "conditions": list(answers.conditions),
            "participants": {
                "invited": answers.invited,
                "counted": len(answers.begun),
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
            "estimates": [json_row(asdict(item)) for item in self.estimates],
            "contrasts": [json_row(asdict(item)) for item in self.contrasts],
            "agreement": [json_row(asdict(item)) for item in self.agreement],
            "correlations": [json_row(asdict(item)) for item in self.correlations],
        }
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def evaluate(
    answers: Answers,
    *,
    allowed_failed_checks: int = 0,
    settings: IntervalSettings | None = None,
    results: Mapping[str, Result] | None = None,
) -> StudyResult:
    """Answers to the numbers of a study.

    Parameters
    ----------
    allowed_failed_checks : int
        How many attention checks a participant may fail and still count.
    settings : IntervalSettings, optional
        The level of all intervals; resamples and seed of the correlations'.
    results : mapping of condition to Result, optional
        What the observers said of the same videos, to correlate with.

    Raises
    ------
    TlbenchError
        If nobody answered, nobody is left, or a result is of other videos.
    """
    settings = settings or IntervalSettings()
    if not answers.begun:
        raise TlbenchError(
            f"nobody has answered yet ({answers.invited} are invited); run `tlbench study serve` and hand out the codes"
        )
    failed = {
        who: sum(not check.passed for check in answers.checks if check.participant == who) for who in answers.begun
    }
    excluded = {who: count for who, count in sorted(failed.items()) if count > allowed_failed_checks}
    kept = _without(answers, excluded.keys())
    if not kept.begun:
        raise TlbenchError(
            f"all {len(excluded)} participants failed more than {allowed_failed_checks} attention checks; "
            "look at the clips, or allow more (--failed-checks)"
        )
    for condition, result in (results or {}).items():
        check_same_videos(answers, condition, result)
    tallies = _tallies(kept)
    measures = tuple(m for m in (*SCALES, WORDS_READ, WORD_ERRORS) if any(key == m.key for _, key in tallies))
    choices = [reading.choices for reading in kept.readings if reading.choices]
    return StudyResult(
        answers=kept,
        settings=settings,
        measures=measures,
        estimates=_estimates(kept, measures, tallies, settings),
        contrasts=_contrasts(kept, measures, tallies, settings),
        agreement=tuple(_agreement(kept, m) for m in measures if m in SCALES),
        correlations=_correlations(kept, measures, results or {}, settings),
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
        readings=tuple(a for a in answers.readings if a.participant not in excluded),
        checks=tuple(a for a in answers.checks if a.participant not in excluded),
        finished=frozenset(who for who in answers.finished if who not in excluded),
        sources=answers.sources,
        hasty={who: count for who, count in answers.hasty.items() if who not in excluded},
    )


# Sums


def _items(answers: Answers) -> list[tuple[int, str, str, str, float, float]]:
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


@dataclass
class _Sums:
    """Of one condition and measure, by participant: (numerator, denominator); and how many answers."""

    by_participant: dict[int, np.ndarray]
    answers: int = 0


def _tallies(answers: Answers) -> dict[tuple[str, str], _Sums]:
    found: dict[tuple[str, str], _Sums] = {}
    for who, condition, _, measure, numerator, denominator in _items(answers):
        sums = found.setdefault((condition, measure), _Sums(defaultdict(lambda: np.zeros(2))))
        sums.by_participant[who] += (numerator, denominator)
        sums.answers += 1
    return found


def _as_is(ratio: np.ndarray) -> np.ndarray:
    return ratio


def _ratio(sums: _Sums, participants: Sequence[int], measure: Measure) -> Ratio:
    pairs = np.array([sums.by_participant[who] for who in participants]).reshape(-1, 2)
    return Ratio(pairs[:, 0], pairs[:, 1], _as_is, measure.scale)


def _estimates(
    answers: Answers,
    measures: Sequence[Measure],
    tallies: Mapping[tuple[str, str], _Sums],
    settings: IntervalSettings,
) -> tuple[Estimate, ...]:
    found = []
    for condition in answers.conditions:
        for measure in measures:
            sums = tallies.get((condition, measure.key))
            if sums is None:
                continue
            participants = sorted(sums.by_participant)
            ratio = _ratio(sums, participants, measure)
            low, high = mean_interval(ratio, settings.level, measure.low, measure.high) or (None, None)
            found.append(Estimate(condition, measure.key, ratio.total, low, high, sums.answers, len(participants)))
    return tuple(found)


def mean_interval(ratio: Ratio, level: float, lowest: float, highest: float) -> tuple[float, float] | None:
    """Interval of a mean or rate whose units are participants, cut to what it can reach; None for fewer than two."""
    ends = _jackknife_interval(ratio.total, ratio.without_each, level)
    return None if ends is None else (max(ends[0], lowest), min(ends[1], highest))


def _jackknife_interval(value: float, without_each: np.ndarray, level: float) -> tuple[float, float] | None:
    """Efron & Tibshirani 1993, equation 11.5, for the standard error; Student's t for how well few units tell it."""
    count = len(without_each)
    if count < 2 or not np.isfinite(without_each).all():
        return None
    error = sqrt((count - 1) / count * float(np.square(without_each - without_each.mean()).sum()))
    half = float(stdtrit(count - 1, (1 + level) / 2)) * error
    return value - half, value + half


def _contrasts(
    answers: Answers,
    measures: Sequence[Measure],
    tallies: Mapping[tuple[str, str], _Sums],
    settings: IntervalSettings,
) -> tuple[Contrast, ...]:
    """Every pair of methods on every measure, over the participants who judged both."""
    methods = [condition for condition in answers.conditions if condition != GROUND_TRUTH]
    found: dict[str, Contrast] = {}
    for measure in measures:
        for a, b in combinations(methods, 2):
            mine, other = tallies.get((a, measure.key)), tallies.get((b, measure.key))
            both = sorted(set(mine.by_participant) & set(other.by_participant)) if mine and other else []
            if mine is None or other is None or len(both) < 2:
                continue
            contrast = _contrast(a, b, measure, _ratio(mine, both, measure), _ratio(other, both, measure), settings)
            if contrast is not None:
                found[f"{measure.key}\n{a}\n{b}"] = contrast
    adjusted = holm({name: contrast.p_value for name, contrast in found.items()})
    return tuple(
        Contrast(c.a, c.b, c.measure, c.delta, c.low, c.high, c.p_value, adjusted[name], c.participants)
        for name, c in found.items()
    )


def _contrast(a: str, b: str, measure: Measure, x: Ratio, y: Ratio, settings: IntervalSettings) -> Contrast | None:
    """The labels a and b are swapped participant by participant for p; ``p_adjusted`` is still p."""
    sums = np.stack([x.numerators, x.denominators, y.numerators, y.denominators], axis=1)  # (participants, 4)

    def delta_of(rows: np.ndarray) -> np.ndarray:
        return np.asarray(x.value(rows[:, 0], rows[:, 1]) - y.value(rows[:, 2], rows[:, 3]))

    delta = x.total - y.total
    jackknife = x.without_each - y.without_each
    if not np.isfinite(delta) or not np.isfinite(jackknife).all():
        return None
    ends = _jackknife_interval(delta, jackknife, settings.level)
    low, high = ends or (None, None)
    rounding = 1e-11 * max(abs(x.total), abs(y.total))
    p_value = permutation_p_value(delta, delta_of(swapped_sums(sums, settings.seed)), len(sums), rounding)
    return Contrast(a, b, measure.key, delta, low, high, p_value, p_value, len(sums))


# Agreement


def _agreement(answers: Answers, measure: Measure) -> Agreement:
    items: dict[tuple[str, str], list[int]] = defaultdict(list)
    for score in answers.scores:
        if score.scale == measure.key:
            items[score.condition, score.clip].append(score.score)
    rated = [scores for scores in items.values() if len(scores) > 1]
    return Agreement(measure.key, krippendorff_alpha(rated), len(rated), sum(map(len, rated)))


def krippendorff_alpha(items: Sequence[Sequence[int]]) -> float | None:
    """Krippendorff's alpha for ordinal values: 1 is agreement, 0 what chance gives, below 0 contradiction.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": the matrix of coincidences and the ordinal metric.
    The kept package that computes it is under the GPL, and it is a matrix of five by five; that paper's worked example
    is a test.

    Parameters
    ----------
    items : sequence of sequences of int
        The ratings of each item, whoever gave them. Items with one rating say nothing and are left out.

    Returns
    -------
    float or None
        None if nothing was rated twice or all ratings are one value, where agreement can't be told from a habit.
    """
    rated = [scores for scores in items if len(scores) > 1]
    values = sorted({score for scores in rated for score in scores})
    if len(values) < 2:
        return None
    place = {value: i for i, value in enumerate(values)}
    together = np.zeros((len(values), len(values)))  # coincidences o_ck
    for scores in rated:
        counts = np.bincount([place[score] for score in scores], minlength=len(values)).astype(np.float64)
        together += (np.outer(counts, counts) - np.diag(counts)) / (len(scores) - 1)
    totals = together.sum(axis=1)  # n_c
    # Ranks between c and k, half of c's and of k's own: sum of n_g from c to k, less (n_c + n_k) / 2, squared.
    middles = np.cumsum(totals) - totals / 2
    distances = np.square(middles[:, None] - middles[None, :])
    expected = float((np.outer(totals, totals) * distances).sum())
    observed = float((together * distances).sum())
    return 1 - (float(totals.sum()) - 1) * observed / expected


# What the observers say


def check_same_videos(answers: Answers, condition: str, result: Result) -> None:
    """Raises TlbenchError unless the result is of the videos that the study shows under this condition."""
    if condition not in answers.conditions:
        raise TlbenchError(
            f"result {result.name!r} is of no method of this study ({', '.join(answers.conditions)}); "
            "name it: --with METHOD=result.json"
        )
    if (result.dataset, result.split) != (answers.dataset, answers.split):
        raise TlbenchError(
            f"result {result.name!r} is of {result.dataset}:{result.split}, the study of "
            f"{answers.dataset}:{answers.split}; score the folder that the study was made from"
        )
    for (shown_as, clip_id), sha256 in answers.sources.items():
        if shown_as != condition or clip_id not in result.by_id:
            continue
        scored = result.by_id[clip_id].generated_sha256
        if scored is not None and scored != sha256:
            raise TlbenchError(
                f"result {result.name!r}: its clip {clip_id} is another file than the one people saw as {condition}; "
                "score the folder that the study was made from"
            )


def _correlations(
    answers: Answers, measures: Sequence[Measure], results: Mapping[str, Result], settings: IntervalSettings
) -> tuple[Correlation, ...]:
    """Each measure with each metric that all given results made in the same way."""
    if not results:
        return ()
    first = next(iter(results.values()))
    shared = [
        m for m in first.metrics if all(r.protocols.get(m.key) == first.protocols[m.key] for r in results.values())
    ]
    videos: dict[tuple[str, str, str], np.ndarray] = defaultdict(lambda: np.zeros(2))
    methods: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(2))
    for _, condition, clip, measure_key, numerator, denominator in _items(answers):
        if condition in results and denominator:
            videos[measure_key, condition, clip] += (numerator, denominator)
            methods[measure_key, condition] += (numerator, denominator)
    found = []
    for metric in shared:
        clip_values = {
            (condition, clip.id): _value(metric, clip) for condition, result in results.items() for clip in result.clips
        }
        for measure in measures:
            points = [
                _Point(clip, sums[0] / sums[1], said)
                for (key, condition, clip), sums in sorted(videos.items())
                if key == measure.key and (said := clip_values.get((condition, clip))) is not None
            ]
            whole = [
                _Point(condition, sums[0] / sums[1], said)
                for (key, condition), sums in sorted(methods.items())
                if key == measure.key and (said := results[condition].row(metric.key).value) is not None
            ]
            levels: dict[Level, list[_Point]] = {"videos": points, "methods": whole}
            for level, of in levels.items():
                value = spearman([p.judged for p in of], [p.measured for p in of])
                if value is None:
                    continue
                low, high = (_spearman_interval(of, settings) if level == "videos" else None) or (None, None)
                what = (measure.key, metric.key, metric.better, metric.headline)
                found.append(Correlation(*what, level, value, low, high, len(of)))
    return tuple(found)


@dataclass(frozen=True)
class _Point:
    """What is resampled together (a clip), what people said, what the metric says."""

    unit: str
    judged: float
    measured: float


def _value(metric: Metric, clip: ClipScore) -> float | None:
    tally = clip.tallies.get(metric.key)
    if tally is None:
        return None
    with np.errstate(divide="ignore"):
        return metric.value(tally)


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Correlation of ranks, ties sharing theirs; None for fewer than three points or where all are one value."""
    if len(x) < MIN_PAIRED or min(x) == max(x) or min(y) == max(y):
        return None
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _spearman_interval(points: Sequence[_Point], settings: IntervalSettings) -> tuple[float, float] | None:
    """Percentile bootstrap over clips. A resample keeps the ranks of the whole, which spares ranking each anew."""
    units = {name: i for i, name in enumerate(sorted({point.unit for point in points}))}
    if len(units) < MIN_PAIRED:
        return None
    index = [units[point.unit] for point in points]
    x, y = rankdata([point.judged for point in points]), rankdata([point.measured for point in points])
    columns = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    sums = np.stack([np.bincount(index, weights=column, minlength=len(units)) for column in columns.T], axis=1)
    n, sx, sy, sxx, syy, sxy = resampled_sums(sums, settings.resamples, settings.seed).T
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (n * sxy - sx * sy) / np.sqrt((n * sxx - sx * sx) * (n * syy - sy * sy))
    drawn = drawn[np.isfinite(drawn)]  # a resample of one value has no correlation
    if not len(drawn):
        return None
    low, high = np.clip(np.quantile(drawn, [(1 - settings.level) / 2, (1 + settings.level) / 2]), -1, 1)
    return float(low), float(high)

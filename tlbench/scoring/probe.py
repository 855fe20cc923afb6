"""Whether the lip readers of a run can read its clips: their training, what guessing scores, and a few real clips.

None of it changes a number. :func:`unpublished` and :func:`check_training` compare checkpoints with the data set;
:func:`tlbench.scoring.reader_check.with_readers` reads a few real clips and adds blind rows and verdicts to results
by :class:`BlindReaders`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.weights import Weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset
from tlbench.datasets.known_texts import known_transcripts, known_words
from tlbench.datasets.lrw import LRW_WORDS
from tlbench.datasets.selection import Selection
from tlbench.metrics.blind import GREY, BlindReading, blind_sentences, blind_words, tally_each
from tlbench.metrics.metric import Metric
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.domain import check_checkpoint, check_domain, origin, published_on
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.grey import grey_evidence
from tlbench.observing.plan import Plan
from tlbench.preflight.findings import Finding
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.blind_rows import Probe, ProbeSource, probe_findings, probe_of, with_blind
from tlbench.scoring.result import ClipScore, Result

PROBED = 20  # real clips that are read, to find out whether the lip readers can read this data set
PROBE = "probe"  # name of this part of the run, for progress


def unpublished(
    metrics: Iterable[Metric], weights: Weights, dataset: Dataset, cards: Iterable[Card]
) -> Iterator[tuple[Metric, str]]:
    """Metrics that are left out because the network was trained by tlbench, and why.

    These are `paper` metrics of reading on data sets with published values: another network's number can't be compared
    with those.
    """
    if weights.trained is None or origin(dataset) not in published_on(cards):
        return
    for metric in metrics:
        if metric.reads and metric.arithmetic == "paper":
            yield (
                metric,
                f"checkpoint {weights.card.name!r} was trained by tlbench, and on {dataset.name} `paper` is for the "
                "published network; ask for `sound`, or pass the published checkpoint (--weights)",
            )


def check_training(metrics: Sequence[Metric], used: Iterable[Weights], selection: Selection) -> list[Finding]:
    """Findings about the checkpoints of a run, before a clip is read."""
    published = origin(selection.dataset) in published_on(known_cards())
    found: list[Finding] = []
    for weights in used:
        own = [metric for metric in metrics if metric.observer == weights.card.observer]
        if not own:
            continue
        if weights.domain is not None:
            found += check_domain(weights.card.name, weights.domain, selection.dataset, selection.clips)
        if published and any(metric.arithmetic == "paper" for metric in own):
            found += check_checkpoint(weights)
    return found


def probe_clips(clips: Sequence[Clip], seed: int, most: int = PROBED) -> list[Clip]:
    """Up to ``most`` clips, each with its real video as the generated one. Seed and id decide which.

    Clips without a real video, or with one that does not exist, are left out.
    """

    def place(clip: Clip) -> tuple[bytes, str]:
        return hashlib.sha256(f"{PROBE} {seed} {clip.id}".encode()).digest(), clip.id

    there = [clip for clip in clips if clip.reference is not None and clip.reference.is_file()]
    chosen = {clip.id for clip in sorted(there, key=place)[:most]}
    return [replace(clip, generated=clip.reference) for clip in clips if clip.id in chosen]


def reading_plan(plan: Plan, metrics: Iterable[Metric]) -> Plan | None:
    """The plan with only the observers that read; None if there is none."""
    names = {metric.observer for metric in metrics if metric.rates_reading}
    readers = tuple(observer for observer in plan.observers if observer.name in names)
    return replace(plan, observers=readers) if readers else None


def read_probe(like: Result, seen: Iterable[Observation]) -> Result:
    """Observations of real clips as a result with the reading metrics of ``like``, a result of the same run."""
    metrics = tuple(metric for metric in like.metrics if metric.rates_reading)
    observations = list(seen)
    tallies = {
        metric.key: tally_each(
            metric, {o.clip.id: o.evidence[metric.observer] for o in observations if metric.observer in o.evidence}
        )
        for metric in metrics
    }
    clips = tuple(
        ClipScore(
            ClipInfo(o.clip.id, o.clip.speaker, o.clip.word, frames=o.info.frames),
            tallies={key: own[o.clip.id] for key, own in tallies.items() if o.clip.id in own},
        )
        for o in observations
    )
    return replace(
        like,
        name=PROBE,
        role="control",
        metrics=metrics,
        protocols={metric.key: like.protocols[metric.key] for metric in metrics},
        clips=clips,
        expected=len(clips),
        intervals=make_intervals(clips, metrics, like.interval),
        provenance={},
        trained_with=(),
        remarks=(),
        findings=(),
        blind=None,
        sets=(),
    )


def answers(metrics: Iterable[Metric], used: Iterable[Weights], dataset: Dataset) -> tuple[str, ...]:
    """All words that the run's reader of words can answer, as its checkpoint says; empty if that does not say.

    A checkpoint without a list of words is the published one, of LRW's 500, unless the data set has words of its own.
    """
    readers = {metric.observer for metric in metrics if metric.reads == "word"}
    domains = [weights.domain for weights in used if weights.card.observer in readers]
    listed = [domain.vocabulary for domain in domains if domain is not None and not isinstance(domain.vocabulary, str)]
    if listed:
        return tuple(dict.fromkeys(word for words in listed for word in words))
    return () if dataset.own_words else LRW_WORDS


def with_readings(
    result: Result, readings: Sequence[BlindReading], learned_from: Sequence[str], probe: Probe | None
) -> Result:
    """The result with blind rows and verdicts, and with the finding ``cannot-read`` if the probe shows it."""
    compared = with_blind(result, readings, learned_from, probe)
    if compared.blind is None or probe is None:
        return compared
    return replace(compared, findings=(*compared.findings, *probe_findings(probe)))


class BlindReaders:
    """Blind readers, which guess without looking, for all results of a run over the clips of one selection.

    Parameters
    ----------
    selection : Selection
    metrics : sequence of Metric
    plan : Plan
        Of the run. Its networks read grey frames, and their evidence is kept in the plan's cache.
    seed : int
        Of guesses by chance.
    used : iterable of Weights
        Checkpoints of the run: they say which words a reader of words can answer.
    """

    def __init__(
        self,
        selection: Selection,
        metrics: Sequence[Metric],
        plan: Plan,
        seed: int = 0,
        used: Iterable[Weights] = (),
    ) -> None:
        self._clips = selection.clips
        self._forced = [metric for metric in metrics if metric.reads == "forced" and metric.rates_reading]
        self._plan = plan
        self._guesses: list[BlindReading] = []
        self._learned_from: list[str] = []
        kinds = {metric.reads for metric in metrics if metric.rates_reading}
        if kinds & {"sentence", "words"}:
            known = known_transcripts(selection)
            self._add(blind_sentences(metrics, self._clips, known, seed), known.source)
        if "word" in kinds:
            known = known_words(selection)
            words = answers(metrics, used, selection.dataset)
            source = f"{known.source}; the reader's {len(words):,} words" if known.own and words else known.source
            self._add(blind_words(metrics, self._clips, known, seed, words), source)

    def _add(self, readings: Sequence[BlindReading], source: str) -> None:
        self._guesses += readings
        self._learned_from += [source] if readings else []

    @property
    def learned_from(self) -> tuple[str, ...]:
        """Where the guesses come from."""
        return tuple(self._learned_from)

    def readings(self, result: Result) -> list[BlindReading]:
        """What blind readers say of the clips of a result, and of others; networks see as many frames as it has."""
        grey = self._on_grey_frames(result)
        return [*self._guesses, *([grey] if grey.tallies else [])]

    def add_to(self, result: Result, probe: Probe | None = None) -> Result:
        """:func:`with_readings` of the result's clips."""
        return with_readings(result, self.readings(result), self._learned_from, probe)

    def probe(self, ground_truth: Result, source: ProbeSource) -> Probe | None:
        """Which lip readers of the run can read the real clips of this result."""
        return probe_of(self.add_to(ground_truth), source)

    def _on_grey_frames(self, result: Result) -> BlindReading:
        """The networks that are given the true prefix, on as many grey frames as each clip of the result has."""
        frames = {clip.id: clip.info.frames for clip in result.clips}
        shown = [(clip, count) for clip in self._clips if (count := frames.get(clip.id))]
        seen: dict[str, dict[str, Evidence]] = {
            name: grey_evidence(self._plan, name, shown)
            for name in dict.fromkeys(metric.observer for metric in self._forced)
        }
        tallies = {metric.key: tally_each(metric, seen[metric.observer]) for metric in self._forced}
        return BlindReading(GREY, {key: own for key, own in tallies.items() if own})

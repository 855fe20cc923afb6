"""Whether the readers of a run can read: what they were trained on, what guessing gets, and a look at real clips.

Three steps of :func:`tlbench.scoring.score.score_all`, none of which changes a number: :func:`unpublished` and
:func:`check_training` compare checkpoints with the data set, :func:`probe_clips` and :func:`read_probe` read a few
reference clips, and :func:`with_readers` puts blind rows and verdicts beside a result.
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
from tlbench.datasets.selection import Selection
from tlbench.metrics.blind import GREY, BlindReading, blind_sentences, blind_words, tally_each
from tlbench.metrics.metric import Metric
from tlbench.observing.domain import check_checkpoint, check_domain, origin, published_on
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.grey import grey_evidence
from tlbench.observing.plan import Plan
from tlbench.preflight.findings import Finding
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.blind_rows import Probe, ProbeSource, probe_findings, probe_of, with_blind
from tlbench.scoring.result import ClipScore, Result

PROBED = 20  # reference clips that are read to see whether the readers can read this data set
PROBE = "probe"  # its name while it runs


def is_reading(metric: Metric) -> bool:
    """Whether its number says how well something was read, so that guessing has a number too."""
    return metric.reads != "" and metric.better != "none"


def unpublished(
    metrics: Iterable[Metric], weights: Weights, dataset: Dataset, cards: Iterable[Card]
) -> Iterator[tuple[Metric, str]]:
    """Metrics that a network trained by tlbench must not fill, and why.

    ``paper`` columns of reading, on data sets for which there are published values: beside those, the number of
    another network says nothing.
    """
    if weights.trained is None or origin(dataset) not in published_on(cards):
        return
    for metric in metrics:
        if metric.reads and metric.arithmetic == "paper":
            yield (
                metric,
                f"{metric.key} left out: checkpoint {weights.card.name!r} was trained by tlbench, and on "
                f"{dataset.name} `paper` is for the published network; ask for {metric.name}/sound, or pass the "
                "published checkpoint (--weights)",
            )


def check_training(metrics: Sequence[Metric], used: Iterable[Weights], selection: Selection) -> list[Finding]:
    """What is to be said of the checkpoints of a run before a clip is seen; about the run as a whole."""
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
    """Up to ``most`` clips, each with its reference as the generated video, chosen by seed and id alone.

    Clips without a reference, or with one that is not there, are left out.
    """

    def place(clip: Clip) -> tuple[bytes, str]:
        return hashlib.sha256(f"{PROBE} {seed} {clip.id}".encode()).digest(), clip.id

    there = [clip for clip in clips if clip.reference is not None and clip.reference.is_file()]
    chosen = {clip.id for clip in sorted(there, key=place)[:most]}
    return [replace(clip, generated=clip.reference) for clip in clips if clip.id in chosen]


def reading_plan(plan: Plan, metrics: Iterable[Metric]) -> Plan | None:
    """The plan with the observers alone that read; None if there is none."""
    names = {metric.observer for metric in metrics if is_reading(metric)}
    readers = tuple(observer for observer in plan.observers if observer.name in names)
    return replace(plan, observers=readers) if readers else None


def read_probe(like: Result, seen: Iterable[Observation]) -> Result:
    """What was seen of reference clips as a result with the reading metrics of ``like``, a result of the same run."""
    metrics = tuple(metric for metric in like.metrics if is_reading(metric))
    observations = list(seen)
    tallies = {
        metric.key: tally_each(
            metric, {o.clip.id: o.evidence[metric.observer] for o in observations if metric.observer in o.evidence}
        )
        for metric in metrics
    }
    clips = tuple(
        ClipScore(
            id=o.clip.id,
            speaker=o.clip.speaker,
            word=o.clip.word,
            frames=o.frames,
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
    )


class BlindReaders:
    """Readers that do not look, for all results of a run over the clips of one selection.

    Parameters
    ----------
    selection : Selection
    metrics : sequence of Metric
    plan : Plan
        Of the run: its network is asked before grey frames, and keeps what it said in the plan's cache.
    seed : int
        Of guesses by chance.
    """

    def __init__(self, selection: Selection, metrics: Sequence[Metric], plan: Plan, seed: int = 0) -> None:
        self._clips = selection.clips
        self._forced = [metric for metric in metrics if metric.reads == "forced" and is_reading(metric)]
        self._plan = plan
        self._guesses: list[BlindReading] = []
        self._learned_from: list[str] = []
        kinds = {metric.reads for metric in metrics if is_reading(metric)}
        if "sentence" in kinds:
            known = known_transcripts(selection)
            self._add(blind_sentences(metrics, self._clips, known, seed), known.source)
        if "word" in kinds:
            known = known_words(selection)
            self._add(blind_words(metrics, self._clips, known, seed), known.source)

    def _add(self, readings: Sequence[BlindReading], source: str) -> None:
        self._guesses += readings
        self._learned_from += [source] if readings else []

    def beside(self, result: Result, probe: Probe | None = None) -> Result:
        """The result with blind rows and verdicts, and ``cannot-read`` among its findings if the probe says so."""
        grey = self._before_grey(result)
        readings = [*self._guesses, *([grey] if grey.tallies else [])]
        judged = with_blind(result, readings, self._learned_from, probe)
        if judged.blind is None or probe is None:
            return judged
        return replace(judged, findings=(*judged.findings, *probe_findings(probe)))

    def probe(self, truth: Result, source: ProbeSource) -> Probe | None:
        """What a result of reference clips says of the run's readers."""
        return probe_of(self.beside(truth), source)

    def _before_grey(self, result: Result) -> BlindReading:
        """The networks that are told the true beginning, before as many grey frames as each clip of the result has."""
        frames = {clip.id: clip.frames for clip in result.clips}
        shown = [(clip, count) for clip in self._clips if (count := frames.get(clip.id))]
        seen: dict[str, dict[str, Evidence]] = {
            name: grey_evidence(self._plan, name, shown)
            for name in dict.fromkeys(metric.observer for metric in self._forced)
        }
        tallies = {metric.key: tally_each(metric, seen[metric.observer]) for metric in self._forced}
        return BlindReading(GREY, {key: own for key, own in tallies.items() if own})

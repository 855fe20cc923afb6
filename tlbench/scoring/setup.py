"""What a run measures and with what: the metrics, so the observers, views, checkpoints and face detector.

:func:`prepare` decides all of it before the first clip is read, so that whatever can't be done is an error at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.catalogue import check_declared, known_cards, observer_cards, way_to_get
from tlbench.checkpoints.weights import Weights, check_names, find_weights
from tlbench.datasets.selection import Selection
from tlbench.datasets.word_times import with_word_times, word_times
from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.catalogue import all_metrics, find_metrics, named_apart, plain_keys
from tlbench.metrics.metric import Metric
from tlbench.metrics.presets import PRESETS
from tlbench.metrics.sets import SET_METRICS, SetMetric, find_sets, without_sets
from tlbench.observing.cache import default_cache
from tlbench.observing.device import Precision, check_precision, choose_device
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.observing.matrix_product import ProductChoice, choose_product
from tlbench.observing.observer import HALF_NAME, PACKED_NAME
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class, trained_view
from tlbench.preflight.findings import CATALOGUE
from tlbench.preflight.headers import Expected
from tlbench.scoring.options import DEFAULT_METRICS, DEFAULT_RUN, MetricOptions, RunOptions
from tlbench.scoring.probe import unpublished
from tlbench.scoring.real_set import RealSet, of_statistics, real_set
from tlbench.scoring.small_faces import with_tracked_lse
from tlbench.scoring.trained_with import overlaps
from tlbench.scoring.view_choice import check_views, chosen_view, has_pair, view_remarks

# Published numbers were computed in float32, so one in half precision is not one of theirs.
_WHY_NOT_HALF = "`paper` is computed in full precision; ask for `sound`, or leave out --precision bf16"


@dataclass(frozen=True)
class Setup:
    """What a run measures and with what, for any folder of the same data set.

    Attributes
    ----------
    metrics : tuple of Metric
    plan : Plan
    weights : tuple of Weights
        The checkpoints used, detectors included.
    left_out : tuple of str
        Which usual metrics are not measured, and why: one line each.
    remarks : tuple of str
        What a reader of the numbers must know about how they were made: one line each.
    overlaps : tuple of str
        Which observers are related to a checkpoint the system was trained with. Controls were not trained.
    trained_with : tuple of str
        Checkpoints the system was trained with, as declared.
    origin : mapping or None
        How the videos were made, if by ``tlbench generate``; see
        :func:`tlbench.generation.generation_log.origin_of`.
    sets : tuple of SetMetric
        The numbers of the whole set.
    real : RealSet or None
        What the set is compared with; None without such numbers.
    """

    metrics: tuple[Metric, ...]
    plan: Plan
    weights: tuple[Weights, ...]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()
    trained_with: tuple[str, ...] = ()
    origin: Mapping[str, Any] | None = None
    sets: tuple[SetMetric, ...] = ()
    real: RealSet | None = None

    def view(self, metric: Metric) -> str:
        """The name of the view that a metric of this run reads."""
        return metric.view or next(plan.views[0] for plan in self.plan.observers if plan.name == metric.observer)


@dataclass(frozen=True)
class _Choice:
    """What was decided about one observer; no plan if it is not used."""

    metrics: tuple[Metric, ...] = ()
    plan: ObserverPlan | None = None
    weights: Weights | None = None
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def prepare(
    selection: Selection,
    measured: MetricOptions = DEFAULT_METRICS,
    faces: FaceOptions = DEFAULT_FACES,
    options: RunOptions = DEFAULT_RUN,
) -> Setup:
    """Decide what a run measures and with what.

    Raises
    ------
    TlbenchError
        Unknown names, or a metric was asked for by name and its checkpoint is not here (``all``, ``paper`` and
        ``sound`` leave out what can't be measured).
    """
    check_precision(options.precision)
    metrics, left_out = _choose_metrics(selection, measured.metrics, measured.weights)
    sets, without_real = _choose_sets(selection, measured)
    left_out += without_real
    chosen_for_clips: tuple[str, ...] = ()
    if measured.metrics is None and _follows_faces(selection, measured):
        metrics, added = with_tracked_lse(metrics, selection.clips)
        chosen_for_clips = (added,) if added else ()
    _check_drive(metrics, selection, sets)
    real = _check_real(measured, sets, selection)
    if real is not None and real.statistics is not None:
        sets, without_rows = of_statistics(sets, real.statistics, measured.real)
        left_out += without_rows
    names = list(dict.fromkeys(metric.observer for metric in metrics))
    set_names = list(dict.fromkeys(metric.observer for metric in sets))
    _check_names(measured, [*names, *set_names])
    choices = [_choose_observer(name, metrics, selection, measured, options.precision) for name in names]
    choices += [_choose_set_observer(name, sets, selection, measured) for name in set_names]
    left_out += [line for choice in choices for line in choice.left_out]
    plans = [choice.plan for choice in choices if choice.plan is not None]
    if not plans:
        raise TlbenchError("; ".join(left_out) or "no metric is asked for; `tlbench metrics list` shows them")
    networks = any(plan.weights for plan in plans)
    device = choose_device(options.device, networks, elsewhere=options.engine == "ray")
    plans = [_with_product(plan, device, options.matrix_product) for plan in plans]
    used = [choice.weights for choice in choices if choice.weights is not None]
    rule, detector = faces.rule(selection.fixed_box, measured.weights)  # controls need it even if no observer does
    if detector is not None and any(plan.needs.boxes for plan in plans):
        used.append(detector)
    measurable = {metric.key for choice in choices for metric in choice.metrics}
    expected = replace(
        Expected.of(selection.dataset),
        allow_short=measured.allow_short,
        boxes_of_each=faces.boxes_from == "generated",
    )
    return Setup(
        metrics=tuple(metric for metric in metrics if metric.key in measurable),
        plan=Plan(
            tuple(plans),
            rule,
            options.cache or default_cache(),
            device,
            expected=expected,
        ),
        weights=tuple(used),
        left_out=tuple(left_out),
        remarks=(
            *chosen_for_clips,
            *(line for choice in choices for line in choice.remarks),
            *(view_remarks(plans, used, metrics) if used else ()),
            *(_precision_remarks(plans) if options.precision == "bf16" else ()),
        ),
        overlaps=tuple(overlaps(used, measured.trained_with)) if used else (),
        trained_with=tuple(measured.trained_with),
        sets=tuple(metric for metric in sets if metric.observer in {plan.name for plan in plans}),
        real=real,
    )


def _choose_sets(selection: Selection, measured: MetricOptions) -> tuple[tuple[SetMetric, ...], list[str]]:
    """The numbers of the whole set, and a line if presets want some and there is no real video to compare with."""
    wanted = find_sets(measured.metrics)
    if measured.real is not None or any(clip.reference is not None for clip in selection.clips):
        return wanted, []
    named = find_sets([word for word in measured.metrics or () if word not in PRESETS])
    dropped = [metric.label for metric in wanted if metric not in named]
    why = f"{', '.join(dropped)} left out: no clip has a real video; pass a folder of real videos (--real)"
    return named, [why] if dropped else []


def _check_real(measured: MetricOptions, sets: Sequence[SetMetric], selection: Selection) -> RealSet | None:
    """The real set of a run, if it has one. Raises TlbenchError if no number needs it, or there is none."""
    if not sets:
        if measured.real is not None:
            names = ", ".join(metric.name for metric in SET_METRICS)
            raise TlbenchError(f"--real {measured.real}: no number of a set is measured; ask for {names} (--metrics)")
        return None
    if measured.real is None and not any(clip.reference is not None for clip in selection.clips):
        labels = ", ".join(metric.label for metric in sets)
        raise TlbenchError(
            f"{labels}: {selection.dataset.name} has no real video of its clips; pass a folder of real videos (--real)"
        )
    return real_set(measured.real)


def _choose_set_observer(
    name: str, sets: Sequence[SetMetric], selection: Selection, measured: MetricOptions
) -> _Choice:
    """Whether an observer of features is used, with which checkpoint and view. It computes in full precision."""
    cards = observer_cards(name)
    weights = find_weights(cards, measured.weights, selection.dataset.name)
    own = [metric for metric in sets if metric.observer == name]
    if weights is None:
        named = any(word not in PRESETS for word in measured.metrics or () if any(m in own for m in find_sets([word])))
        return _Choice(left_out=(_absent_checkpoint(name, [m.label for m in own], cards[0], named=named),))
    kind = observer_class(name)
    view, remarks = chosen_view(name, measured.views.get(name), weights, selection.clips)
    plan = ObserverPlan(name, (view or kind.default_view,), weights.path, weights.sha256)
    return _Choice((), plan, weights, (), remarks)


def _check_names(measured: MetricOptions, observers: Sequence[str]) -> None:
    """Raises TlbenchError for an unknown checkpoint, or a view that an observer of the run does not have."""
    if measured.weights:
        check_names(measured.weights, [card for card in known_cards() if card.observer])
    if measured.trained_with:
        check_declared(measured.trained_with, known_cards())
    if measured.views:
        check_views(measured.views, observers)


def _choose_metrics(
    selection: Selection, asked: Sequence[str] | None, given: Mapping[str, Path]
) -> tuple[tuple[Metric, ...], list[str]]:
    """The metrics asked for, or those that suit the clips, and a line if nothing about reading can be measured.

    ``given`` are the checkpoints that the user names.
    """
    if asked is not None:
        return _asked_metrics(selection, asked)
    if selection.drive is not None:
        usual = tuple(metric for metric in all_metrics() if metric.parts)
    else:
        usual = find_metrics(selection.dataset.metrics)
    known = _with_network(usual, selection, given)
    suited = tuple(metric for metric in known if _has_subject(metric, selection))
    return suited, _without_texts(known, selection)


def _asked_metrics(selection: Selection, asked: Sequence[str]) -> tuple[tuple[Metric, ...], list[str]]:
    """The metrics that were asked for, and what presets want that is not to be had here: one line each."""
    presets = [PRESETS[word] for word in asked if word in PRESETS]
    for_clips = without_sets(asked)
    metrics = find_metrics(for_clips)
    words = [word for word in for_clips if word not in {preset.name for preset in presets if preset.wants}]
    by_word = set(find_metrics(words))
    paired = tuple(m for m in metrics if m in by_word or has_pair(m, selection.clips))
    fitting = tuple(m for m in paired if m in by_word or _has_subject(m, selection))
    left_out = [
        f"{', '.join(absent)} of preset {preset.name} left out: this installation has no such metric"
        for preset in presets
        if (absent := preset.absent(plain_keys()))
    ]
    if len(paired) < len(metrics):
        dropped = [metric.key for metric in metrics if metric not in paired]
        left_out.append(f"{', '.join(dropped)} left out: no clip has a real video")
    if len(fitting) < len(paired):
        dropped = [metric.key for metric in paired if metric not in fitting]
        what = "the transcript or the word, or the times of the words,"
        left_out.append(f"{', '.join(dropped)} left out: no clip has {what} that they need")
    return fitting, left_out


def _follows_faces(selection: Selection, measured: MetricOptions) -> bool:
    """Whether LSE on followed faces may be of use: the user's own videos, and a SyncNet that sees their crops."""
    if not selection.dataset.anonymous or selection.drive is not None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is to be said of its file is said when the observer is chosen
        weights = find_weights(observer_cards("syncnet"), measured.weights, selection.dataset.name)
    return weights is not None and observer_class("syncnet").fits("face-track", weights.view)


def _check_drive(metrics: Iterable[Metric], selection: Selection, sets: Sequence[SetMetric]) -> None:
    """Raises TlbenchError for a metric of a drive without one, or another metric with one."""
    driven = selection.drive is not None
    if driven and sets:
        raise TlbenchError(f"{sets[0].key} is not measured on a drive; score the folder of one kind without --drive")
    wrong = [metric.key for metric in metrics if bool(metric.parts) != driven]
    if wrong and driven:
        raise TlbenchError(f"{wrong[0]} is not measured on a drive; score the folder of one kind without --drive")
    if wrong:
        raise TlbenchError(f"{wrong[0]} is measured on a drive; make one with `tlbench data drive` and pass --drive")


def _with_network(metrics: Sequence[Metric], selection: Selection, given: Mapping[str, Path]) -> tuple[Metric, ...]:
    """Without the metrics whose observer has no published network, and none that is bundled for this data set or given.

    To measure these is nobody's usual wish, and nobody can download what they need.
    """

    def there(card: Card) -> bool:
        return card.package is None or selection.dataset.name in card.datasets or card.name in given

    cards = {metric.observer: observer_cards(metric.observer) for metric in metrics}
    return tuple(metric for metric in metrics if not cards[metric.observer] or any(map(there, cards[metric.observer])))


def _has_subject(metric: Metric, selection: Selection) -> bool:
    """Whether some clip has what the metric's observer needs: a word, or a transcript, or the times of its words."""
    needs = observer_class(metric.observer).needs
    clips = selection.clips
    if needs.word_times:
        return any(word_times(clip, selection.spans(clip)) for clip in clips if clip.transcript)
    if needs.transcript:
        return any(clip.transcript for clip in clips)
    return not needs.word or any(clip.word for clip in clips)


def timed(selection: Selection, setup: Setup) -> Selection:
    """The selection, with the times of the words if an observer of the run needs them."""
    needed = any(plan.needs.word_times for plan in setup.plan.observers)
    return with_word_times(selection) if needed else selection


def _without_texts(metrics: Iterable[Metric], selection: Selection) -> list[str]:
    """A line that names the metrics of reading, if no clip has a transcript or a word."""
    if any(clip.transcript or clip.word for clip in selection.clips):
        return []
    dropped = dict.fromkeys(metric.label for metric in metrics if not _has_subject(metric, selection))
    way_out = CATALOGUE["no-transcripts"].fix.removeprefix("for word error rates ")
    why = "no clip has a transcript, so reading is not measured; to measure it"
    return [f"{', '.join(dropped)} left out: {why} {way_out}"] if dropped else []


def _choose_observer(
    name: str,
    metrics: Sequence[Metric],
    selection: Selection,
    measured: MetricOptions,
    precision: Precision,
) -> _Choice:
    """Whether an observer is used, with which checkpoint and views, and for which of the metrics."""
    cards = observer_cards(name)
    weights = find_weights(cards, measured.weights, selection.dataset.name) if cards else None
    own = [metric for metric in metrics if metric.observer == name]
    if cards and weights is None:
        return _Choice(left_out=(_without_checkpoint(name, own, cards[0], measured.metrics),))
    why_not: dict[Metric, str] = {}
    if weights is not None:
        why_not = {metric: _why_unfit(metric, weights) for metric in _unfit(own, weights)}
        why_not |= dict(unpublished(own, weights, selection.dataset, known_cards()))
    if precision == "bf16" and observer_class(name).has_half:
        why_not = {metric: _WHY_NOT_HALF for metric in own if metric.arithmetic == "paper"} | why_not
    if why_not:
        own = [metric for metric in own if metric not in why_not]
    if not own:
        return _Choice(weights=weights, left_out=_left_out(why_not))
    view, remarks = chosen_view(name, measured.views.get(name), weights, selection.clips)
    plan = _observer_plan(name, own, weights, view, precision)
    lacking = observer_class(name).lacking(plan.views)
    if lacking:
        return _Choice(left_out=(_without(name, own, lacking, measured.metrics),))
    return _Choice(tuple(own), plan, weights, _left_out(why_not), remarks)


def _left_out(why_not: Mapping[Metric, str]) -> tuple[str, ...]:
    """One line for all metrics with the same reason."""
    by_reason: dict[str, list[str]] = {}
    for metric, reason in why_not.items():
        by_reason.setdefault(reason, []).append(metric.key)
    return tuple(f"{', '.join(keys)} left out: {reason}" for reason, keys in by_reason.items())


def _without_checkpoint(name: str, metrics: Iterable[Metric], card: Card, asked: Sequence[str] | None) -> str:
    """Which metrics are left out for want of a checkpoint. Raises TlbenchError if one of them was asked for by name."""
    return _absent_checkpoint(name, [metric.label for metric in metrics], card, named=_named(name, asked))


def _absent_checkpoint(name: str, of_metrics: Iterable[str], card: Card, *, named: bool) -> str:
    """The line, or, for metrics that were asked for by name, the error."""
    labels = ", ".join(dict.fromkeys(of_metrics))
    if named:
        raise TlbenchError(f"{labels}: the checkpoint of observer {quoted(name)} is not here; {way_to_get(card)}")
    return f"{labels} left out: no checkpoint of observer {name!r} here; {way_to_get(card)}"


def _without(name: str, metrics: Iterable[Metric], lacking: str, asked: Sequence[str] | None) -> str:
    """Which metrics are left out for want of a package. Raises TlbenchError if one of them was asked for by name."""
    labels = ", ".join(dict.fromkeys(metric.label for metric in metrics))
    if _named(name, asked):
        raise TlbenchError(f"{labels}: {lacking}")
    return f"{labels} left out: {lacking}"


def _named(observer: str, asked: Sequence[str] | None) -> bool:
    """Whether a metric of the observer was asked for by name."""
    words = named_apart(without_sets(asked or ()))
    return any(metric.observer == observer for metric in find_metrics(words))


def _unfit(metrics: Iterable[Metric], weights: Weights) -> list[Metric]:
    """Metrics with a view of their own that this network can't take, as the published view for a small network."""
    kind = observer_class(weights.card.observer)
    return [metric for metric in metrics if metric.view and not kind.fits(metric.view, weights.view)]


def _why_unfit(metric: Metric, weights: Weights) -> str:
    return (
        f"the view {metric.view!r} is not for the network of checkpoint {weights.card.name!r}, which was trained on "
        f"{weights.view}"
    )


def _observer_plan(
    name: str, metrics: Sequence[Metric], weights: Weights | None, view: str | None, precision: Precision
) -> ObserverPlan:
    """What one observer of a run does for these metrics of its own."""
    kind = observer_class(name)
    chosen = view or (trained_view(kind, weights.view) if weights is not None else kind.default_view)
    named = [metric.view for metric in metrics if metric.view]
    own = [chosen] if len(named) < len(metrics) else []
    views = tuple(dict.fromkeys([*own, *named]))  # the run's own first: Setup.view finds it there
    modes = tuple(sorted({metric.mode for metric in metrics if metric.mode}))
    path, sha256 = (weights.path, weights.sha256) if weights is not None else (None, None)
    return ObserverPlan(name, views, path, sha256, modes, half=precision == "bf16" and kind.has_half)


def _with_product(plan: ObserverPlan, device: str, choice: ProductChoice) -> ObserverPlan:
    """The plan with the matrix product that its network uses. Raises TlbenchError if that is not for this device."""
    product = choose_product(choice, device, HALF_NAME if plan.half else "float32")
    return replace(plan, packed=product == PACKED_NAME and observer_class(plan.name).has_packed)


def _precision_remarks(plans: Sequence[ObserverPlan]) -> Iterator[str]:
    """Which observers compute in bfloat16, and which can't."""
    halves, others = ([plan.name for plan in plans if plan.half is half] for half in (True, False))
    if halves:
        yield (
            f"half precision ({HALF_NAME}): {', '.join(halves)}; these numbers can't be ranked with those of full "
            "precision"
        )
    if others:
        yield f"full precision all the same, as there is no half: {', '.join(others)}"

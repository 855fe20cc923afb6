"""Which view an observer of a run uses: that of its checkpoint, the user's, or one that suits the frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tlbench.checkpoints.weights import Weights
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError, listed, quoted
from tlbench.media.probe import probe
from tlbench.media.scaling import Size, by
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Metric
from tlbench.observing.plan import ObserverPlan
from tlbench.observing.registry import observer_class, trained_view
from tlbench.observing.view_checks import face_framed

AUTO_VIEW = "auto"  # what --view takes besides names of views


def check_views(views: Mapping[str, str], observers: Iterable[str]) -> None:
    """Raises TlbenchError if an observer of ``--view`` is not used by the run, or has no such view."""
    for name, view in views.items():
        if name not in observers:
            used = listed(name, observers)
            raise TlbenchError(f"--view {name}={view}: no metric of this run is of observer {quoted(name)}{used}")
        kind = observer_class(name)
        if not kind.default_view:
            raise TlbenchError(f"--view {name}={view}: the metrics of {quoted(name)} name their views themselves")
        if view not in kind.views and view != AUTO_VIEW:
            raise TlbenchError(f"--view {name}={view}: there is no such view{listed(view, (AUTO_VIEW, *kind.views))}")
        own = [metric.key for metric in all_metrics() if (metric.observer, metric.view) == (name, view)]
        if own and kind.recipe(view) is None:  # such a view is another way of measuring
            asked = ", ".join(own)
            raise TlbenchError(
                f"--view {name}={view}: that view has metrics of its own; ask for them: --metrics {asked}"
            )


def auto_view(name: str, weights: Weights | None, clips: Sequence[Clip]) -> tuple[str, str]:
    """The view for ``--view NAME=auto`` and a line that says which. The first clip decides for the whole run."""
    kind = observer_class(name)
    usual = trained_view(kind, weights.view) if weights is not None else kind.default_view
    view = kind.recipe(usual)
    sizes = _first_sizes(clips)
    chosen = usual
    if view is not None and view.frame_sizes and not all(size in view.frame_sizes for size in sizes):
        chosen = face_framed(kind, view) or usual
    return chosen, f"--view {name}=auto: {chosen}, as frames are {' and '.join(map(by, sizes)) or 'not readable'}"


def chosen_view(
    name: str, asked: str | None, weights: Weights | None, clips: Sequence[Clip]
) -> tuple[str | None, tuple[str, ...]]:
    """The view that was asked for or that these clips need, and what is to be said of it; None for the usual one."""
    if asked == AUTO_VIEW:
        view, why = auto_view(name, weights, clips)
        return view, (why,)
    kind = observer_class(name)
    usual = kind.usual_view(clips)
    if asked is None and weights is None and usual != kind.default_view:
        return usual, (f"{name} uses the view {usual}, as no clip has a real video",)
    return asked, ()


def has_pair(metric: Metric, clips: Sequence[Clip]) -> bool:
    """Whether some clip has a real video, if the metric needs its frames."""
    if any(clip.reference is not None for clip in clips):
        return True
    kind = observer_class(metric.observer)
    view = metric.view or kind.usual_view(clips)
    return not kind.needs_for((view,) if view else (), (metric.mode,) if metric.mode else ()).reference


def _first_sizes(clips: Iterable[Clip]) -> list[Size]:
    """Frame sizes of the first clip with a readable generated video, and of its real video if that differs."""
    for clip in clips:
        sizes: dict[Size, None] = {}
        for video in filter(None, (clip.generated, clip.reference)):
            try:
                info = probe(video)
            except ClipError:
                continue
            sizes[(info.width, info.height)] = None
        if sizes and clip.generated is not None:
            return list(sizes)
    return []


def view_remarks(plans: Iterable[ObserverPlan], used: Iterable[Weights], metrics: Sequence[Metric]) -> Iterator[str]:
    """A line for each observer that uses another view than its checkpoint was trained with."""
    trained = {weights.card.observer: weights for weights in used}
    for plan in plans:
        kind = observer_class(plan.name)
        weights = trained.get(plan.name)
        free = any(metric.observer == plan.name and not metric.view for metric in metrics)
        view = kind.views[plan.views[0]]
        if weights is not None and free and weights.view != view:
            yield (
                f"{plan.name} uses the view {view}, but checkpoint {weights.card.name!r} was trained with "
                f"{weights.view}: its numbers are not comparable with published ones"
            )

"""How each number of a run is made, as a protocol id."""

from __future__ import annotations

from collections.abc import Iterable

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.media.video_reader import DECODING
from tlbench.metrics.protocol import WEIGHTS_DIGITS, Protocol, selection_mark
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.mouth_alignment import mouth_mark, takes_landmarks
from tlbench.observing.observer import HALF_NAME, Needs
from tlbench.observing.plan import Plan
from tlbench.observing.registry import observer_class
from tlbench.scoring.real_set import real_rule
from tlbench.scoring.set_scores import SetScore
from tlbench.scoring.setup import Setup

# Detectors that were there before one face was followed through a clip, and what ids of followed faces add to them.
BEFORE_FOLLOWING, FOLLOWED = ("haar", "s3fd"), "+followed"


def make_protocols(selection: Selection, setup: Setup) -> dict[str, Protocol]:
    """The protocol of each metric of a run, by metric key."""
    plans = {plan.name: plan for plan in setup.plan.observers}
    protocols = {}
    for metric in setup.metrics:
        plan = plans[metric.observer]
        kind = observer_class(metric.observer)
        followed = metric.arithmetic == "sound" or kind.needs_for((setup.view(metric),), plan.modes).framing
        protocols[metric.key] = Protocol.of(
            metric,
            dataset=selection.dataset.name,
            split=selection.split,
            view=kind.views[setup.view(metric)],
            decoding=DECODING,
            selection=mark_of_selection(selection, setup.plan),
            boxes=_boxes_mark(selection.clips, setup.plan.boxes, plan.needs, followed=followed),
            weights_sha256=plan.weights_sha256,
            numbers=HALF_NAME if plan.half else None,
        )
    return protocols


def make_set_outlines(selection: Selection, setup: Setup) -> tuple[SetScore, ...]:
    """The numbers of the set that a run computes, each with its protocol and without a value."""
    if setup.real is None:
        return ()
    plans = {plan.name: plan for plan in setup.plan.observers}
    found = []
    for metric in setup.sets:
        plan = plans[metric.observer]
        protocol = Protocol(
            metric.name,
            metric.version,
            selection.dataset.name,
            selection.split,
            observer_class(metric.observer).views[plan.views[0]],
            DECODING,
            metric.aggregation,
            metric.arithmetic,
            mark_of_selection(selection, setup.plan),
            _boxes_mark(selection.clips, setup.plan.boxes, plan.needs, followed=True),
            None if plan.weights_sha256 is None else plan.weights_sha256[:WEIGHTS_DIGITS],
            rule=",".join(filter(None, (metric.rule, real_rule(setup.real)))),
        )
        found.append(SetScore(metric, protocol))
    return tuple(found)


def mark_of_selection(selection: Selection, plan: Plan) -> str | None:
    """Which part of the split was scored, as protocol ids have it; None for all of its clips, each whole."""
    short = plan.expected.allow_short
    if selection.drive is not None:
        return selection_mark(short=short, drive=selection.drive)
    if selection.whole:
        return selection_mark(short=short)
    if selection.subset is None and selection.limit is not None:
        return selection_mark(limit=selection.limit, short=short)
    return selection_mark(subset=[clip.id for clip in selection.clips], short=short)


def _boxes_mark(clips: Iterable[Clip], rule: BoxRule, needs: Needs, *, followed: bool) -> str | None:
    """Which face boxes or landmarks an observer was given, as protocol ids have it; None if it needs neither.

    ``followed``: whether the number depends on which person is followed and on frames without a face, and not only on
    the best box of each frame.
    """
    of_both = rule.source == "reference"  # else each video has its own, and given ones are of the real video
    used = of_both or needs.reference
    if needs.placements:
        found = mouth_mark(needs.placements, rule.source)
        given = "given" if of_both else f"given+{found}"
        taken = takes_landmarks(needs.placements) and used
        kinds = {f"landmarks:{given if clip.landmarks is not None and taken else found}" for clip in clips}
    elif needs.boxes:
        how = FOLLOWED if followed and rule.detector in BEFORE_FOLLOWING else ""
        given = "given" if of_both else f"given+{rule.search}@each"
        found = f"{rule.identity}{how}" if of_both else (rule.identity if used else f"{rule.search}@each")
        kinds = {given if clip.boxes is not None and used else found for clip in clips}
    else:
        return None
    return "+".join(sorted(kinds))

"""Ceilings and floors of a selection: the real clips with a known fault, scored like a system."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.controls import CONTROLS, control
from tlbench.generation.nearest_mouth import check_enough
from tlbench.generation.other_clips import donors
from tlbench.generation.write_controls import control_clips, make_controls
from tlbench.observing.cache import Cache
from tlbench.observing.face_boxes import BoxFinder
from tlbench.observing.stopping import stop_if_asked
from tlbench.scoring.options import RunOptions
from tlbench.scoring.result import Result
from tlbench.scoring.run import Progress, run
from tlbench.scoring.setup import Setup


def control_kinds(asked: Sequence[str]) -> list[str]:
    """The names of controls; ``all`` for every one."""
    return [known.name for known in CONTROLS] if tuple(asked) == ("all",) else list(dict.fromkeys(asked))


def check_controls(kinds: Sequence[str], selection: Selection) -> None:
    """Raises TlbenchError for a kind that does not exist, or that can't be made of these clips."""
    asked = [control(kind) for kind in kinds]
    if asked and any(clip.reference is None for clip in selection.clips):
        raise TlbenchError(
            f"{selection.dataset.name}: controls are made from reference videos, and it has none; leave --controls out"
        )
    if any(kind.needs_donor for kind in asked):
        donors([clip.id for clip in selection.clips])
    if any(kind.needs_mouths for kind in asked):
        check_enough(selection.clips)


def score_controls(
    kinds: Sequence[str],
    selection: Selection,
    setup: Setup,
    options: RunOptions,
    *,
    out: Path,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Write the videos of controls to ``out/<kind>`` and score them, each result as it is done.

    A clip that a control can't be made of is a UserWarning.
    """
    for chosen, kind in control_selections(kinds, selection, setup, options, out=out, progress=progress):
        excused = control(kind).excused
        yield run(chosen, setup, kind, options, out=out / kind, role="control", excused=excused, progress=progress)


def control_selections(
    kinds: Sequence[str],
    selection: Selection,
    setup: Setup,
    options: RunOptions,
    *,
    out: Path,
    only: Collection[str] | None = None,
    part: str = "",
    progress: Progress | None = None,
) -> list[tuple[Selection, str]]:
    """Write the videos of controls to ``out/<kind>``: for each kind the selection with them as generated videos.

    Parameters
    ----------
    only : collection of str, optional
        Ids of the clips whose videos are written. Speech and mouths may be taken from any clip. The others, which
        somebody else writes, have the real video in their place.
    part : str
        Name of the shard whose clips these are, for the log of the videos.

    Raises
    ------
    StoppedError
        Between two clips, if the run was asked to stop.
    """
    finder = BoxFinder(setup.plan.boxes, Cache(setup.plan.cache / "boxes"))

    def warn(clip_id: str, kind: str, error: ClipError) -> None:
        warnings.warn(f"control {kind}, clip {clip_id}: {error}", stacklevel=2)

    def tell(done: int, total: int) -> None:
        stop_if_asked()
        if progress is not None and done:
            progress("controls", None, done, total)

    folders = make_controls(
        selection.clips,
        out,
        kinds,
        finder,
        entry={"dataset": selection.dataset.name},
        seed=options.seed,
        only=only,
        part=part,
        progress=tell,
        on_failure=warn,
    )
    found = []
    for kind in kinds:
        clips = control_clips(selection.clips, kind, folders.get(kind))
        clips = [clip if only is None or clip.id in only else replace(clip, generated=clip.reference) for clip in clips]
        found.append((replace(selection, clips=clips), kind))
    return found

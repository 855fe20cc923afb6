"""A result that is already where a run is to write its own.

A run may replace it without being asked if nothing is lost: if it makes every number of it again, of the same videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import sha256_if_readable
from tlbench.scoring.options import RunOptions
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.scoring.result_file import load_result
from tlbench.scoring.run import outline
from tlbench.scoring.setup import Setup


def check_earlier_result(
    folder: Path,
    selection: Selection,
    setup: Setup,
    name: str,
    options: RunOptions,
    *,
    role: Role = "system",
    clips: Sequence[Clip] | None = None,
    video_hashes: Mapping[str, str | None] | None = None,
) -> None:
    """See to it that a run may write to ``folder``, before a clip is scored.

    A clip that was not scored, because its video was missing or damaged, may have another video now.

    Parameters
    ----------
    folder : Path
        Of the results of one system or control.
    selection, setup, name, options, role
        Of the run, as for :func:`tlbench.scoring.run.run`.
    clips : sequence of Clip, optional
        Those whose videos are compared; all of the selection if not given.
    video_hashes : mapping of clip id to str or None, optional
        What a record has as the hash of each generated video, None if it can't be read; the files' own if not given.
        Of a control, whose videos are made, the real videos are compared.

    Raises
    ------
    TlbenchError
        If there is a result whose numbers the run would not make again, and ``options.overwrite`` is not set. The line
        says in what they differ.
    """
    if options.overwrite or not (folder / FILE_NAME).exists():
        return
    try:
        there = load_result(folder)
    except TlbenchError as error:
        why: str | None = f"its {FILE_NAME} can't be read ({error})"
    else:
        here, _ = outline(selection, setup, name, options, role=role)
        why = _other_plan(there, here, selection) or _other_videos(
            there, selection.clips if clips is None else clips, video_hashes
        )
    if why is not None:
        others = "another --out" if role == "control" else "another --out or --name"
        raise TlbenchError(
            f"{folder}: has the results of another run: {why}; choose {others}, or replace them (--overwrite)"
        )


def _other_plan(there: Result, here: Result, selection: Selection) -> str | None:
    """The first thing in which two plans differ, if the plan ``here`` does not make every number of ``there``."""
    facts = (
        ("it is of", f"{there.dataset}:{there.split}", f"{here.dataset}:{here.split}"),
        ("its clips are", there.selection or "the whole split", here.selection or "the whole split"),
        ("its number of clips is", there.expected, here.expected),
    )
    for what, before, now in facts:
        if before != now:
            return f"{what} {shortened(str(before))}, now {shortened(str(now))}"
    absent = sorted(there.by_id.keys() - {clip.id for clip in selection.clips})
    if absent:
        return f"it has the clip {quoted(absent[0])}, which is not in this run"
    for metric in there.metrics:
        if metric.key not in here.protocols:
            return f"it has {metric.key}, which this run does not measure"
        before_id, now_id = there.protocols[metric.key].id, here.protocols[metric.key].id
        if before_id != now_id:
            return f"its {metric.key} is {shortened(before_id)}, now {shortened(now_id)}"
    if there.interval != here.interval:
        return "its intervals were made with other settings"
    lost = [expert for expert in there.trained_with if expert not in here.trained_with]
    if lost:
        return f"it says that the system was trained with {quoted(lost[0])}"
    return None


def _other_videos(there: Result, clips: Sequence[Clip], video_hashes: Mapping[str, str | None] | None) -> str | None:
    """How many of the scored clips have another video now."""
    other = []
    for clip in clips:
        before = there.by_id.get(clip.id)
        if before is None or not before.tallies:
            continue
        if there.role == "control":
            known, now = before.info.reference_sha256, sha256_if_readable(clip.reference)
        else:
            known = before.info.generated_sha256
            now = sha256_if_readable(clip.generated) if video_hashes is None else video_hashes[clip.id]
        if known is not None and known != now:
            other.append(clip.id)
    if not other:
        return None
    return f"{counted(len(other), 'video')} changed since, such as that of clip {shortened(other[0])}"

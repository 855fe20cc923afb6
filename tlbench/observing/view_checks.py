"""Whether the frames of a clip are of the size that a view was made for: one that cuts by pixels cuts another place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tlbench.media.scaling import Size, by
from tlbench.media.views import View
from tlbench.observing.observer import Needs, Observer
from tlbench.preflight.findings import Finding, finding


def check_view_frames(
    clip_id: str,
    observer: type[Observer],
    views: Sequence[str],
    size: Size | None,
    reference_size: Size | None,
    needs: Needs,
) -> Finding | None:
    """``view-frame`` for an observer one of whose views was made for frames of another size; else None.

    Parameters
    ----------
    views : sequence of str
        Names of the views it looks through in this run.
    size, reference_size : (width, height) or None
        Of the generated and of the real video; the latter is looked at only if it ``needs`` that.
    """
    shown = [("", size), ("the real video is ", reference_size if needs.reference else None)]
    for name in views:
        view = observer.recipe(name)
        if view is None or not view.frame_sizes:
            continue
        for whose, found in shown:
            if found is not None and found not in view.frame_sizes:
                fitting = face_framed(observer, view)
                way_out = f"--view {observer.name}={fitting} fits its network" if fitting else "no other view fits it"
                made_for = " or ".join(map(by, view.frame_sizes))
                message = f"{whose}{by(found)}; {view.id} cuts a window of frames of {made_for} ({way_out})"
                return replace(finding("view-frame", clip_id, message), observers=(observer.name,))
    return None


def face_framed(observer: type[Observer], view: View) -> str | None:
    """The name of the observer's view that finds the face first and ends with the same pictures as ``view``."""
    for name in observer.views:
        other = observer.recipe(name)
        if other is not None and other.frames_face and other.picture == view.picture:
            return name
    return None

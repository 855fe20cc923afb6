"""Checks whether the frames of a clip fit a view.

A view with a crop in pixels was made for frames of one size, and shows another part of other frames. A view that scales
the whole frame needs frames that show just a face, as in LRS2.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tlbench.media.face_crop import MARGIN
from tlbench.media.scaling import Size, by
from tlbench.media.views import View
from tlbench.observing.face_checks import FOUND_MIN, MOUTH_DOWN, FacePlace
from tlbench.observing.mouth_alignment import takes_landmarks
from tlbench.observing.observer import Needs, Observer
from tlbench.preflight.findings import Finding, finding

# The face in an LRS2 frame: the frame is a square (2 + 2 MARGIN) / 2 times as wide as the face, from its upper edge
# (tlbench.media.face_crop, used by FrameFace).
LRS2_SHARE = 1 / (1 + MARGIN)
LRS2_MOUTH = (0.5, MOUTH_DOWN * LRS2_SHARE)
# Limits of the face's size, as a ratio to LRS2's, and of the distance of its mouth from LRS2's, as a share of the
# frame: the Conformer uses the middle half, with an edge 0.19 below LRS2's mouth. Measured with BlazeFace on 34 GRID
# clips (s1, s4, s10, s30; half of them for crops and faults) and 16 synthetic ones. Given are minimum to maximum of the
# face's share of the frame's height, and of the mouth from the top.
#   No warning: GRID in LRS2's framing 0.68 to 0.71, 0.56 to 0.57; the same blurred, as JPEG of quality 10 or with a
#   grey lower half 0.62 to 0.71, 0.50 to 0.57; synthetic in LRS2's framing 0.71 to 0.72, 0.56 to 0.57, unchanged 0.77
#   to 0.82, 0.61 to 0.65; a square around the middle of the face, 1.6 to 1.8 times as wide, 0.56 to 0.65, 0.65 to 0.69.
#   Warning: a square 1.4 times as wide 0.68 to 0.72, 0.69 to 0.72 (3 of 17), 1.0 or 1.2 times 0.76 to 1.00, 0.72 to
#   0.80 (all), 2.2 times 0.44 to 0.49 (all); the whole 5:4 frames of GRID 0.45 to 0.64, 0.69 to 0.82, and 0.36 to 0.51
#   of the width (all 34).
# LRS2's and LRW's own videos could not be measured. LRW's mean face (eyes at y 94, mouth at 158 of 256:
# media.mouth_patch) would have a height of about 0.65 (eyes and mouth of GRID's faces are 0.384 of the box apart) and
# its mouth at 0.62: no warning.
SHARE_FACTOR = 1.3
MOUTH_OFF = 0.15
FACE_REPORTED = frozenset({"no-face", "faces-missing", "reference-no-face"})  # findings that faces are missing


def check_view_frames(
    clip_id: str,
    observer: type[Observer],
    views: Sequence[str],
    size: Size | None,
    reference_size: Size | None,
    needs: Needs,
) -> Finding | None:
    """``view-frame`` if one of an observer's views was made for frames of another size; else None.

    Parameters
    ----------
    views : sequence of str
        Names of the observer's views in this run.
    size, reference_size : (width, height) or None
        Frame sizes of the generated and of the real video; the latter counts only if it ``needs`` the real video.
    """
    shown = [("", size), ("the real video is ", reference_size if needs.reference else None)]
    for name in views:
        view = observer.recipe(name)
        if view is None or not view.frame_sizes:
            continue
        for video, found in shown:
            if found is not None and found not in view.frame_sizes:
                fitting = face_framed(observer, view)
                way_out = f"--view {observer.name}={fitting} fits its network" if fitting else "no other view fits it"
                made_for = " or ".join(map(by, view.frame_sizes))
                message = f"{video}{by(found)}; {view.id} cuts a window of frames of {made_for} ({way_out})"
                return replace(finding("view-frame", clip_id, message), observers=(observer.name,))
    return None


def face_framed(observer: type[Observer], view: View) -> str | None:
    """The name of the observer's view that crops the face and gives pictures of the same size as ``view``.

    If there is none, that of a view which aligns the mouth by the embedded detector's points.
    """
    same = {name: other for name in observer.views if (other := observer.recipe(name)) is not None}
    same = {name: other for name, other in same.items() if other.picture == view.picture}
    framed = [name for name, other in same.items() if other.frames_face]
    aligned = [name for name, other in same.items() if other.alignment and not takes_landmarks(other.alignment)]
    return next(iter([*framed, *aligned]), None)


def looks_at_whole_frames(observer: type[Observer], views: Sequence[str]) -> bool:
    """Whether one of these views scales the whole frame, which then has to show just a face."""
    return bool(_whole(observer, views))


def check_face_place(
    clip_id: str, shown: Sequence[tuple[type[Observer], Sequence[str]]], place: FacePlace, reported: Collection[str]
) -> Finding | None:
    """``face-framing`` if a view scales whole frames, and they do not show the face as in LRS2; else None.

    Parameters
    ----------
    shown : sequence of (Observer class, names of views)
        The observers of the run that score the clip, with their views.
    place : FacePlace
        Position of the face in the generated video.
    reported : collection of str
        Codes of the findings about the clip so far.
    """
    views = [(observer, view) for observer, names in shown for view in _whole(observer, names)]
    if not views or place.looked < FOUND_MIN:
        return None
    if place.shown < FOUND_MIN:
        if FACE_REPORTED & set(reported):
            return None
        what = f"no face was found in {place.looked - place.shown} of {place.looked} frames looked at"
    elif _as_lrs2(place):
        return None
    else:
        what = (
            f"the face takes {place.height:.0%} of the frame's height and {place.width:.0%} of its width, its mouth is "
            f"{place.mouth_x:.0%} from the left and {place.mouth_y:.0%} from the top (LRS2: about {LRS2_SHARE:.0%} of "
            f"both, {LRS2_MOUTH[0]:.0%} and {LRS2_MOUTH[1]:.0%})"
        )
    used = {(observer.name, name) for observer, names in shown for name in names}
    finders = [(observer.name, face_framed(observer, view)) for observer, view in views]
    options = dict.fromkeys(f"--view {of}={name}" for of, name in finders if name and (of, name) not in used)
    way_out = f"; {', '.join(options)} finds the face first" if options else ""
    ids = ", ".join(view.id for _, view in views)
    return finding("face-framing", clip_id, f"{what}; scaled whole by {ids}{way_out}")


def _as_lrs2(place: FacePlace) -> bool:
    """Whether size and mouth of the face are within the limits around LRS2's."""
    sized = all(1 / SHARE_FACTOR <= share / LRS2_SHARE <= SHARE_FACTOR for share in (place.height, place.width))
    off = max(abs(place.mouth_x - LRS2_MOUTH[0]), abs(place.mouth_y - LRS2_MOUTH[1]))
    return sized and off <= MOUTH_OFF


def _whole(observer: type[Observer], names: Sequence[str]) -> list[View]:
    """The views with these names that scale the whole frame."""
    views = [observer.recipe(name) for name in names]
    return [view for view in views if view is not None and view.scales_whole]

"""Whether the frames of a clip are as a view takes them to be.

One that cuts by pixels was made for frames of one size: of others it cuts another place. One that scales the whole
frame takes it for a face, framed as LRS2's videos are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tlbench.media.face_crop import MARGIN
from tlbench.media.scaling import Size, by
from tlbench.media.views import View
from tlbench.observing.face_checks import FOUND_MIN, MOUTH_DOWN, FacePlace
from tlbench.observing.observer import Needs, Observer
from tlbench.preflight.findings import Finding, finding

# Where a face is in an LRS2 frame: a square (2 + 2 MARGIN) / 2 times as wide as the face, that begins at its upper edge
# (tlbench.media.face_crop, what FrameFace makes).
LRS2_SHARE = 1 / (1 + MARGIN)
LRS2_MOUTH = (0.5, MOUTH_DOWN * LRS2_SHARE)
# How many times larger or smaller than there a face may be (larger ones run out of the frame), and how far off its
# mouth, as a share of the frame: the Conformer is shown the middle half, whose edge is 0.19 below LRS2's mouth.
# Measured with BlazeFace on 34 GRID clips (s1, s4, s10, s30; half of them for crops and faults) and 16 synthetic ones,
# least to greatest. Face of the frame's height, mouth from the top: GRID, framed 0.68 to 0.71, 0.56 to 0.57; that,
# blurred, as JPEG of quality 10 or with a grey lower half 0.62 to 0.71, 0.50 to 0.57; synthetic, framed 0.71 to 0.72,
# 0.56 to 0.57, as it is 0.77 to 0.82, 0.61 to 0.65. None of these is warned of. A square around the middle of the face,
# 1.6 to 1.8 times as wide 0.56 to 0.65, 0.65 to 0.69 (none), 1.4 times 0.68 to 0.72, 0.69 to 0.72 (3 of 17), 1.0 or
# 1.2 times 0.76 to 1.00, 0.72 to 0.80 (all), 2.2 times 0.44 to 0.49 (all); the whole 5:4 frames of GRID 0.45 to
# 0.64, 0.69 to 0.82, and 0.36 to 0.51 of the width (all 34). LRS2's and LRW's own videos could not be measured. LRW's
# mean face (eyes at y 94, mouth at 158 of 256: media.mouth_patch) would be about 0.65 high, as eyes and mouth of
# GRID's faces are 0.384 of the box apart, with its mouth at 0.62: it is not warned of.
SHARE_FACTOR = 1.3
MOUTH_OFF = 0.15
FACE_TOLD = frozenset({"no-face", "faces-missing", "reference-no-face"})  # these say already that faces are missing


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


def looks_at_whole_frames(observer: type[Observer], views: Sequence[str]) -> bool:
    """Whether one of these views scales the whole frame, so that the frame has to be a face."""
    return bool(_whole(observer, views))


def check_face_place(
    clip_id: str, shown: Sequence[tuple[type[Observer], Sequence[str]]], place: FacePlace, told: Collection[str]
) -> Finding | None:
    """``face-framing`` if whole frames are scaled that do not frame a face as LRS2's do; else None.

    Parameters
    ----------
    shown : sequence of (Observer class, names of views)
        The observers of the run that score the clip, and what they look through.
    place : FacePlace
        What the detector has seen of the generated video.
    told : collection of str
        Codes of what is said of the clip already.
    """
    views = [(observer, view) for observer, names in shown for view in _whole(observer, names)]
    if not views or place.looked < FOUND_MIN:
        return None
    if place.shown < FOUND_MIN:
        if FACE_TOLD & set(told):
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
    """Whether a face is about as large, and its mouth about where LRS2's is."""
    sized = all(1 / SHARE_FACTOR <= share / LRS2_SHARE <= SHARE_FACTOR for share in (place.height, place.width))
    off = max(abs(place.mouth_x - LRS2_MOUTH[0]), abs(place.mouth_y - LRS2_MOUTH[1]))
    return sized and off <= MOUTH_OFF


def _whole(observer: type[Observer], names: Sequence[str]) -> list[View]:
    """Those of an observer's views that scale the whole frame."""
    views = [observer.recipe(name) for name in names]
    return [view for view in views if view is not None and view.scales_whole]

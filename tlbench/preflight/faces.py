"""Findings about a video's faces: frames without a face, and frames with several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tlbench.media.faces import Boxes
from tlbench.preflight.findings import Finding, finding

VideoRole = Literal["reference", "generated"]
FACE_CODES = ("reference-no-face", "no-face", "faces-missing", "faces-filled", "several-faces", "boxes-unmarked")
ABSENT_SHARE = 0.1  # of the frames: more of them without a face are a warning


def check_faces(clip_id: str, boxes: Boxes, role: VideoRole) -> Iterator[Finding]:
    """Findings about the faces of one video of a clip.

    A frame in a short gap between found faces counts as showing the face (:mod:`tlbench.media.followed`).

    Parameters
    ----------
    boxes : Boxes
    role : "reference" or "generated"
        The video in which the boxes were found. A generated video with a face in less than half of its frames can't be
        scored by observers that need boxes. Frames without a face in the real video are the same for every system.
    """
    face = boxes.face
    count, absent = len(boxes), face.absent
    video = "the real video" if role == "reference" else "the generated video"
    said = f"{absent} of {count} frames of {video} show no face"
    if absent > ABSENT_SHARE * count:
        if role == "reference":
            yield finding("reference-no-face", clip_id, said)
        else:
            yield finding("no-face" if face.faceless else "faces-missing", clip_id, said)
    elif absent or face.filled:
        filled = f"{face.filled} more do between frames that do, and have boxes from these"
        yield finding("faces-filled", clip_id, f"{said}, {filled}")
    if face.several:
        yield finding("several-faces", clip_id, f"{face.several} of {count} frames of {video} show several faces")
    if boxes.source == "given" and boxes.followed is None:
        yield finding("boxes-unmarked", clip_id, f"all {count} frames count as showing a face")

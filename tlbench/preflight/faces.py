"""In how many frames a face was found, where one was looked for."""

from __future__ import annotations

from collections.abc import Iterator

from tlbench.media.faces import Boxes
from tlbench.preflight.findings import Finding, finding


def check_faces(clip_id: str, boxes: Boxes, *, in_reference: bool) -> Iterator[Finding]:
    """``reference-no-face`` or ``faces-missing``: in such frames the centre of the frame is looked at, as published.

    Parameters
    ----------
    boxes : Boxes
        As they were found. Boxes that came with the clip do not say where there is no face.
    in_reference : bool
        Whether the real video was searched, or the generated one.
    """
    if not boxes.missing:
        return
    code, whose = ("reference-no-face", "the real video") if in_reference else ("faces-missing", "the generated video")
    message = f"no face found in {boxes.missing} of {len(boxes)} frames of {whose}: their centre is looked at instead"
    yield finding(code, clip_id, message)

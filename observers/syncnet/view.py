"""What SyncNet sees: the whole frame at 224x224, BGR from 0 to 255, with or without the published JPEG dump; or a face.

Our own small networks see the lower half of an LRS2-framed face, grey and smaller.

``SyncNetInstance_calc_scores.py`` (Rudrabha/Wav2Lip, Sxjdwang/TalkLip) dumps the video as JPEG files, reads them with
cv2.imread and resizes to 224x224; no face is looked for, the data sets' videos are framed already.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.media.face_tracks import TrackRule
from tlbench.media.views import CropWindow, FrameFace, Grey, JpegDump, Normalise, Resize, ToBgr, View

LRS2_SIDE = 160  # pixels

PAPER = View("syncnet-whole-jpeg", 1, (JpegDump(), Resize(224, 224), ToBgr()))
SOUND = View("syncnet-whole", 1, (Resize(224, 224), ToBgr()))
# Mouth and chin of an LRS2-framed face, with room for the mouth of GRID's speakers (y about 90, once framed) and of the
# synthetic talkers (about 101) to move.
SMALL_SIDE = 56  # pixels
MEAN, STD = 0.45, 0.2  # of grey faces, about
SMALL = (CropWindow(38, 52, 122, 136), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_WHOLE = View("syncnet-small-whole", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("syncnet-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {"paper": PAPER, "sound": SOUND, "small-whole": SMALL_WHOLE, "small-face-framed": SMALL_FACE_FRAMED}
# Names of findings begin with one of these: a run looks as published, through one view of its own, or both.
PAPER_FINDINGS, OWN_FINDINGS = "paper", "sound"
COMMON_FINDINGS = "common"  # through the run's own view too, over the same speech at every shift


@dataclass(frozen=True)
class TrackView:
    """Faces followed through the video and cut out, for videos that are not framed on one face.

    The crop is that of the public SyncNet pipeline (joonson/syncnet_python, ``run_pipeline.py``). Found by the embedded
    detector, so that it needs no further checkpoint, and the id says so.
    """

    name: str
    id: str
    rule: TrackRule


# The pipeline asks for more than 100 faces of more than 100 pixels, made for television; 50 faces is LatentSync's rule,
# and 50 pixels lets in videos of 160x160. A different rule is a different number: raise the id's version with it.
FACE_TRACK = TrackView("face-track", "syncnet-track-blazeface@1", TrackRule(faces_min=50, face_px_min=50))


def shown(name: str) -> tuple[int, int]:
    """What one of SyncNet's views shows: pixels a side, and how many colours."""
    if name == FACE_TRACK.name:
        return FACE_TRACK.rule.crop_px, 3
    steps = VIEWS[name].steps
    side = next(step.height for step in steps if isinstance(step, Resize))
    return side, 1 if any(isinstance(step, Grey) for step in steps) else 3

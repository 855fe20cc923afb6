"""SyncNet's views: the whole frame at 224x224, BGR from 0 to 255, with or without the published JPEG dump; or a face.

``SyncNetInstance_calc_scores.py`` (Rudrabha/Wav2Lip, Sxjdwang/TalkLip) dumps the video as JPEG files, reads them with
cv2.imread and resizes to 224x224. It detects no face, because the data sets' videos are framed on one. Small networks
see a smaller grey picture of the lower half of an LRS2-framed face.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.media.face_tracks import TrackRule
from tlbench.media.views import CropWindow, FrameFace, Grey, JpegDump, Normalise, Resize, ToBgr, View

LRS2_SIDE = 160  # pixels

PAPER = View("syncnet-whole-jpeg", 4, (JpegDump(), Resize(224, 224), ToBgr()))
SOUND = View("syncnet-whole", 1, (Resize(224, 224), ToBgr()))
# Mouth and chin of an LRS2-framed face, with room for the mouths of GRID's speakers (centre at y = 90 after framing)
# and of the synthetic talkers (y = 101).
SMALL_SIDE = 56  # pixels
MEAN, STD = 0.45, 0.2  # of grey faces, approximately
SMALL = (CropWindow(38, 52, 122, 136), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_WHOLE = View("syncnet-small-whole", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("syncnet-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {"paper": PAPER, "sound": SOUND, "small-whole": SMALL_WHOLE, "small-face-framed": SMALL_FACE_FRAMED}
# Prefixes of the evidence: through the published view, and through the run's own view.
PAPER_PREFIX, OWN_PREFIX = "paper", "sound"
COMMON_PREFIX = "common"  # through the run's own view, over the same speech at every shift


@dataclass(frozen=True)
class TrackView:
    """Crops of tracked faces, for videos that are not framed on one face.

    The crop is that of the public SyncNet pipeline (joonson/syncnet_python, ``run_pipeline.py``). The embedded detector
    finds the faces, so that no further checkpoint is needed; the id states the detector.
    """

    name: str
    id: str
    rule: TrackRule


# The rule of the pipeline, but for the shortest track. All tracks of more than 50 faces are in the evidence, and a
# metric says whether it counts all (as LatentSync's evaluation and syncnet-python 0.2.3 do) or only those of more than
# 100, as the pipeline does. Tracks that are too short take their faces away too, so both find the same long ones.
# Another rule gives other numbers: raise the version in the id with it.
FACE_TRACK = TrackView("face-track", "syncnet-track-blazeface@2", TrackRule(faces_min=50))


def shown(name: str) -> tuple[int, int]:
    """The height and width in pixels and the number of colours of a view's pictures."""
    if name == FACE_TRACK.name:
        return FACE_TRACK.rule.crop_px, 3
    steps = VIEWS[name].steps
    side = next(step.height for step in steps if isinstance(step, Resize))
    return side, 1 if any(isinstance(step, Grey) for step in steps) else 3

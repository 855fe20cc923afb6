"""What SyncNet sees: the whole frame at 224x224, BGR from 0 to 255, with or without the published JPEG dump; or a face.

``SyncNetInstance_calc_scores.py`` (Rudrabha/Wav2Lip, Sxjdwang/TalkLip) dumps the video as JPEG files, reads them with
cv2.imread and resizes to 224x224; no face is looked for, the data sets' videos are framed already.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.media.tracks import TrackRule
from tlbench.media.views import JpegDump, Resize, ToBgr, View

PAPER = View("syncnet-whole-jpeg", 1, (JpegDump(), Resize(224, 224), ToBgr()))
SOUND = View("syncnet-whole", 1, (Resize(224, 224), ToBgr()))
VIEWS = {"paper": PAPER, "sound": SOUND}


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
FACE_TRACK = TrackView("face-track", "syncnet-track-haar@1", TrackRule(faces_min=50, face_px_min=50))

"""What SyncNet sees: the whole frame at 224x224, BGR from 0 to 255, with or without the published JPEG dump.

``SyncNetInstance_calc_scores.py`` (Rudrabha/Wav2Lip, Sxjdwang/TalkLip) dumps the video as JPEG files, reads them with
cv2.imread and resizes to 224x224; no face is looked for, the data sets' videos are framed already.
"""

from __future__ import annotations

from tlbench.media.views import JpegDump, Resize, ToBgr, View

PAPER = View("syncnet-whole-jpeg", 1, (JpegDump(), Resize(224, 224), ToBgr()))
SOUND = View("syncnet-whole", 1, (Resize(224, 224), ToBgr()))
VIEWS = {"paper": PAPER, "sound": SOUND}

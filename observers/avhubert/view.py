"""What AV-HuBERT sees: a grey 88x88 picture of the mouth.

Three ways to it. TalkLip's observers were fine-tuned on ``lrs2-center``, the raw middle of LRS2's 160x160 frames
(TalkLip ``utils/data_avhubert.py``); videos framed otherwise are framed like LRS2's first by ``face-framed``.
Upstream's checkpoints were trained on ``mouth-aligned``, mouths turned and scaled to a mean face (av_hubert
``avhubert/preparation``); patches that upstream's own script has cut are read through ``lrs2-center``.
"""

from __future__ import annotations

from tlbench.media.mouths import MEAN_FACE
from tlbench.media.views import AlignMouth, CenterCrop, FrameFace, Grey, Normalise, View

SIDE = 88  # pixels; image_crop_size
MEAN, STD = 0.421, 0.165  # image_mean, image_std of av_hubert's task, over LRS3's mouths
LRS2_SIDE = 160  # pixels

READ = (Grey("opencv"), CenterCrop(SIDE, SIDE), Normalise(MEAN, STD))
LRS2_CENTER = View("avhubert-lrs2-center", 1, READ)
FACE_FRAMED = View("avhubert-face-framed", 1, (FrameFace(LRS2_SIDE), *READ))
# The mean face is part of the id: another one moves and scales every mouth.
MOUTH_ALIGNED = View(f"avhubert-mouth-aligned-{MEAN_FACE}", 1, (AlignMouth(), *READ))
VIEWS = {"lrs2-center": LRS2_CENTER, "face-framed": FACE_FRAMED, "mouth-aligned": MOUTH_ALIGNED}

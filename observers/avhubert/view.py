"""What AV-HuBERT sees: a grey 88x88 picture of the mouth.

Three ways to it, and two to the smaller picture of our own small networks. TalkLip's observers were fine-tuned on
``lrs2-center``, the raw middle of LRS2's 160x160 frames (TalkLip ``utils/data_avhubert.py``); videos framed otherwise
are framed like LRS2's first by ``face-framed``.
Upstream's checkpoints were trained on ``mouth-aligned``, mouths turned and scaled to a mean face (av_hubert
``avhubert/preparation``); patches that upstream's own script has cut are read through ``lrs2-center``.
"""

from __future__ import annotations

from tlbench.media.mouth_patch import MEAN_FACE, PATCH_PX
from tlbench.media.views import AlignMouth, CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, View

SIDE = 88  # pixels; image_crop_size
MEAN, STD = 0.421, 0.165  # image_mean, image_std of av_hubert's task, over LRS3's mouths
LRS2_SIDE = 160  # pixels

READ = (Grey("opencv"), CenterCrop(SIDE, SIDE), Normalise(MEAN, STD))
# Frames as in LRS2, or the mouth patches that upstream's script writes.
LRS2_CENTER = View("avhubert-lrs2-center", 1, READ, ((LRS2_SIDE, LRS2_SIDE), (PATCH_PX, PATCH_PX)))
FACE_FRAMED = View("avhubert-face-framed", 1, (FrameFace(LRS2_SIDE), *READ))
# The mean face is part of the id: another one moves and scales every mouth.
MOUTH_ALIGNED = View(f"avhubert-mouth-aligned-{MEAN_FACE}", 1, (AlignMouth(), *READ))
# Of our own small networks: the mouth of an LRS2-framed face, 48x48. The window is where the mouths of GRID's speakers
# (y about 90, once framed) and of the synthetic talkers (about 101) have room to move.
SMALL_SIDE = 48  # pixels
SMALL = (CropWindow(48, 60, 112, 124), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_MOUTH = View("avhubert-small-mouth", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("avhubert-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {
    "lrs2-center": LRS2_CENTER,
    "face-framed": FACE_FRAMED,
    "mouth-aligned": MOUTH_ALIGNED,
    "small-mouth": SMALL_MOUTH,
    "small-face-framed": SMALL_FACE_FRAMED,
}

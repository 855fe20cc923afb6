"""AV-HuBERT's views: grey 88x88 crops of the mouth.

TalkLip's observers were fine-tuned on ``lrs2-center``, the middle of LRS2's 160x160 frames (TalkLip
``utils/data_avhubert.py``). ``face-framed`` frames other videos like LRS2's first. Upstream's checkpoints were trained
on ``mouth-aligned-20words``: mouths rotated and scaled to a mean face (av_hubert ``avhubert/preparation``);
``mouth-aligned`` is the same with a mean face of our own, from before the original's was bundled. Use ``lrs2-center``
for patches that upstream's script has cut. Networks trained with tlbench see a smaller crop of the mouth.
"""

from __future__ import annotations

from tlbench.media.alignments import AVHUBERT_20WORDS
from tlbench.media.mouth_patch import MEAN_FACE, PATCH_PX
from tlbench.media.views import AlignMouth, CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, View

SIDE = 88  # pixels; image_crop_size
MEAN, STD = 0.421, 0.165  # image_mean, image_std of av_hubert's task, over LRS3's mouths
LRS2_SIDE = 160  # pixels

READ = (Grey("opencv"), CenterCrop(SIDE, SIDE), Normalise(MEAN, STD))
# LRS2's frames, or the mouth patches of upstream's script.
LRS2_CENTER = View("avhubert-lrs2-center", 1, READ, ((LRS2_SIDE, LRS2_SIDE), (PATCH_PX, PATCH_PX)))
FACE_FRAMED = View("avhubert-face-framed", 1, (FrameFace(LRS2_SIDE), *READ))
# The id states the mean face, because another one would move and scale every mouth.
MOUTH_ALIGNED = View(f"avhubert-mouth-aligned-{MEAN_FACE}", 1, (AlignMouth(), *READ))
MOUTH_ALIGNED_20WORDS = View("avhubert-mouth-aligned-20words", 1, (AlignMouth(AVHUBERT_20WORDS), *READ))
# For small networks: the mouth of an LRS2-framed face, 48x48. The window has room for the mouths of GRID's speakers
# (centre at y = 90 after framing) and of the synthetic talkers (y = 101).
SMALL_SIDE = 48  # pixels
SMALL = (CropWindow(48, 60, 112, 124), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_MOUTH = View("avhubert-small-mouth", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("avhubert-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {
    "lrs2-center": LRS2_CENTER,
    "face-framed": FACE_FRAMED,
    "mouth-aligned": MOUTH_ALIGNED,
    "mouth-aligned-20words": MOUTH_ALIGNED_20WORDS,
    "small-mouth": SMALL_MOUTH,
    "small-face-framed": SMALL_FACE_FRAMED,
}

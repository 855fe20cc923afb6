"""What the Conformer sees: the middle of the whole frame, grey, 112x112.

``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip at 7ed53ee): grey at the frame's own size, then 224x224, then the
middle; rounded to uint8 at both steps. No face is looked for: LRS2's 160x160 frames are framed on one. Other videos are
framed like them first, by ``face-framed``. Our own small networks see a smaller picture of the mouth alone.
"""

from __future__ import annotations

from tlbench.media.views import CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, View

MEAN, STD = 0.4161, 0.1688  # of LRS2's crops; video_mean and video_std of the original
LRS2_SIDE = 160  # pixels

CROP = (Grey("opencv"), Resize(224, 224), CenterCrop(112, 112))
WHOLE = View("conformer-lrs2-112", 1, (*CROP, Normalise(MEAN, STD)))
FACE_FRAMED = View("conformer-face-framed", 1, (FrameFace(LRS2_SIDE), *WHOLE.steps))
# The mouth of an LRS2-framed face. The window is where the mouths of GRID's speakers (y about 90, once framed) and of
# the synthetic talkers (about 101) have room to move.
SMALL_SIDE = 48  # pixels
SMALL = (CropWindow(48, 60, 112, 124), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_MOUTH = View("conformer-small-mouth", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("conformer-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {
    "lrs2-112": WHOLE,
    "face-framed": FACE_FRAMED,
    "small-mouth": SMALL_MOUTH,
    "small-face-framed": SMALL_FACE_FRAMED,
}

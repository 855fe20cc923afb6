"""The Conformer's views: a grey 112x112 crop of the middle of the frame.

``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip at 7ed53ee) converts to grey, resizes to 224x224 and cuts out the
middle, rounding to uint8 twice. It detects no face, because LRS2's 160x160 frames are framed on one. ``face-framed``
frames other videos in the same way first. Networks trained with tlbench see a smaller crop of the mouth.
"""

from __future__ import annotations

from tlbench.media.views import CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, View

MEAN, STD = 0.4161, 0.1688  # of LRS2's crops; video_mean and video_std of the original
LRS2_SIDE = 160  # pixels

CROP = (Grey("opencv"), Resize(224, 224), CenterCrop(112, 112))
WHOLE = View("conformer-lrs2-112", 1, (*CROP, Normalise(MEAN, STD)))
FACE_FRAMED = View("conformer-face-framed", 1, (FrameFace(LRS2_SIDE), *WHOLE.steps))
# The mouth of an LRS2-framed face. The window has room for the mouths of GRID's speakers (centre at y = 90 after
# framing) and of the synthetic talkers (y = 101).
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

"""What the Conformer sees: the middle of the whole frame, grey, 112x112.

``evaluation/teacher_force_wer.py`` (Sxjdwang/TalkLip at 7ed53ee): grey at the frame's own size, then 224x224, then the
middle; rounded to uint8 at both steps. No face is looked for: LRS2's 160x160 frames are framed on one. Other videos are
framed like them first, by ``face-framed``.
"""

from __future__ import annotations

from tlbench.media.views import CenterCrop, FrameFace, Grey, Normalise, Resize, View

MEAN, STD = 0.4161, 0.1688  # of LRS2's crops; video_mean and video_std of the original
LRS2_SIDE = 160  # pixels

CROP = (Grey("opencv"), Resize(224, 224), CenterCrop(112, 112))
WHOLE = View("conformer-lrs2-112", 1, (*CROP, Normalise(MEAN, STD)))
FACE_FRAMED = View("conformer-face-framed", 1, (FrameFace(LRS2_SIDE), *WHOLE.steps))
VIEWS = {"lrs2-112": WHOLE, "face-framed": FACE_FRAMED}

"""auto_avsr's views: grey 88x88 crops of the mouth; networks trained with tlbench see a smaller one.

``datamodule/transforms.py`` of mpc001/auto_avsr at 182b628 takes the middle of 96x96 patches and normalises their grey
values. The patches are aligned to a mean face by 68 landmarks (``retinaface``, as for its published numbers and for
KeySync's LipScore) or by eyes, nose tip and mouth centre (``mediapipe``; here those of the embedded detector), see
:mod:`tlbench.media.robust_patch`. Use ``patches`` for videos that the original's script has cut.
"""

from __future__ import annotations

from tlbench.media.alignments import AUTOAVSR_MEDIAPIPE, AUTOAVSR_RETINAFACE
from tlbench.media.mouth_patch import PATCH_PX
from tlbench.media.views import (
    AlignMouth,
    CenterCrop,
    CropWindow,
    FrameFace,
    Grey,
    Normalise,
    NormaliseColour,
    Resize,
    View,
)

MEAN, STD = 0.421, 0.165  # of VideoTransform
SIDE = 88  # pixels
LRS2_SIDE = 160  # pixels

READ = (CenterCrop(SIDE, SIDE), NormaliseColour(MEAN, STD))
PATCHES = View("autoavsr-patches", 1, READ, ((PATCH_PX, PATCH_PX),))
RETINAFACE = View("autoavsr-retinaface", 1, (AlignMouth(AUTOAVSR_RETINAFACE), *READ))
MEDIAPIPE = View("autoavsr-mediapipe", 1, (AlignMouth(AUTOAVSR_MEDIAPIPE), *READ))
# The mouth of an LRS2-framed face. The window has room for the mouths of GRID's speakers (centre at y = 90 after
# framing) and of the synthetic talkers (y = 101).
SMALL_SIDE = 48  # pixels
SMALL = (CropWindow(48, 60, 112, 124), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_MOUTH = View("autoavsr-small-mouth", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("autoavsr-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {
    "patches": PATCHES,
    "retinaface": RETINAFACE,
    "mediapipe": MEDIAPIPE,
    "small-mouth": SMALL_MOUTH,
    "small-face-framed": SMALL_FACE_FRAMED,
}

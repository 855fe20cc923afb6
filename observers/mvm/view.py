"""What MVM sees: 29 grey pictures of the mouth, 112x112.

``src/data/vid_aud_lrw.py`` (ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49) cuts a fixed window, 20 pixels wider on
every side than the usual 96x96 one, from LRW's 256x256 frames: around the mouth there, and mostly black of a smaller
frame. Grey comes after shrinking. No face is looked for.

Videos framed otherwise need ``face-framed``, a rule of our own. The public pipeline's framing puts the mouth in the
middle of the picture, where LRW's frames have the nose and the published window reaches further down; so here the
middle itself is cut out, as large as that window. How large a face stands in LRW's frames could not be measured here:
224 pixels a side, with a face box of 160, is an estimate.

Our own small networks see a smaller picture of the mouth alone, cut out of an LRS2-framed face.
"""

from __future__ import annotations

from tlbench.media.views import CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, ResizeAntialiased, View

MEAN, STD = 0.4136, 0.1700  # vid_aud_lrw.py: transforms.Normalize
WINDOW = CropWindow(59, 95, 195, 231)  # vid_aud_lrw.py: build_tensor, without augmentation
FRAMED_SIDE = 224  # pixels; 2.8 times half a face box, so 160 of box (media/framing.py)

READ = (ResizeAntialiased(112, 112), Grey("pillow"), Normalise(MEAN, STD))
LRW_SIDE = 256  # pixels of a frame
LRW = View("mvm-lrw", 1, (WINDOW, *READ), ((LRW_SIDE, LRW_SIDE),))
FACE_FRAMED = View("mvm-face-framed", 1, (FrameFace(FRAMED_SIDE), CenterCrop(136, 136), *READ))
# The window is where the mouths of GRID's speakers (y about 90, once framed) and of the synthetic talkers (about 101)
# have room to move.
LRS2_SIDE = 160  # pixels of a frame
SMALL_SIDE = 48  # pixels
SMALL = (CropWindow(48, 60, 112, 124), Grey("opencv"), Resize(SMALL_SIDE, SMALL_SIDE), Normalise(MEAN, STD))
SMALL_MOUTH = View("mvm-small-mouth", 1, SMALL, ((LRS2_SIDE, LRS2_SIDE),))
SMALL_FACE_FRAMED = View("mvm-small-face-framed", 1, (FrameFace(LRS2_SIDE), *SMALL))
VIEWS = {
    "lrw": LRW,
    "face-framed": FACE_FRAMED,
    "small-mouth": SMALL_MOUTH,
    "small-face-framed": SMALL_FACE_FRAMED,
}

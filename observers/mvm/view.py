"""What MVM sees: 29 grey pictures of the mouth, 112x112.

``src/data/vid_aud_lrw.py`` (ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49) cuts a fixed window, 20 pixels wider on
every side than the usual 96x96 one, from LRW's 256x256 frames: around the mouth there, and mostly black of a smaller
frame. Grey comes after shrinking. No face is looked for.

Videos framed otherwise need ``face-framed``, a rule of our own. The public pipeline's framing puts the mouth in the
middle of the picture, where LRW's frames have the nose and the published window reaches further down; so here the
middle itself is cut out, as large as that window. How large a face stands in LRW's frames could not be measured here:
224 pixels a side, with a face box of 160, is an estimate.
"""

from __future__ import annotations

from tlbench.media.views import CenterCrop, CropWindow, FrameFace, Grey, Normalise, ResizeAntialiased, View

MEAN, STD = 0.4136, 0.1700  # vid_aud_lrw.py: transforms.Normalize
WINDOW = CropWindow(59, 95, 195, 231)  # vid_aud_lrw.py: build_tensor, without augmentation
FRAMED_SIDE = 224  # pixels; 2.8 times half a face box, so 160 of box (media/framing.py)

READ = (ResizeAntialiased(112, 112), Grey("pillow"), Normalise(MEAN, STD))
LRW = View("mvm-lrw", 1, (WINDOW, *READ))
FACE_FRAMED = View("mvm-face-framed", 1, (FrameFace(FRAMED_SIDE), CenterCrop(136, 136), *READ))
VIEWS = {"lrw": LRW, "face-framed": FACE_FRAMED}

"""MVM's views: grey 112x112 crops of the mouth.

``src/data/vid_aud_lrw.py`` (ms-dot-k/Multi-head-Visual-Audio-Memory at a902f49) cuts a fixed window from LRW's 256x256
frames, 20 pixels wider on every side than the usual 96x96 window around the mouth; in a smaller frame most of it is
black. It resizes before it converts to grey, and detects no face.

Videos with another framing need ``face-framed``, a rule of tlbench's own. Framing by the face box, as in LRS2's
pipeline, puts the mouth in the middle of the picture; LRW has the nose there, and the published window is further down.
So ``face-framed`` cuts out the middle, with the size of that window. The size of the face in LRW's frames could not be
measured without LRW: 224 pixels, with a face box of 160 pixels, is an estimate.

Networks trained with tlbench see a smaller crop of the mouth from an LRS2-framed face.
"""

from __future__ import annotations

from tlbench.media.views import CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, ResizeAntialiased, View

MEAN, STD = 0.4136, 0.1700  # vid_aud_lrw.py: transforms.Normalize
WINDOW = CropWindow(59, 95, 195, 231)  # vid_aud_lrw.py: build_tensor, without augmentation
FRAMED_SIDE = 224  # pixels; 2.8 times half a face box of 160 pixels (media/face_crop.py)

READ = (ResizeAntialiased(112, 112), Grey("pillow"), Normalise(MEAN, STD))
LRW_SIDE = 256  # pixels of a frame
LRW = View("mvm-lrw", 1, (WINDOW, *READ), ((LRW_SIDE, LRW_SIDE),))
FACE_FRAMED = View("mvm-face-framed", 1, (FrameFace(FRAMED_SIDE), CenterCrop(136, 136), *READ))
# The window has room for the mouths of GRID's speakers (centre at y = 90 after framing) and of the synthetic talkers
# (y = 101).
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

"""The crops that columns about pictures are measured on. Each is a view, so that its id is part of the number.

`FACE_BOX`
    The face box alone, stretched to a square. LatentSync (``eval/eval_fvd.py``) measures on boxes of MediaPipe's
    detector, stretched to 224x224; TalkLip (``evaluation/visual_quality.py``) on boxes at 96x96.
`FACE_256`
    A square around the face with a tenth of it as margin: how VoxCeleb's videos are cropped to 256x256 for generators
    (AliaksandrSiarohin/video-preprocessing, ``crop_vox.py``: ``image_shape`` 256, ``increase`` 0.1), among them
    SadTalker's. There one square holds all boxes of a piece of video; here the boxes are smoothed over 13 frames.
`WHOLE_FRAME`
    The decoded frame. Hallo2's authors name pytorch-fid and DisCo's FVD, which read whole frames; THEval
    (``Video_Quality/face_quality.py``) gives whole frames to its networks as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from tlbench.media.views import CropBox, CutSquare, ResizeAntialiased, View

SIDE = 256  # pixels
MARGIN = 0.1  # of the face's longer side, on each side

FACE_BOX = View("face-box", 1, (CropBox("face"), ResizeAntialiased(SIDE, SIDE)))
FACE_256 = View("face-256", 1, (CutSquare(MARGIN), ResizeAntialiased(SIDE, SIDE)))
WHOLE_FRAME = View("whole-frame", 1, ())

CROPS: Mapping[str, View] = {view.name: view for view in (FACE_BOX, FACE_256, WHOLE_FRAME)}
CROP_IDS: dict[str, str] = {name: view.id for name, view in CROPS.items()}  # as `Observer.views`

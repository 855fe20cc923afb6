"""The mean face of mpc001/auto_avsr, which its preparation and AV-HuBERT's align mouths to."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import numpy as np

MEAN_FACE_PX = 256  # height and width of the picture that it is in
FILE = "20words_mean_face.npy"  # preparation/detectors/retinaface of mpc001/auto_avsr at 182b628, Apache-2.0


@cache
def mean_face() -> np.ndarray:
    """(68, 2) float64 x y in a 256x256 picture, in the order of iBUG 300-W. Not writable."""
    with as_file(files("tlbench.media") / "bundled" / "auto_avsr" / FILE) as path:
        face: np.ndarray = np.load(path, allow_pickle=False)
    face.setflags(write=False)
    return face

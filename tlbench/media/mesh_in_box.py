"""The face mesh of one frame, placed by a face box alone: no detector, and no frame before it."""

from __future__ import annotations

import numpy as np

from tlbench.media.blazeface import square_of
from tlbench.media.face_mesh import FaceMesh, Mesh

# Of the square's side from its left and upper edge: where BlazeFace puts the eyes of a level face. They only start the
# mesh, which is placed a second time by the eyes that it found itself.
EYE_ACROSS, EYE_DOWN = 0.3, 0.25


def mesh_in_box(mesh: FaceMesh, frame: np.ndarray, box: np.ndarray) -> Mesh | None:
    """Two looks of the mesh, the second placed by what the first found; None if it sees no face.

    Parameters
    ----------
    frame : (H, W, 3) uint8 RGB
    box : (4,)
        The face box x1 y1 x2 y2, in pixels of the frame.
    """
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = (float(edge) for edge in box)
    if x2 <= x1 or y2 <= y1 or x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return None  # no part of the frame
    square = square_of(box)
    side = square[2] - square[0]
    right_eye = square[:2] + side * np.array([EYE_ACROSS, EYE_DOWN])
    left_eye = square[:2] + side * np.array([1 - EYE_ACROSS, EYE_DOWN])
    first = mesh.find(frame, square, right_eye, left_eye)
    if not first.is_face:
        return None
    found = mesh.follow(frame, first)
    return found if found.is_face else None

"""How far a mouth is open in one frame: the gap of the inner lips over the width of the mouth, by the face mesh."""

from __future__ import annotations

import numpy as np

from tlbench.media.face_mesh import FaceMesh, lip_gap
from tlbench.media.mesh_in_box import mesh_in_box


class MouthOpening:
    """Measures frames one by one, each by itself."""

    def __init__(self) -> None:
        self._mesh = FaceMesh()

    def __call__(self, frame: np.ndarray, box: np.ndarray) -> float | None:
        """The gap of the inner lips over the width of the mouth; None if the mesh sees no face.

        Parameters
        ----------
        frame : (H, W, 3) uint8 RGB
        box : (4,) int64
            The face box x1 y1 x2 y2, in pixels of the frame.
        """
        mesh = mesh_in_box(self._mesh, frame, box)
        return None if mesh is None else lip_gap(mesh.points)

"""Pictures to ArcFace's embeddings: faces aligned by the embedded mesh, always as many of them in a pass."""

from __future__ import annotations

import numpy as np
import torch

from tlbench.media.blazeface import BlazeFaceDetector, framed
from tlbench.media.face_mesh import FaceMesh
from tlbench.media.mesh_in_box import mesh_in_box
from tlbench.observing.fixed_passes import FixedPasses

from ..face_embedding import FaceEmbedding
from .aligned_face import aligned_face, five_points
from .model import ArcFaceNetwork, as_network_input

FACES_A_PASS = 4  # the products' last digits depend on it


class ArcFaceEmbedding(FaceEmbedding):
    """Embeds the face in the box of each picture."""

    def __init__(self, network: ArcFaceNetwork, device: str) -> None:
        self.dimensions = network.dims.features
        self._mesh = FaceMesh()
        self._device = torch.device(device)
        self._network = FixedPasses(network, FACES_A_PASS, self.dimensions, self._device, torch.channels_last)

    def __call__(self, pictures: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        faces = [self._aligned(picture, box) for picture, box in zip(pictures, boxes, strict=True)]
        found = np.array([face is not None for face in faces], dtype=bool)
        return found, self.of_aligned([face for face in faces if face is not None])

    def of_whole_picture(self, picture: np.ndarray) -> np.ndarray | None:
        face = BlazeFaceDetector().find(picture)
        aligned = None if face is None else self._aligned(picture, framed(face.square, picture.shape))
        return None if aligned is None else self.of_aligned([aligned])[0]

    @torch.inference_mode()
    def of_aligned(self, faces: list[np.ndarray]) -> np.ndarray:
        """The embeddings (n, features) float32 of aligned faces, (112, 112, 3) uint8 RGB each."""
        if not faces:
            return self.empty()
        return self._network(as_network_input(torch.from_numpy(np.stack(faces)).to(self._device)))

    def _aligned(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        mesh = mesh_in_box(self._mesh, picture, box)
        return None if mesh is None else aligned_face(picture, five_points(mesh.points))

"""What both observers of likeness ask of a network: pictures to face embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class FaceEmbedding(ABC):
    """Embeds the face of each picture.

    Attributes
    ----------
    dimensions : int
        Of an embedding.
    """

    dimensions: int

    @abstractmethod
    def __call__(self, pictures: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which pictures a face is found, and the embeddings of those faces.

        Parameters
        ----------
        pictures : (n, H, W, 3) uint8 RGB
        boxes : (n, 4) float64
            The face boxes x1 y1 x2 y2, in pixels of the pictures.

        Returns
        -------
        found : (n,) bool
        embeddings : (faces, dimensions) float32
            Not normalised.
        """

    @abstractmethod
    def of_whole_picture(self, picture: np.ndarray) -> np.ndarray | None:
        """The embedding (dimensions,) of the best face in a picture whose boxes are not known; None without a face.

        ``picture`` is (H, W, 3) uint8 RGB.
        """

    def empty(self) -> np.ndarray:
        """(0, dimensions) float32: the embeddings of no faces."""
        return np.empty((0, self.dimensions), np.float32)

"""Pictures to face embeddings: dlib's aligned faces, and dlib's network by torch, always with as many faces a pass."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from tlbench.observing.fixed_passes import FixedPasses

from .chips import FaceChips
from .likeness import DIMENSIONS
from .model import FaceNetwork, as_network_input, network_of
from .network_file import published_layers

FACES_A_PASS = 4  # a quarter faster than one; the products' last digits depend on it


class FaceEmbedding:
    """Embeds the best face of each picture.

    Raises TlbenchError if dlib or a model is not installed, or a model is not the published one. ``of_crop``: the
    pictures are crops of a face.
    """

    def __init__(self, device: str, *, of_crop: bool) -> None:
        self._cut = FaceChips(of_crop=of_crop)
        self._device = torch.device(device)
        self._network = FixedPasses(_network(), FACES_A_PASS, DIMENSIONS, self._device, torch.channels_last)

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which pictures a face is found, and the embeddings of those faces.

        Parameters
        ----------
        pictures : (n, H, W, 3) uint8 RGB

        Returns
        -------
        found : (n,) bool
        embeddings : (faces, 128) float32
            Not normalised.
        """
        chips = [self._cut(picture) for picture in pictures]
        found = np.array([chip is not None for chip in chips], dtype=bool)
        if not found.any():
            return found, self._network.empty()
        faces = torch.from_numpy(np.stack([chip for chip in chips if chip is not None])).to(self._device)
        return found, self._network(as_network_input(faces))


@cache  # 22 MB, which two embeddings share
def _network() -> FaceNetwork:
    return network_of(published_layers())

"""Pictures to face embeddings: dlib's aligned faces, and dlib's network by torch, always with as many faces a pass."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from tlbench.observing.fixed_passes import FixedPasses
from tlbench.observing.pack_layers import pack_layers

from .chips import FaceChips
from .face_embedding import FaceEmbedding
from .likeness import DIMENSIONS
from .model import FaceNetwork, as_network_input, network_of
from .network_file import published_layers

FACES_A_PASS = 16  # the last digits of a product depend on it


def passes_of(network: FaceNetwork, device: torch.device, *, packed: bool) -> FixedPasses:
    """The network in passes on a device; ``packed``: its layers are packed in place, on a CPU."""
    if packed:
        pack_layers(network)
    return FixedPasses(network, FACES_A_PASS, DIMENSIONS, device, torch.channels_last)


class DlibEmbedding(FaceEmbedding):
    """Embeds the face that dlib's detector likes best in each picture; the boxes are not used.

    Raises TlbenchError if dlib or a model is not installed, or a model is not the published one. ``of_crop``: the
    pictures are crops of a face. ``packed``: multiply with packed weights.
    """

    dimensions = DIMENSIONS

    def __init__(self, device: str, *, of_crop: bool, packed: bool = False) -> None:
        self._cut = FaceChips(of_crop=of_crop)
        self._cut_of_whole = FaceChips(of_crop=False)
        self._device = torch.device(device)
        self._network = _passes(self._device, packed=packed)

    def __call__(self, pictures: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chips = [self._cut(picture) for picture in pictures]
        found = np.array([chip is not None for chip in chips], dtype=bool)
        return found, self._embedded([chip for chip in chips if chip is not None])

    def of_whole_picture(self, picture: np.ndarray) -> np.ndarray | None:
        chip = self._cut_of_whole(picture)
        return None if chip is None else self._embedded([chip])[0]

    @torch.inference_mode()
    def _embedded(self, chips: list[np.ndarray]) -> np.ndarray:
        """The embeddings (n, 128) of aligned faces."""
        if not chips:
            return self.empty()
        return self._network(as_network_input(torch.from_numpy(np.stack(chips)).to(self._device)))


@cache  # 22 MB
def _passes(device: torch.device, *, packed: bool) -> FixedPasses:
    return passes_of(network_of(published_layers()), device, packed=packed)

"""The parameters of dlib's face network from its published file, which comes in a wheel of the extra ``landmarks``.

davisking/dlib-models has it in the public domain (CC0). dlib writes the layers one after the other, from the picture to
the output, each with its name and what it has learned: an integer as its number of bytes and the bytes, a text as its
length and its letters, a tensor as a version, four sizes, and its numbers in float32 (``dlib/dnn/layers_abstract.h``,
``dlib/cuda/tensor.h``). So the tensors can be read without dlib's network, which takes many times as long.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tlbench.media.dlib_models import published_model

NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
NETWORK_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
TENSOR_VERSION = 2
_LAYERS = re.compile(rb"\x01(?:\x05con_4|\x07affine_|\x04fc_2)")  # convolution, scale and shift, fully connected
_SIZES_BEFORE_TENSOR = {b"fc_2": 2}  # outputs and inputs


def published_layers() -> list[np.ndarray]:
    """The parameters of each layer that has any, (n,) float32, in the order of the network.

    Raises TlbenchError if the file is not installed, or is not the published one.
    """
    return read_layers(published_model(NETWORK, NETWORK_SHA256, "faces are recognised by models which"))


def read_layers(path: Path) -> list[np.ndarray]:
    """The parameters of each layer of a file of dlib's. Raises ValueError if a tensor is of another version."""
    data = path.read_bytes()
    layers: list[np.ndarray] = []
    end = 0
    while (found := _LAYERS.search(data, end)) is not None:  # from the end of a tensor: its numbers are not searched
        place = found.end()
        for _ in range(_SIZES_BEFORE_TENSOR.get(found.group()[2:], 0)):
            _, place = _integer(data, place)
        tensor, end = _tensor(data, place)
        layers.append(tensor)
    return layers


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """The integer at a place, and the place behind it. None of these is below 0."""
    start = place + 1
    end = start + data[place]
    return int.from_bytes(data[start:end], "little"), end


def _tensor(data: bytes, place: int) -> tuple[np.ndarray, int]:
    version, place = _integer(data, place)
    if version != TENSOR_VERSION:
        raise ValueError(f"a tensor of version {version}, known is {TENSOR_VERSION}")
    count = 1
    for _ in range(4):
        size, place = _integer(data, place)
        count *= size
    numbers = np.frombuffer(data, "<f4", count, place)
    return numbers, place + numbers.nbytes

"""Faceformer as a generator (:mod:`tlbench.generation.generator`): each frame depends on those before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tlbench.checkpoints.package import Package, open_package
from tlbench.errors import TlbenchError
from tlbench.generation.generator import FaceClip, FaceGenerator, GenerateOptions, GeneratorNeeds
from tlbench.observing.device import choose_device
from tlbench.observing.precision import exact_products
from tlbench.talklip.batches import generator_input
from tlbench.talklip.checkpoint import read_published
from tlbench.talklip.faceformer import Faceformer, Motion
from tlbench.talklip.faceformer_step import NAME
from tlbench.talklip.faceformer_training import faceformer_of


class FaceformerGenerator(FaceGenerator):
    """Faceformer. Frames without a face are left out of the sequence, which goes on after them."""

    name = NAME
    has_weights = True
    autoregressive: ClassVar[bool] = True

    def __init__(self, path: Path, package: Package, network: Faceformer, options: GenerateOptions) -> None:
        self.device = torch.device(choose_device(options.device, networks=True))
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.checkpoint = path
        self._package, self._options = package, options

    @classmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> FaceformerGenerator:
        """Load a package. Raises TlbenchError if it is damaged or another generator's, or asked for half precision."""
        assert weights is not None  # has_weights
        package = open_package(weights, read_published)
        if options.precision != "fp32":
            raise TlbenchError(f"--precision {options.precision}: Faceformer computes in float32 only; leave it out")
        return cls(weights, package, faceformer_of(package, weights), options)

    @property
    def needs(self) -> GeneratorNeeds:
        """Samples, as the audio encoder is part of an observer that computes features of its own."""
        return GeneratorNeeds("samples")

    def start_clip(self, sound: np.ndarray | None, frames: int) -> FaceClip:
        """Encode the speech of a clip; its features are cut or padded at the end, as in training."""
        assert sound is not None  # its needs
        features = self.network.audio_encoder.features(sound, frames)  # (T, F)
        audio = torch.from_numpy(np.ascontiguousarray(features.T))[None].to(self.device)
        with torch.inference_mode(), exact_products(self.device):
            speech = self.network.speech(audio, torch.zeros(1, frames, dtype=torch.bool, device=self.device))[0]
        return _FaceformerClip(self.network, self.device, speech)

    def log_entry(self) -> dict[str, Any]:
        """The checkpoint by its hash and settings, and the options."""
        return super().log_entry() | {
            "checkpoint": {"sha256": self._package.source_sha256, "config": dict(self._package.config)},
            "identity": self._options.identity,
            "pose": "lower half black",
        }

    def libraries(self) -> dict[str, str]:
        """The version of torch."""
        return {"torch": str(torch.__version__)}


class _FaceformerClip(FaceClip):
    """A clip with its encoded speech and the frames generated so far."""

    def __init__(self, network: Faceformer, device: torch.device, speech: Tensor) -> None:
        self._network = network
        self._device = device
        self._speech = speech  # (T, C)
        self._so_far = Motion()

    def generate(self, numbers: np.ndarray, poses: np.ndarray, identity: np.ndarray | None) -> np.ndarray:
        """Generate the next faces; the network's colours are BGR."""
        assert identity is not None  # its needs
        others = np.broadcast_to(identity[..., ::-1], poses.shape)
        faces = generator_input(poses[..., ::-1], others).to(self._device)
        with torch.inference_mode(), exact_products(self._device):
            skips = self._network.encode_faces(faces)
            styles = skips[-1].flatten(1)
            motion = [
                self._network.next_motion(self._so_far, self._speech[number][None], style[None], int(number))
                for number, style in zip(numbers, styles, strict=True)
            ]
            generated = self._network.decode(torch.cat(motion), skips) * 255
        return np.ascontiguousarray(generated.permute(0, 2, 3, 1).cpu().numpy()[..., ::-1])

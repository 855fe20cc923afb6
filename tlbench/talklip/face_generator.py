"""TalkLip and Wav2Lip as generators (:mod:`tlbench.generation.generator`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlbench.checkpoints.package import WEIGHTS_NAME, Package
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256
from tlbench.generation.generator import FaceClip, FaceGenerator, GenerateOptions, GeneratorNeeds
from tlbench.observing.device import choose_device
from tlbench.observing.observer import HALF_NAME
from tlbench.talklip.checkpoint import generator_of, open_generator
from tlbench.talklip.generator import TalkLip
from tlbench.talklip.inference import TalkLipInference


class TalkLipGenerator(FaceGenerator):
    """TalkLip's networks, with a local audio encoder (which is Wav2Lip's network) or a global one.

    A local encoder is given mel windows. A global one is part of an observer, which computes features of its own.
    """

    name = "talklip"
    has_weights = True

    def __init__(self, path: Path, package: Package, network: TalkLip, options: GenerateOptions) -> None:
        device = torch.device(choose_device(options.device, networks=True))
        self.inference = TalkLipInference(network, device, half=options.precision == "bf16")
        self.run_frames = self.inference.run_frames
        self.clips_at_once = 4 if device.type == "cuda" else 1
        self._needs = (
            GeneratorNeeds("mel-windows", network.dims.ahead_frames)
            if network.dims.audio == "local"
            else GeneratorNeeds("samples")
        )
        self.checkpoint = path
        self._package, self._options = package, options

    @classmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> TalkLipGenerator:
        """Load a generator. Raises TlbenchError as :func:`tlbench.talklip.checkpoint.load_generator`."""
        assert weights is not None  # has_weights
        package = open_generator(weights)
        return cls(weights, package, generator_of(package, weights), options)

    @property
    def needs(self) -> GeneratorNeeds:
        """Mel windows for a local audio encoder, samples for a global one."""
        return self._needs

    def start_clip(self, sound: np.ndarray | None, frames: int) -> FaceClip:
        """Encode the speech of a clip."""
        assert sound is not None  # its needs
        if self.needs.sound == "mel-windows":
            return _TalkLipClip(self.inference, torch.from_numpy(sound))
        return _TalkLipClip(self.inference, self.inference.encode_audio(sound, frames, self._options.trim))

    def log_entry(self) -> dict[str, Any]:
        """The checkpoint by its hash and settings, and the options.

        Without the generator's name, so that folders are continued that were started before generators had names.
        """
        assert self.checkpoint is not None
        weights = self.checkpoint / WEIGHTS_NAME if self.checkpoint.is_dir() else self.checkpoint
        sha256 = self._package.source_sha256 or file_sha256(weights)
        return {
            "checkpoint": {"sha256": sha256, "config": dict(self._package.config)},
            "identity": self._options.identity,
            "pose": "lower half black",
            "trim": self._options.trim,
        } | ({"numbers": HALF_NAME} if self._options.precision == "bf16" else {})

    def libraries(self) -> dict[str, str]:
        """The version of torch."""
        return {"torch": str(torch.__version__)}


class Wav2LipGenerator(TalkLipGenerator):
    """Wav2Lip's network: TalkLip's with the local audio encoder and without a contrastive layer."""

    name = "wav2lip"

    @classmethod
    def load(cls, weights: Path | None, options: GenerateOptions) -> Wav2LipGenerator:
        """Load a generator. Raises TlbenchError also if it has a global audio encoder."""
        assert weights is not None  # has_weights
        package = open_generator(weights)
        network = generator_of(package, weights)
        if network.dims.audio != "local":
            raise TlbenchError(
                f"--generator wav2lip={weights}: its audio encoder reads the whole utterance, Wav2Lip's 0.2 s of mel "
                f"spectrogram; it is TalkLip's, give it as talklip={weights}"
            )
        return cls(weights, package, network, options)


class _TalkLipClip(FaceClip):
    """A clip with its encoded speech."""

    def __init__(self, inference: TalkLipInference, audio_features: Tensor) -> None:
        self._inference = inference
        self._audio_features = audio_features

    def generate(self, numbers: np.ndarray, poses: np.ndarray, identity: np.ndarray | None) -> np.ndarray:
        """Generate faces; the network's colours are BGR."""
        assert identity is not None  # its needs
        rows = torch.from_numpy(numbers).to(self._audio_features.device)
        faces = self._inference.generate(self._audio_features[rows], poses[..., ::-1], identity[..., ::-1])
        return np.ascontiguousarray(faces[..., ::-1])

"""A trained generator at work: sound and faces in, speaking faces out.

The network is brought into a form that computes the same in less time: batch normalisations become part of the
convolutions before them, and pictures lie in memory channel by channel. What it says of a frame depends on the clip
alone: clips are cut into the same runs of frames, whichever others are spoken beside them.
"""

from __future__ import annotations

import copy
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tlbench.media.filterbank import STACKED, STEP_SECONDS, WINDOW_SECONDS
from tlbench.media.rates import SAMPLE_RATE
from tlbench.observing.precision import HALF, exact_products, to_half
from tlbench.talklip.generator import TalkLip
from tlbench.talklip.layers import Convolution, Upsampling

Trim: TypeAlias = Literal["both-ends", "end"]

# A run's largest layer stays below 32 MiB, beyond which every allocation is fresh memory from the system: twice the
# frames a second of a whole clip at once. A GPU wants more to do at a time.
RUN_FRAMES, RUN_FRAMES_CUDA = 8, 64
PAINTERS = ("face_encoder_blocks", "face_decoder_blocks", "output_block")  # the parts that are convolutions of pictures


class TalkLipInference:
    """A generator on a device.

    Parameters
    ----------
    network : TalkLip
        Is copied.
    device : torch.device
    half : bool
        Paint in half precision, see :mod:`tlbench.observing.precision`; sound is heard in float32 all the same.

    Attributes
    ----------
    run_frames : int
        Frames to :meth:`speak` at once. Other numbers give other last bits.
    """

    def __init__(self, network: TalkLip, device: torch.device, half: bool = False) -> None:
        self.device = device
        self.run_frames = RUN_FRAMES_CUDA if device.type == "cuda" else RUN_FRAMES
        self._listener = network  # its features are computed by numpy
        self._network = folded(network).to(device)
        self._local = network.dims.audio == "local"
        self._numbers = HALF if half else torch.float32
        for part in PAINTERS:
            self._network.get_submodule(part).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if half:
            self._halve()

    def _halve(self) -> None:
        *before, colours, last = self._network.output_block
        self._network.output_block = nn.Sequential(*before, _InFloat32(colours), last)
        for part in PAINTERS if self._local else (*PAINTERS, "audio_map"):
            to_half(self._network.get_submodule(part), whole=[colours])

    def hear(self, samples: np.ndarray, frames: int, trim: Trim) -> Tensor:
        """What there is to say at each frame, to be given to :meth:`speak` in runs: (frames, ...) float32.

        Parameters
        ----------
        samples : (N,) int16
            Mono at 16 kHz.
        frames : int
            Of the video.
        trim : "both-ends" or "end"
            Where a global audio encoder's features are cut if there are more of them than frames. ``both-ends`` is
            what TalkLip's ``inf_test.py`` does, though the sound that it writes is not cut: with n rows too many the
            lips are n // 2 frames early. ``end`` is what it does in training. Missing ones are zeros at the end. Local
            encoders hear the sound around each frame, so that nothing is cut.

        Raises
        ------
        MediaError
            ``no-audio`` if there are no samples.
        """
        if self._local:
            return torch.from_numpy(self._listener.audio_features(samples, frames))
        rows = feature_rows(len(samples))
        if trim == "both-ends" and rows > frames:
            first = (rows - frames) // 2
            features = self._listener.audio_features(samples, rows)[first : first + frames]
        else:
            features = self._listener.audio_features(samples, frames)
        audio = torch.from_numpy(np.ascontiguousarray(features.T))[None].to(self.device)  # (1, F, T)
        hidden = torch.zeros(1, frames, dtype=torch.bool, device=self.device)
        index = torch.arange(frames, device=self.device)
        with torch.inference_mode(), exact_products(self.device):
            return self._network.audio_embedding(audio, hidden, index)

    def speak(self, heard: Tensor, poses: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """The faces that say it.

        Parameters
        ----------
        heard : (n, ...) float32
            A part of what :meth:`hear` returned.
        poses : (n, 96, 96, 3) uint8 BGR
            The faces of the video; their lower halves are not looked at.
        identity : (n, 96, 96, 3) or (1, 96, 96, 3) uint8 BGR
            Whom the faces are of.

        Returns
        -------
        (n, 96, 96, 3) float32 BGR, 0 to 255
        """
        both = np.concatenate([poses, np.broadcast_to(identity, poses.shape)], axis=-1)
        both[:, both.shape[1] // 2 :, :, :3] = 0
        # A permuted view: in memory the channels come last, as the network wants it.
        faces = torch.from_numpy(both).to(self.device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode(), exact_products(self.device):
            sound = heard.to(self.device)
            embedding = self._network.audio_embedding(sound, None, None) if self._local else sound
            painted = self._network.paint(embedding.to(self._numbers), faces.to(self._numbers)) * 255
        return painted.permute(0, 2, 3, 1).cpu().numpy()


def feature_rows(samples: int) -> int:
    """How many rows of stacked filterbanks, 25 a second, so many samples at 16 kHz give."""
    window, step = round(WINDOW_SECONDS * SAMPLE_RATE), round(STEP_SECONDS * SAMPLE_RATE)
    steps = 1 + -(-max(samples - window, 0) // step)
    return -(-steps // STACKED)


def folded(network: TalkLip) -> TalkLip:
    """A copy in evaluation that computes the same, to rounding, with fewer passes over memory."""
    quick = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(quick.modules()):
        for name, block in list(parent.named_children()):
            if isinstance(block, Convolution | Upsampling):
                setattr(parent, name, _Folded(block))
    return quick


class _Folded(nn.Module):
    """A block whose batch normalisation has gone into its convolution, and that changes its output in place."""

    def __init__(self, block: Convolution | Upsampling) -> None:
        super().__init__()
        convolution, normalisation = block.conv_block
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        assert isinstance(normalisation, nn.BatchNorm2d)
        self.convolution = fuse_conv_bn_eval(convolution, normalisation, isinstance(block, Upsampling))
        self.residual = isinstance(block, Convolution) and block.residual

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.convolution(x)
        if self.residual:
            found += x
        return found.relu_()


class _InFloat32(nn.Module):
    """The layer whose output becomes the picture's 256 levels, which half precision can't tell apart."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.float())
        return found

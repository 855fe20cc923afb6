"""A trained generator in inference: from audio and faces to generated faces.

The network is converted to a faster form of the same computation: batch normalisations are folded into the convolutions
before them, and tensors have torch's channels-last memory format. A clip is always cut into the same runs of frames, so
that its faces do not depend on the clips generated with it.
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

# On a CPU the largest layer of a run stays below 32 MiB, above which the allocator returns memory to the system after
# every use: twice the frames per second of a whole clip at once. A GPU needs larger runs.
RUN_FRAMES, RUN_FRAMES_CUDA = 8, 64
IMAGE_BLOCKS = ("face_encoder_blocks", "face_decoder_blocks", "output_block")  # convolutions of images


class TalkLipInference:
    """A generator on a device.

    Parameters
    ----------
    network : TalkLip
        Is copied.
    device : torch.device
    half : bool
        Compute faces in bfloat16, see :mod:`tlbench.observing.precision`; audio is encoded in float32 in either case.

    Attributes
    ----------
    run_frames : int
        Frames to give :meth:`generate` at once. Other numbers change the last bits of the result.
    """

    def __init__(self, network: TalkLip, device: torch.device, half: bool = False) -> None:
        self.device = device
        self.run_frames = RUN_FRAMES_CUDA if device.type == "cuda" else RUN_FRAMES
        self._features_of = network.audio_features
        self._network = fold_batch_norms(network).to(device)
        self._local = network.dims.audio == "local"
        self._dtype = HALF if half else torch.float32
        for part in IMAGE_BLOCKS:
            self._network.get_submodule(part).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if half:
            self._halve()

    def _halve(self) -> None:
        *before, colours, last = self._network.output_block
        self._network.output_block = nn.Sequential(*before, _InFloat32(colours), last)
        for part in IMAGE_BLOCKS if self._local else (*IMAGE_BLOCKS, "audio_map"):
            to_half(self._network.get_submodule(part), whole=[colours])

    def encode_audio(self, samples: np.ndarray, frames: int, trim: Trim) -> Tensor:
        """Audio features of every frame, to be given to :meth:`generate` in runs: (frames, ...) float32.

        Parameters
        ----------
        samples : (N,) int16
            Mono at 16 kHz.
        frames : int
            Of the video.
        trim : "both-ends" or "end"
            Where a global audio encoder's features are cut if there are more rows than frames. ``both-ends`` is what
            TalkLip's ``inf_test.py`` does, although it does not cut the audio that it writes: with n rows too many the
            lips are n // 2 frames early. ``end`` is what it does in training. If there are fewer rows than frames,
            zeros are added at the end. Ignored by local encoders, which use the audio around each frame.

        Raises
        ------
        MediaError
            ``no-audio`` if there are no samples.
        """
        if self._local:
            return torch.from_numpy(self._features_of(samples, frames))
        rows = feature_rows(len(samples))
        if trim == "both-ends" and rows > frames:
            first = (rows - frames) // 2
            features = self._features_of(samples, rows)[first : first + frames]
        else:
            features = self._features_of(samples, frames)
        audio = torch.from_numpy(np.ascontiguousarray(features.T))[None].to(self.device)  # (1, F, T)
        padding_mask = torch.zeros(1, frames, dtype=torch.bool, device=self.device)
        index = torch.arange(frames, device=self.device)
        with torch.inference_mode(), exact_products(self.device):
            return self._network.audio_embedding(audio, padding_mask, index)

    def generate(self, audio_features: Tensor, poses: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """Generate faces.

        Parameters
        ----------
        audio_features : (n, ...) float32
            Rows of what :meth:`encode_audio` returned.
        poses : (n, 96, 96, 3) uint8 BGR
            The faces of the video; their lower halves are not used.
        identity : (n, 96, 96, 3) or (1, 96, 96, 3) uint8 BGR
            Other faces of the person, or one for all frames.

        Returns
        -------
        (n, 96, 96, 3) float32 BGR, 0 to 255
        """
        both = np.concatenate([poses, np.broadcast_to(identity, poses.shape)], axis=-1)
        both[:, both.shape[1] // 2 :, :, :3] = 0
        # A permuted view, in channels-last format.
        faces = torch.from_numpy(both).to(self.device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode(), exact_products(self.device):
            on_device = audio_features.to(self.device)
            embedding = self._network.audio_embedding(on_device, None, None) if self._local else on_device
            generated = self._network.paint(embedding.to(self._dtype), faces.to(self._dtype)) * 255
        return generated.permute(0, 2, 3, 1).cpu().numpy()


def feature_rows(samples: int) -> int:
    """The number of rows of stacked filterbanks, 25 a second, of a number of samples at 16 kHz."""
    window, step = round(WINDOW_SECONDS * SAMPLE_RATE), round(STEP_SECONDS * SAMPLE_RATE)
    steps = 1 + -(-max(samples - window, 0) // step)
    return -(-steps // STACKED)


def fold_batch_norms(network: TalkLip) -> TalkLip:
    """A copy in evaluation mode that gives the same result, up to rounding, with fewer passes over memory."""
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(folded.modules()):
        for name, block in list(parent.named_children()):
            if isinstance(block, Convolution | Upsampling):
                setattr(parent, name, _FoldedBlock(block))
    return folded


class _FoldedBlock(nn.Module):
    """A convolution with its batch normalisation folded in, and an activation in place."""

    def __init__(self, block: Convolution | Upsampling) -> None:
        super().__init__()
        convolution, normalisation = block.conv_block
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        assert isinstance(normalisation, nn.BatchNorm2d)
        self.convolution = fuse_conv_bn_eval(convolution, normalisation, isinstance(block, Upsampling))
        self.residual = isinstance(block, Convolution) and block.residual

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convolution(x)
        if self.residual:
            out += x
        return out.relu_()


class _InFloat32(nn.Module):
    """A layer computed in float32: its output has 256 levels, more than bfloat16 distinguishes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.float())
        return out

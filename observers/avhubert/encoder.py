"""AV-HuBERT's encoder: front ends for video and audio, and a transformer over frames.

Names, order and shapes of the state dict are the original's (facebookresearch/av_hubert ``avhubert/hubert.py``,
``AVHubertModel`` and ``SubModel``; fairseq ``wav2vec2.py``, ``TransformerEncoder``), without the heads for
pre-training.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .decoder import Attention
from .dims import Dims
from .resnet import ResEncoder


class VideoFrontend(nn.Module):
    """ResNet features, projected to the encoder's width: (B, 1, T, H, W) to (B, C, T)."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.resnet = ResEncoder(dims.visual_width)
        self.proj = nn.Linear(8 * dims.visual_width, dims.encoder_width)

    def forward(self, video: Tensor) -> Tensor:
        projected: Tensor = self.proj(self.resnet(video).transpose(1, 2))
        return projected.transpose(1, 2)


class AudioFrontend(nn.Module):
    """Stacked filterbanks, projected to the encoder's width: (B, 104, T) to (B, C, T)."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.proj = nn.Linear(dims.audio_features, dims.encoder_width)

    def forward(self, audio: Tensor) -> Tensor:
        projected: Tensor = self.proj(audio.transpose(1, 2))
        return projected.transpose(1, 2)


class PositionalConvolution(nn.Conv1d):
    """A grouped convolution over time with weight normalisation over dim 2.

    The original uses nn.utils.weight_norm, whose tensors have other names in newer releases of torch. Here the weight
    is computed in the forward pass, so that the names are those of the files, unless it was computed by :meth:`fold`.
    """

    folded: Tensor | None

    def __init__(self, dims: Dims) -> None:
        kernel = dims.positional_kernel
        super().__init__(
            dims.encoder_width, dims.encoder_width, kernel, padding=kernel // 2, groups=dims.positional_groups
        )
        weight = self.weight.detach()
        del self.weight
        self.weight_g = nn.Parameter(_tap_lengths(weight))
        self.weight_v = nn.Parameter(weight.clone())
        self.register_buffer("folded", None, persistent=False)

    def fold(self) -> None:
        """Compute the weight once, for inference. The network can't be saved or trained any more."""
        self.folded = self._normalised().detach()
        del self.weight_g, self.weight_v

    def _normalised(self) -> Tensor:
        """The (out, in, k) weight."""
        return self.weight_v * (self.weight_g / _tap_lengths(self.weight_v))

    def forward(self, x: Tensor) -> Tensor:
        weight = self._normalised() if self.folded is None else self.folded
        x = F.conv1d(x, weight, self.bias, padding=self.padding, groups=self.groups)
        return x[..., :-1] if self.kernel_size[0] % 2 == 0 else x  # an even kernel has one frame too many (SamePad)


def _tap_lengths(weight: Tensor) -> Tensor:
    """The norms (1, 1, k) of the taps of an (out, in, k) weight."""
    return weight.pow(2).sum((0, 1), keepdim=True).sqrt()


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward step with GELU, with layer norms before (large models) or after them."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.prenorm = dims.encoder_prenorm
        self.self_attn = Attention(dims.encoder_width, dims.encoder_width, dims.encoder_heads)
        self.self_attn_layer_norm = nn.LayerNorm(dims.encoder_width)
        self.fc1 = nn.Linear(dims.encoder_width, dims.encoder_ffn)
        self.fc2 = nn.Linear(dims.encoder_ffn, dims.encoder_width)
        self.final_layer_norm = nn.LayerNorm(dims.encoder_width)

    def forward(self, x: Tensor, masked: Tensor | None) -> Tensor:
        """(B, T, C) to (B, T, C); ``masked`` (B, 1, 1, T) is True for padding."""
        if self.prenorm:
            normed = self.self_attn_layer_norm(x)
            x = x + self.self_attn(normed, normed, masked)
            return x + self._feed_forward(self.final_layer_norm(x))
        x = self.self_attn_layer_norm(x + self.self_attn(x, x, masked))
        out: Tensor = self.final_layer_norm(x + self._feed_forward(x))
        return out

    def _feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class TransformerEncoder(nn.Module):
    """A positional convolution, then the layers: (B, T, C) to (B, T, C)."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.prenorm = dims.encoder_prenorm
        self.pos_conv = nn.Sequential(PositionalConvolution(dims))
        self.layers = nn.ModuleList(EncoderLayer(dims) for _ in range(dims.encoder_layers))
        self.layer_norm = nn.LayerNorm(dims.encoder_width)

    def fold(self) -> None:
        """Compute the weight of the positional convolution once, see :meth:`PositionalConvolution.fold`."""
        for part in self.pos_conv:
            if isinstance(part, PositionalConvolution):
                part.fold()

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        masked = None
        if padding_mask is not None:
            x = x.masked_fill(padding_mask[..., None], 0)
            masked = padding_mask[:, None, None, :]
        x = x + F.gelu(self.pos_conv(x.transpose(1, 2))).transpose(1, 2)
        if not self.prenorm:
            x = self.layer_norm(x)
        for layer in self.layers:
            x = layer(x, masked)
        return self.layer_norm(x) if self.prenorm else x

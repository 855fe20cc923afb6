"""SyncNet for inference: the numbers of :mod:`.model` to rounding, in about half the time.

- The lip tower takes frames, not windows of 5 frames, so that a frame is converted once instead of five times. Only the
  first layer sees more than one frame; it slides over the frames.
- The first layer is half of all the work. It uses Cook and Toom's (Winograd's) fast convolution along rows: 7 products
  for 4 output rows instead of 14 for each pair of input rows. (Lavin & Gray, "Fast algorithms for convolutional neural
  networks", CVPR 2016.) Along both axes, and in the later layers, the transforms would cost what they save.
- Batch normalisation is fused into the weights. The rectifier comes after pooling, where a quarter of the values is
left.
- Memory is channels-last, the fastest layout on a CPU for both convolutions and pooling.

Networks of other sizes have small pictures; their first layer is a plain convolution that slides over the frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.observing.fused_layers import fuse, linear
from tlbench.observing.precision import exact_products

from .dims import PUBLISHED, Dims
from .model import SyncNetModel, stretched

FRAMES_A_WINDOW = 5
MFCC_A_WINDOW = 20
SIDE = PUBLISHED.side  # pixels, of the published network's pictures
WINDOWS_A_PASS = 16  # windows in one call: enough for full speed, few enough for the cache

_TILE = 4  # output rows that are computed together
_TAPS = 4  # rows of the first layer's kernel on even rows of the picture (3 on odd rows)
_POINTS = (
    0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
)  # and infinity; small numbers and their reciprocals have the smallest rounding errors
_FIRST_LAYER_WINDOWS = 2  # at a time; best of 1, 2, 4, 8: intermediate values, 8 MB per window, stay in the cache


def cook_toom() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of the fast convolution ``y = A ((G w) * (B x))`` for ``y[i] = sum_k w[k] x[i + k]``.

    This is the transposed form of multiplying two polynomials by their values at points and at infinity.

    Returns
    -------
    a : (4, 7), g : (7, 4), b : (7, 7) float64
    """

    def values(coefficients: int) -> Tensor:
        at_points = torch.vander(torch.tensor(_POINTS, dtype=torch.float64), coefficients, increasing=True)
        at_infinity = torch.eye(coefficients, dtype=torch.float64)[-1:]
        return torch.cat([at_points, at_infinity])

    return values(_TILE).T.contiguous(), values(_TAPS), torch.linalg.inv(values(_TILE + _TAPS - 1)).T.contiguous()


def _fused(layers: nn.Sequential, index: int) -> tuple[Tensor, Tensor]:
    """Weight and bias, float64, of the layer at ``index`` with the batch normalisation after it.

    A 3-D kernel over a single frame loses its time axis.
    """
    layer, norm = layers[index], layers[index + 1]
    assert isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.Linear))
    weight, bias = fuse(layer.weight, layer.bias, norm)
    if weight.dim() == 5 and weight.shape[2] == 1:
        weight = weight.squeeze(2)
    return weight, bias


class _FirstLipLayer(nn.Module):
    """Convolution 5x7x7 with stride 1x2x2, pooling 3x3 with stride 2, rectifier.

    The even and odd rows of a picture become two sets of channels. This turns the row stride of 2 into 1, with a kernel
    of 4 rows (the fourth of the odd rows is 0). The products are convolutions over time and columns.
    """

    a: Tensor
    b: Tensor
    kernels: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        out = len(weight)
        taps = F.pad(weight, (0, 0, 0, 1)).view(out, 3, FRAMES_A_WINDOW, _TAPS, 2, 7)
        taps = taps.permute(3, 0, 4, 1, 2, 5).reshape(_TAPS, out, 6, FRAMES_A_WINDOW, 7)
        a, g, b = cook_toom()
        kernels = torch.tensordot(g, taps, 1).movedim(2, -1)  # (7, 96, 5, 7, 6), channels last
        self.register_buffer("kernels", kernels.float().contiguous())
        self.register_buffer("a", a.float())
        self.register_buffer("b", b.float())
        self.register_buffer("bias", bias.float())

    def forward(self, frames: Tensor) -> Tensor:
        """(n + 4, 224, 224, 3) uint8 to (n, 96, 54, 54), channels last."""
        windows = len(frames) - FRAMES_A_WINDOW + 1
        products_a_tile = len(self.kernels)
        rows_out = (SIDE - 7) // 2 + 1  # 109
        tiles = -(-rows_out // _TILE)  # 28; the last one has 3 rows too many, which are not used
        rows = self.b.new_zeros(_TILE * (tiles - 1) + products_a_tile, len(frames), SIDE, 2, 3)
        rows[: SIDE // 2] = frames.reshape(-1, SIDE // 2, 2, SIDE, 3).permute(1, 0, 3, 2, 4)
        # Each tile reads 7 of these rows and starts 4 rows after the tile before: views without copies.
        tiled = rows.flatten(1).unfold(0, products_a_tile, _TILE).transpose(1, 2)
        tiled = torch.matmul(self.b, tiled).view(tiles, products_a_tile, len(frames), SIDE, 6)

        pooled = self.b.new_empty(windows, tiles - 1, 2, 54, 96)
        n = min(_FIRST_LAYER_WINDOWS, windows)
        # The buffers are allocated once: newly allocated memory would take as long as the arithmetic.
        products = self.b.new_empty(products_a_tile, tiles, n, rows_out, 96)
        y = self.b.new_empty(_TILE, tiles, n, rows_out, 96)  # output row 4 t + i is y[i, t]
        high = self.b.new_empty(tiles - 1, n, rows_out, 96)
        for start in range(0, windows, n):
            start = min(start, windows - n)  # the last windows may be computed twice
            for product, tile, kernel in zip(products, tiled.unbind(1), self.kernels, strict=True):
                window = tile[:, start : start + n + FRAMES_A_WINDOW - 1].contiguous().movedim(-1, 1)
                product.copy_(F.conv2d(window, kernel.movedim(-1, 1), stride=(1, 2)).movedim(1, -1))
            torch.mm(self.a, products.flatten(1), out=y.view(_TILE, -1))
            rows_pooled = pooled[start : start + n].movedim(0, 2)  # (27, 2, n, 54, 96)
            _max_of_three(y[0, :-1], y[1, :-1], y[2, :-1], high)
            _max_of_three(high[:, :, 0:-2:2], high[:, :, 1:-1:2], high[:, :, 2::2], rows_pooled[:, 0])
            _max_of_three(y[2, :-1], y[3, :-1], y[0, 1:], high)
            _max_of_three(high[:, :, 0:-2:2], high[:, :, 1:-1:2], high[:, :, 2::2], rows_pooled[:, 1])
        return pooled.add_(self.bias).relu_().flatten(1, 2).movedim(-1, 1)


def _max_of_three(a: Tensor, b: Tensor, c: Tensor, out: Tensor) -> None:
    torch.maximum(a, b, out=out)
    torch.maximum(out, c, out=out)


class _PlainFirstLayer(nn.Module):
    """The same layer for pictures of any size: the frames of a window are channels."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        channels = weight.movedim(2, 1).flatten(1, 2)  # the colours of the first frame, of the second ...
        self.register_buffer("weight", channels.float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.float())

    def forward(self, frames: Tensor) -> Tensor:
        """(n + 4, side, side[, 3]) to (n, channels, h, w)."""
        pictures = frames.float().flatten(3) if frames.dim() == 4 else frames[..., None]  # (n + 4, side, side, colours)
        windows = pictures.unfold(0, FRAMES_A_WINDOW, 1)  # (n, side, side, colours, 5)
        x = windows.transpose(3, 4).flatten(3).movedim(-1, 1)  # (n, 5 colours, side, side), channels last
        return F.max_pool2d(F.conv2d(x, self.weight, self.bias, 2), 3, 2).relu_()


class _Layer(nn.Module):
    """Convolution with fused batch normalisation, optional 3x3 pooling, rectifier."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        fused: tuple[Tensor, Tensor],
        stride: int = 1,
        pool_stride: tuple[int, int] | None = None,
        pool_padding: int = 0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", fused[0].float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", fused[1].float())
        self.stride, self.pool_stride, self.pool_padding = stride, pool_stride, pool_padding

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding=1)
        if self.pool_stride is not None:
            x = F.max_pool2d(x, 3, self.pool_stride, self.pool_padding)
        return x.relu_()


class _Dense(nn.Module):
    """The last convolution, whose kernel covers its whole input, and the head, as three linear layers."""

    def __init__(self, fused: tuple[Tensor, Tensor], head: nn.Sequential, norm: float) -> None:
        super().__init__()
        self.norm = norm
        last = head[3]
        assert isinstance(last, nn.Linear)
        weight, bias = fused
        self.first = linear(weight.movedim(1, -1).flatten(1), bias)  # channels last, like its input
        self.hidden = linear(*_fused(head, 0))
        self.last = linear(last.weight, last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.movedim(1, -1).flatten(1)).relu_()
        return stretched(self.last(self.hidden(x).relu_()), self.norm)


class FastSyncNet(nn.Module):
    """The two towers of a :class:`SyncNetModel` with fused layers; it has its own weights.

    Call each method with about :data:`WINDOWS_A_PASS` windows.
    """

    def __init__(self, model: SyncNetModel) -> None:
        super().__init__()
        lip, speech = model.netcnnlip, model.netcnnaud
        self.dims: Dims = model.dims
        own, published = ((dims.side, dims.colours, dims.lips[0]) for dims in (self.dims, PUBLISHED))
        first: type[_FirstLipLayer] | type[_PlainFirstLayer] = _FirstLipLayer if own == published else _PlainFirstLayer
        self.lip_tower = nn.Sequential(
            first(*_fused(lip, 0)),
            _Layer(_fused(lip, 4), stride=self.dims.second_stride, pool_stride=(2, 2), pool_padding=1),
            _Layer(_fused(lip, 8)),
            _Layer(_fused(lip, 11)),
            _Layer(_fused(lip, 14), pool_stride=(2, 2)),
            _Dense(_fused(lip, 18), model.netfclip, self.dims.norm),
        )
        self.speech_tower = nn.Sequential(
            _Layer(_fused(speech, 0)),
            _Layer(_fused(speech, 4), pool_stride=(1, 2)),
            _Layer(_fused(speech, 8)),
            _Layer(_fused(speech, 11)),
            _Layer(_fused(speech, 14), pool_stride=(2, 2)),
            _Dense(_fused(speech, 18), model.netfcaud, self.dims.norm),
        )

    @torch.inference_mode()
    def lips(self, frames: Tensor) -> Tensor:
        """The embedding of every 5 consecutive pictures, (n, embedding).

        Pictures are (n + 4, 224, 224, 3) uint8 BGR as published, or (n + 4, side, side) float32 for a grey network.
        """
        with exact_products(frames.device):
            return self.lip_tower(frames)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def speech(self, mfcc: Tensor) -> Tensor:
        """(n, 13, 20) float32, the MFCC of each window, to (n, embedding)."""
        with exact_products(mfcc.device):
            return self.speech_tower(mfcc[..., None].movedim(-1, 1))  # type: ignore[no-any-return]

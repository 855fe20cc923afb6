"""SyncNet for inference: the same numbers as :mod:`.model` to rounding, in about half the time.

What makes the difference:

- The lip tower is given frames, not windows of 5 frames, so that no frame is converted or transformed five times. Its
  first layer is the only one that looks at more than one instant; it slides over the frames.
- That layer is half of all the work. It is computed by Cook and Toom's (Winograd's) fast convolution, along rows only:
  7 products for 4 rows of output in place of 14 for each pair of input rows. (Lavin & Gray, "Fast algorithms for
  convolutional neural networks", CVPR 2016.) Along both axes there would be fewer products still, but the transforms
  would cost what they save; in the later layers they do so along rows already.
- Batch normalisation is part of the weights, and rectifying comes after pooling, where a quarter of the values is left.
- Channels come last in memory, which both the convolutions and the pooling like best on a CPU.

Networks of other sizes than the published have another first layer, a plain convolution that slides over the frames as
well: their pictures are small.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .dims import PUBLISHED, Dims
from .model import SyncNetModel, stretched

FRAMES_A_WINDOW = 5
MFCC_A_WINDOW = 20
SIDE = PUBLISHED.side  # pixels, of the fast first layer
WINDOWS_A_PASS = 16  # how many windows to give at once: enough to keep the matrix units busy, few enough for the cache

_TILE = 4  # rows of output that are computed together
_TAPS = 4  # rows of the first layer's kernel that fall on even rows of the picture; on odd ones there are 3
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5)  # and infinity; small numbers and their reciprocals round least
_FIRST_LAYER_WINDOWS = 2  # at a time; best of 1, 2, 4, 8: its intermediate values, 8 MB a window, stay in the cache


def cook_toom() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of the fast convolution ``y = A ((G w) * (B x))`` for ``y[i] = sum_k w[k] x[i + k]``.

    The product of two polynomials from their values at points and at infinity, transposed.

    Returns
    -------
    a : (4, 7), g : (7, 4), b : (7, 7) float64
    """

    def values(coefficients: int) -> Tensor:
        at_points = torch.vander(torch.tensor(_POINTS, dtype=torch.float64), coefficients, increasing=True)
        at_infinity = torch.eye(coefficients, dtype=torch.float64)[-1:]
        return torch.cat([at_points, at_infinity])

    return values(_TILE).T.contiguous(), values(_TAPS), torch.linalg.inv(values(_TILE + _TAPS - 1)).T.contiguous()


def _folded(layers: nn.Sequential, index: int) -> tuple[Tensor, Tensor]:
    """Weight and bias, float64, of the layer at ``index`` together with the batch normalisation behind it.

    A kernel over one instant loses its time axis.
    """
    layer, norm = layers[index], layers[index + 1]
    assert isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.Linear))
    assert layer.bias is not None
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = layer.weight.double() * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    bias = (layer.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    if weight.dim() == 5 and weight.shape[2] == 1:
        weight = weight.squeeze(2)
    return weight, bias


class _FirstLipLayer(nn.Module):
    """Convolution 5x7x7 with stride 1x2x2, pooling 3x3 with stride 2, rectifier.

    An image's even and odd rows become two sets of channels, which turns the stride of 2 along rows into 1 with a
    kernel of 4 rows (the odd rows' fourth is 0). The products are convolutions over time and columns.
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
        tiles = -(-rows_out // _TILE)  # 28; the last one sticks out by 3 rows, which nobody reads
        rows = self.b.new_zeros(_TILE * (tiles - 1) + products_a_tile, len(frames), SIDE, 2, 3)
        rows[: SIDE // 2] = frames.reshape(-1, SIDE // 2, 2, SIDE, 3).permute(1, 0, 3, 2, 4)
        # Each tile reads 7 of these rows, 4 further down than the tile before: views, not copies, are multiplied.
        tiled = rows.flatten(1).unfold(0, products_a_tile, _TILE).transpose(1, 2)
        tiled = torch.matmul(self.b, tiled).view(tiles, products_a_tile, len(frames), SIDE, 6)

        pooled = self.b.new_empty(windows, tiles - 1, 2, 54, 96)
        n = min(_FIRST_LAYER_WINDOWS, windows)
        # Memory is taken once: fresh pages would cost as much as the sums.
        products = self.b.new_empty(products_a_tile, tiles, n, rows_out, 96)
        y = self.b.new_empty(_TILE, tiles, n, rows_out, 96)  # row 4 t + i of the output is y[i, t]
        high = self.b.new_empty(tiles - 1, n, rows_out, 96)
        for start in range(0, windows, n):
            start = min(start, windows - n)  # the last ones may be done twice
            for product, tile, kernel in zip(products, tiled.unbind(1), self.kernels, strict=True):
                seen = tile[:, start : start + n + FRAMES_A_WINDOW - 1].contiguous().movedim(-1, 1)
                product.copy_(F.conv2d(seen, kernel.movedim(-1, 1), stride=(1, 2)).movedim(1, -1))
            torch.mm(self.a, products.flatten(1), out=y.view(_TILE, -1))
            here = pooled[start : start + n].movedim(0, 2)  # (27, 2, n, 54, 96)
            _highest(y[0, :-1], y[1, :-1], y[2, :-1], high)
            _highest(high[:, :, 0:-2:2], high[:, :, 1:-1:2], high[:, :, 2::2], here[:, 0])
            _highest(y[2, :-1], y[3, :-1], y[0, 1:], high)
            _highest(high[:, :, 0:-2:2], high[:, :, 1:-1:2], high[:, :, 2::2], here[:, 1])
        return pooled.add_(self.bias).relu_().flatten(1, 2).movedim(-1, 1)


def _highest(a: Tensor, b: Tensor, c: Tensor, out: Tensor) -> None:
    torch.maximum(a, b, out=out)
    torch.maximum(out, c, out=out)


class _PlainFirstLayer(nn.Module):
    """The same layer for pictures of any size: the frames of a window are its channels."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        channels = weight.movedim(2, 1).flatten(1, 2)  # frame by frame, its colours side by side
        self.register_buffer("weight", channels.float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.float())

    def forward(self, frames: Tensor) -> Tensor:
        """(n + 4, side, side[, 3]) to (n, channels, h, w)."""
        pictures = frames.float().flatten(3) if frames.dim() == 4 else frames[..., None]  # (n + 4, side, side, colours)
        windows = pictures.unfold(0, FRAMES_A_WINDOW, 1)  # (n, side, side, colours, 5)
        seen = windows.transpose(3, 4).flatten(3).movedim(-1, 1)  # (n, 5 colours, side, side), channels last
        return F.max_pool2d(F.conv2d(seen, self.weight, self.bias, 2), 3, 2).relu_()


class _Layer(nn.Module):
    """Convolution with its batch normalisation, pooling 3x3 if there is any, rectifier."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        folded: tuple[Tensor, Tensor],
        stride: int = 1,
        pool_stride: tuple[int, int] | None = None,
        pool_padding: int = 0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", folded[0].float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", folded[1].float())
        self.stride, self.pool_stride, self.pool_padding = stride, pool_stride, pool_padding

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding=1)
        if self.pool_stride is not None:
            x = F.max_pool2d(x, 3, self.pool_stride, self.pool_padding)
        return x.relu_()


class _Dense(nn.Module):
    """The last convolution, which covers all that is left of the picture, and the head: three matrices."""

    def __init__(self, folded: tuple[Tensor, Tensor], head: nn.Sequential, norm: float) -> None:
        super().__init__()
        self.norm = norm
        last = head[3]
        assert isinstance(last, nn.Linear)
        weight, bias = folded
        self.first = _linear(weight.movedim(1, -1).flatten(1), bias)  # channels last, as its input lies in memory
        self.hidden = _linear(*_folded(head, 0))
        self.last = _linear(last.weight, last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.movedim(1, -1).flatten(1)).relu_()
        return stretched(self.last(self.hidden(x).relu_()), self.norm)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


class FastSyncNet(nn.Module):
    """The two towers of a :class:`SyncNetModel`, folded once; holds weights of its own.

    Give each method about :data:`WINDOWS_A_PASS` windows at once.
    """

    def __init__(self, model: SyncNetModel) -> None:
        super().__init__()
        lip, speech = model.netcnnlip, model.netcnnaud
        self.dims: Dims = model.dims
        seen, known = ((dims.side, dims.colours, dims.lips[0]) for dims in (self.dims, PUBLISHED))
        first: type[_FirstLipLayer] | type[_PlainFirstLayer] = _FirstLipLayer if seen == known else _PlainFirstLayer
        self.lip_tower = nn.Sequential(
            first(*_folded(lip, 0)),
            _Layer(_folded(lip, 4), stride=self.dims.second_stride, pool_stride=(2, 2), pool_padding=1),
            _Layer(_folded(lip, 8)),
            _Layer(_folded(lip, 11)),
            _Layer(_folded(lip, 14), pool_stride=(2, 2)),
            _Dense(_folded(lip, 18), model.netfclip, self.dims.norm),
        )
        self.speech_tower = nn.Sequential(
            _Layer(_folded(speech, 0)),
            _Layer(_folded(speech, 4), pool_stride=(1, 2)),
            _Layer(_folded(speech, 8)),
            _Layer(_folded(speech, 11)),
            _Layer(_folded(speech, 14), pool_stride=(2, 2)),
            _Dense(_folded(speech, 18), model.netfcaud, self.dims.norm),
        )

    @torch.inference_mode()
    def lips(self, frames: Tensor) -> Tensor:
        """Consecutive pictures to one embedding for each 5 of them, (n, embedding).

        (n + 4, 224, 224, 3) uint8 BGR as published; (n + 4, side, side) float32 if the network sees grey.
        """
        with _exact_products(frames.device):
            return self.lip_tower(frames)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def speech(self, mfcc: Tensor) -> Tensor:
        """(n, 13, 20) float32, one block of MFCC for each window, to (n, embedding)."""
        with _exact_products(mfcc.device):
            return self.speech_tower(mfcc[..., None].movedim(-1, 1))  # type: ignore[no-any-return]


def _exact_products(device: torch.device) -> AbstractContextManager[None]:
    """cuDNN would round a convolution's factors to 10 bits (TF32), which moves embeddings by 1e-3."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)

"""Weights for a miniature generator to start from: it copies the faces it is given.

On one core a randomly initialised generator spends most of an afternoon on learning that a face looks like itself, and
learns nothing about the mouth before that. Here the first encoder stage and the output block get weights that pass the
colours through: the upper half of the face with the black lower half, and the lower half of the identity. The skip
connections into the decoder are scaled down, so that the audio embedding is not drowned by them. All other weights stay
random, and every weight is trained. The published generator is not initialised like this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.talklip.generator import FACES, FacePainter

if TYPE_CHECKING:
    from collections.abc import Callable

COLOURS = FACES // 2
OTHER_SCALE = 0.1  # of the random weights of the output block: small against the copied colours, large enough to learn
LOWER_HALF_SUPPRESSION = -4.0  # weight of each pose colour: where the pose is not black, the ReLU removes the identity
SKIP_SCALE = 0.1  # of the random weights of skip connections, which the audio embedding passes at every stage
SLOPE = 4.8  # of the line through 0.5 that is nearest to the inverse of a sigmoid between 0.1 and 0.9


@torch.no_grad()
def init_as_copy(generator: FacePainter, run: Callable[[], object]) -> None:
    """Make an untrained generator copy its input; its batch norms get the statistics of a batch.

    Parameters
    ----------
    generator : FacePainter
    run : callable
        Generates the faces of that batch.

    Raises
    ------
    TlbenchError
        If the first stage or the output block has fewer than the six channels that the colours of two faces need.
    """
    first, first_norm = _convolution(generator, "face_encoder_blocks.0.0.conv_block")
    out, out_norm = _convolution(generator, "output_block.0.conv_block")
    last = generator.get_submodule("output_block.1")
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    assert first.bias is not None
    assert out.bias is not None
    channels = first.out_channels
    if min(channels, out.out_channels) < FACES:
        raise TlbenchError(
            f"a generator with {channels} channels in its first stage can't be initialised as a copy; {FACES} are "
            "needed (--size, --init)"
        )
    _scale_random_weights(generator, out, last)
    middle = first.kernel_size[0] // 2
    first.weight[:FACES] = 0
    first.bias[:FACES] = 0
    skip = out.in_channels - channels  # the first stage's channels come after the last decoder stage's
    for colour in range(FACES):
        first.weight[colour, colour, middle, middle] = 1
        out.weight[colour, skip + colour, 1, 1] = 1
    out.weight[COLOURS:FACES, skip : skip + COLOURS, 1, 1] = LOWER_HALF_SUPPRESSION
    last.bias.fill_(-SLOPE / 2)
    for colour in range(COLOURS):
        last.weight[colour, [colour, colour + COLOURS]] = SLOPE
    for norm in (first_norm, out_norm):
        _measure_statistics(generator, run)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        norm.weight[:FACES] = (norm.running_var[:FACES] + norm.eps).sqrt()
        norm.bias[:FACES] = norm.running_mean[:FACES]
    _measure_statistics(generator, run)


def _scale_random_weights(generator: FacePainter, out: nn.Conv2d, last: nn.Conv2d) -> None:
    """Scale the random weights of the output block and of the decoder's skip connections down."""
    assert out.bias is not None
    out.weight.mul_(OTHER_SCALE)
    out.weight[:FACES] *= OTHER_SCALE
    out.bias[:FACES] = 0
    last.weight.mul_(OTHER_SCALE)
    for block, below in zip(generator.face_decoder_blocks[1:], generator.face_decoder_blocks, strict=False):
        upsampling = block.get_submodule("0.conv_block.0")
        assert isinstance(upsampling, nn.ConvTranspose2d)
        upsampling.weight[_output_channels(below) :] *= SKIP_SCALE  # (in, out, 3, 3)


def _output_channels(block: nn.Module) -> int:
    """Output channels of a decoder block."""
    norm = block.get_submodule("0.conv_block.1")
    assert isinstance(norm, nn.BatchNorm2d)
    return norm.num_features


def _convolution(generator: FacePainter, name: str) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution, norm = generator.get_submodule(f"{name}.0"), generator.get_submodule(f"{name}.1")
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return convolution, norm


def _measure_statistics(generator: FacePainter, run: Callable[[], object]) -> None:
    """Set the running statistics of all batch norms to those of a batch."""
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    modes = [(module, module.training) for module in generator.modules()]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    run()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in modes:
        module.training = mode

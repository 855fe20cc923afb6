"""How a miniature generator begins: as one that copies what it is given, instead of as noise.

A generator that knows nothing spends most of an afternoon on a single core on learning that a face looks like itself;
until then nothing of the mouth is learned. So the first stage's batch norm and the output block get weights that hand
the colours on: the upper half of the picture whose lower half is black, and the lower half of the other picture. What
skip connections bring into the decoder is made quieter, or what is heard drowns in it before it has told anything. The
other weights stay as drawn, and everything goes on learning. The published generator does not begin so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.talklip.generator import FACES

if TYPE_CHECKING:
    from tlbench.talklip.batches import Batch
    from tlbench.talklip.generator import TalkLip

COLOURS = FACES // 2
OTHERS = 0.1  # of what was drawn, where all that is not copied meets the picture: enough to learn by, not to disturb
HUSH = -4.0  # one colour of a quarter or more where the first picture is not black hides the other picture
SEEN_LESS = 0.1  # of what was drawn for the skip connections: what is heard passes by each of them on its way up
SLOPE = 4.8  # of the line through 0.5 that is nearest to the inverse of a sigmoid between 0.1 and 0.9


@torch.no_grad()
def begin_as_copier(generator: TalkLip, batch: Batch) -> None:
    """Give a generator that has learned nothing the weights of a copier, and its batch norms a batch's statistics.

    Raises
    ------
    TlbenchError
        If it is too narrow: the first stage and the output block must have six channels for the colours of two
        pictures.
    """
    first, first_norm = _convolution(generator, "face_encoder_blocks.0.0.conv_block")
    out, out_norm = _convolution(generator, "output_block.0.conv_block")
    last = generator.get_submodule("output_block.1")
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    assert first.bias is not None
    assert out.bias is not None
    seen = first.out_channels
    if min(seen, out.out_channels) < FACES:
        raise TlbenchError(
            f"a generator of {seen} channels at its first stage can't begin as a copier; {FACES} are needed (--size)"
        )
    middle = first.kernel_size[0] // 2
    first.weight[:FACES] = 0
    first.bias[:FACES] = 0
    out.weight.mul_(OTHERS)
    out.weight[:FACES] *= OTHERS
    out.bias[:FACES] = 0
    for block, below in zip(generator.face_decoder_blocks[1:], generator.face_decoder_blocks, strict=False):
        handed_up = _width(below)
        up = block.get_submodule("0.conv_block.0")
        assert isinstance(up, nn.ConvTranspose2d)
        up.weight[handed_up:] *= SEEN_LESS  # (in, out, 3, 3)
    beside = out.in_channels - seen  # where the first stage's channels lie behind the last one's
    for colour in range(FACES):
        first.weight[colour, colour, middle, middle] = 1
        out.weight[colour, beside + colour, 1, 1] = 1
    out.weight[COLOURS:FACES, beside : beside + COLOURS, 1, 1] = HUSH
    last.weight.mul_(OTHERS)
    last.bias.fill_(-SLOPE / 2)
    for colour in range(COLOURS):
        last.weight[colour, [colour, colour + COLOURS]] = SLOPE
    for norm in (first_norm, out_norm):
        _measure(generator, batch)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        norm.weight[:FACES] = (norm.running_var[:FACES] + norm.eps).sqrt()
        norm.bias[:FACES] = norm.running_mean[:FACES]
    _measure(generator, batch)


def _width(block: nn.Module) -> int:
    """Channels that a block of the decoder hands up."""
    norm = block.get_submodule("0.conv_block.1")
    assert isinstance(norm, nn.BatchNorm2d)
    return norm.num_features


def _convolution(generator: TalkLip, name: str) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution, norm = generator.get_submodule(f"{name}.0"), generator.get_submodule(f"{name}.1")
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return convolution, norm


def _measure(generator: TalkLip, batch: Batch) -> None:
    """Let the batch norms take a batch's statistics for their own."""
    norms = [part for part in generator.modules() if isinstance(part, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    training = [(part, part.training) for part in generator.modules()]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    generator.paint(generator.audio_embedding(batch.audio, batch.hidden, batch.index), batch.faces)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    for part, was in training:
        part.training = was

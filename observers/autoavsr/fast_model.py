"""auto_avsr for inference: the numbers of :mod:`.model` to rounding, in less time.

Each clip is encoded alone, so nothing is padded and no convolution sees padding: a clip's features do not depend on the
other clips of a run. Front end: :mod:`tlbench.observing.fused_frontend`. Encoder blocks:
:mod:`tlbench.observing.joined_encoder`. Decoder: :mod:`tlbench.observing.incremental_decoder`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tlbench.observing.espnet_layers import DecoderBlock, positions
from tlbench.observing.fused_frontend import BlockParts, FusedTrunk
from tlbench.observing.incremental_decoder import DecoderBlockParts, DecoderParts
from tlbench.observing.joined_encoder import JoinedBlocks

from .model import POSITIONS, AutoAVSRModel, BasicBlock, Decoder, VisualFrontend


class ClipEncoder(nn.Module):
    """Crops of one clip to its encoding: front end, projection and encoder of a network."""

    def __init__(self, model: AutoAVSRModel) -> None:
        super().__init__()
        self.frontend = fused_frontend(model.frontend)
        self.proj_encoder = model.proj_encoder
        self.blocks = JoinedBlocks(model.encoder.encoders, model.dims.width, model.dims.kernel)
        self.after_norm = model.encoder.after_norm
        self.scale = math.sqrt(model.dims.width)

    @torch.inference_mode()
    def forward(self, crops: Tensor) -> Tensor:
        """(T, 88, 88) normalised crops, in the network's precision, to (T, 768)."""
        return self.after_projection(self.proj_encoder(self.frontend(crops)))

    def after_projection(self, projected: Tensor) -> Tensor:
        """(T, 768) to (T, 768): the encoder alone."""
        return self.after_norm(self.blocks(projected * self.scale, [len(projected)]))  # type: ignore[no-any-return]


def fused_frontend(frontend: VisualFrontend) -> FusedTrunk:
    """A front end with fused layers; it has its own weights."""
    first, norm, _, _ = frontend.frontend3D
    trunk = frontend.trunk
    stages = (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4)
    blocks = [_block_parts(block) for stage in stages for block in stage if isinstance(block, BasicBlock)]
    return FusedTrunk(first, norm, nn.SiLU(inplace=True), blocks)


def _block_parts(block: BasicBlock) -> BlockParts:
    silu = nn.SiLU(inplace=True)
    return BlockParts((block.conv1, block.conv2), (block.bn1, block.bn2), (silu, silu), block.downsample)


def decoder_parts(decoder: Decoder) -> DecoderParts:
    """The parts of a decoder, for :class:`~tlbench.observing.incremental_decoder.SteppingDecoder`."""
    width = decoder.dims.width
    return DecoderParts(
        embedding=decoder.embed[0].weight,  # type: ignore[arg-type]
        scale=math.sqrt(width),
        positions=positions(torch.arange(POSITIONS), width).to(decoder.output_layer.weight.device),
        heads=decoder.dims.heads,
        prenorm=True,
        blocks=[_decoder_block(block) for block in decoder.decoders if isinstance(block, DecoderBlock)],
        norm=decoder.after_norm,
        output=decoder.output_layer.weight,
        output_bias=decoder.output_layer.bias,
    )


def _decoder_block(block: DecoderBlock) -> DecoderBlockParts:
    words, video = block.self_attn, block.src_attn
    return DecoderBlockParts(
        words=(words.linear_q, words.linear_k, words.linear_v, words.linear_out),
        video=(video.linear_q, video.linear_k, video.linear_v, video.linear_out),
        widen=block.feed_forward.w_1,
        narrow=block.feed_forward.w_2,
        norms=(block.norm1, block.norm2, block.norm3),
    )

"""The dimensions of an AV-HuBERT network, as a checkpoint's configuration states them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tlbench.checkpoints.dims import NetworkDims

VISUAL_WIDTH = (
    64  # channels of the ResNet-18's first stage (av_hubert avhubert/resnet.py); the last has 8 times as many
)
FUSED_FILTERBANKS = 104  # 26 log filterbanks, 4 steps stacked for one video frame (hubert_dataset.py)


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The options that decide the arithmetic of inference (av_hubert ``hubert.py``, ``hubert_asr.py``).

    Attributes
    ----------
    encoder_layers, encoder_width, encoder_ffn, encoder_heads : int
        ``encoder_layers``, ``encoder_embed_dim``, ``encoder_ffn_embed_dim``, ``encoder_attention_heads``.
    encoder_prenorm : bool
        ``layer_norm_first``.
    modality_fuse : "concat" or "add"
    positional_kernel, positional_groups : int
        ``conv_pos`` and ``conv_pos_groups``.
    audio_features : int
        ``audio_feat_dim``, 104 as published.
    visual_width : int
        Channels of the visual front end's first stage: 64 in all published networks.
    decoder_layers, decoder_width, decoder_ffn, decoder_heads : int
        All 0 for a checkpoint without a decoder (only pre-trained, or fine-tuned with CTC).
    decoder_prenorm : bool
        ``decoder_normalize_before``.
    vocabulary : int
        Entries of the target dictionary with the special symbols; 0 without an output layer.
    embedding_scale : bool
        Whether token embeddings are multiplied by sqrt(width); False with ``no_scale_embedding``.
    shared_output : bool
        The output layer is the embedding, without a bias (``share_decoder_input_output_embed``).
    learned_positions : bool
        ``decoder_learned_pos``.
    ctc : bool
        The encoder has a CTC output layer (``encoder.proj``), and there is no decoder.
    max_target_positions : int
        Longest token sequence.
    normalise_audio : bool
        Layer normalisation of each stacked filterbank frame before the network (``task.normalize``).
    mask_embedding, label_embeddings, label_width : int
        Size of ``mask_emb``, and (rows, width) of ``label_embs_concat``: unused tensors of pre-training that files may
        hold; 0 where a file has none.

    Raises
    ------
    ValueError
        If a dimension can't be used, or the dimensions do not fit together.
    """

    encoder_layers: int
    encoder_width: int
    encoder_ffn: int
    encoder_heads: int
    encoder_prenorm: bool = True
    modality_fuse: Literal["concat", "add"] = "concat"
    positional_kernel: int = 128
    positional_groups: int = 16
    audio_features: int = FUSED_FILTERBANKS
    visual_width: int = VISUAL_WIDTH
    decoder_layers: int = 0
    decoder_width: int = 0
    decoder_ffn: int = 0
    decoder_heads: int = 0
    decoder_prenorm: bool = True
    vocabulary: int = 0
    embedding_scale: bool = True
    shared_output: bool = True
    learned_positions: bool = False
    ctc: bool = False
    max_target_positions: int = 2048
    normalise_audio: bool = True
    mask_embedding: int = 0
    label_embeddings: int = 0
    label_width: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        names = "layers", "width", "ffn", "heads"
        self._divided("encoder", *(getattr(self, f"encoder_{name}") for name in names))
        decoder = [getattr(self, f"decoder_{name}") for name in names]
        if any(decoder):
            self._divided("decoder", *decoder)
        if min(self.positional_kernel, self.positional_groups, self.visual_width, self.max_target_positions) < 1:
            raise ValueError(
                "sizes positional_kernel, positional_groups, visual_width, max_target_positions are 1 or more"
            )
        if bool(self.label_embeddings) != bool(self.label_width):
            raise ValueError(f"label_embeddings {self.label_embeddings} of label_width {self.label_width}")
        if self.audio_features != FUSED_FILTERBANKS:
            raise ValueError(f"size audio_features is {self.audio_features}, not {FUSED_FILTERBANKS}, as published")

    @staticmethod
    def _divided(part: str, layers: int, width: int, ffn: int, heads: int) -> None:
        if min(layers, width, ffn, heads) < 1:
            raise ValueError(f"the {part} has {layers} layers, width {width}, ffn {ffn}, {heads} heads; not 1 or more")
        if width % heads:
            raise ValueError(f"{part}_width {width} is not divisible by the {heads} heads")

"""The whole of AV-HuBERT: lips and speech to features, and features to scores of tokens.

Names, order and shapes of the state dict are the original's (facebookresearch/av_hubert ``avhubert/hubert.py``,
``hubert_asr.py``): ``encoder.w2v_model.*`` for the pre-trained network, ``decoder.*`` or ``encoder.proj.*`` for what
fine-tuning adds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .decoder import Decoder
from .dims import Dims
from .encoder import AudioFrontend, TransformerEncoder, VideoFrontend


class AVHubertModel(nn.Module):
    """The pre-trained network without its heads for masked prediction."""

    def __init__(self, dims: Dims, feature_gradient: float) -> None:
        super().__init__()
        self.dims = dims
        self.feature_gradient = feature_gradient
        fused = dims.encoder_width * (2 if dims.modality_fuse == "concat" else 1)
        if dims.mask_embedding:
            self.mask_emb = nn.Parameter(torch.zeros(dims.mask_embedding))
        if dims.label_embeddings:
            self.label_embs_concat = nn.Parameter(torch.zeros(dims.label_embeddings, dims.label_width))
        self.feature_extractor_audio = AudioFrontend(dims)
        self.feature_extractor_video = VideoFrontend(dims)
        self.post_extract_proj: nn.Linear | None = None
        if fused != dims.encoder_width:
            self.post_extract_proj = nn.Linear(fused, dims.encoder_width)
        self.encoder = TransformerEncoder(dims)
        self.layer_norm = nn.LayerNorm(fused)

    def video_features(self, video: Tensor) -> Tensor:
        """(B, 1, T, 88, 88) to (B, C, T): what is seen, before it meets what is heard."""
        return self._weakened(self.feature_extractor_video(video))

    def audio_features(self, audio: Tensor) -> Tensor:
        """(B, 104, T) to (B, C, T): what is heard."""
        return self._weakened(self.feature_extractor_audio(audio))

    def forward(self, seen: Tensor | None, heard: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """Features of what is seen, heard, or both: see :meth:`AVHubert.encode`."""
        # An absent modality is zeros behind its projection, so not even its bias is left.
        if seen is None:
            if heard is None:
                raise ValueError("neither video nor audio was given")
            seen = torch.zeros_like(heard)
        if heard is None:
            heard = torch.zeros_like(seen)
        fused = torch.cat([heard, seen], dim=1) if self.dims.modality_fuse == "concat" else heard + seen
        x = self.layer_norm(fused.transpose(1, 2))  # (B, T, 2C)
        if self.post_extract_proj is not None:
            x = self.post_extract_proj(x)
        encoded: Tensor = self.encoder(x, padding_mask)
        return encoded

    def _weakened(self, features: Tensor) -> Tensor:
        """The same numbers, with ``feature_gradient`` of the gradient (fairseq ``grad_multiply.py``)."""
        if self.feature_gradient != 1 and features.requires_grad:
            features.register_hook(self._weaken)  # type: ignore[no-untyped-call]
        return features

    def _weaken(self, gradient: Tensor) -> Tensor:
        return gradient * self.feature_gradient


class Encoder(nn.Module):
    """The pre-trained network, and the output layer of a checkpoint fine-tuned with CTC."""

    def __init__(self, dims: Dims, feature_gradient: float) -> None:
        super().__init__()
        self.w2v_model = AVHubertModel(dims, feature_gradient)
        self.proj: nn.Linear | None = nn.Linear(dims.encoder_width, dims.vocabulary) if dims.ctc else None


class AVHubert(nn.Module):
    """A lip reader, a speech recogniser, or both at once, as large as ``dims`` says.

    Parameters
    ----------
    dims : Dims
    feature_gradient : float
        How much of the gradient passes from the transformer back into the front ends, and through them into a video
        that is itself being trained: 0.1 in the published networks (``feature_grad_mult``). Nothing but training
        notices.
    """

    def __init__(self, dims: Dims, feature_gradient: float = 1.0) -> None:
        super().__init__()
        self.dims = dims
        self.encoder = Encoder(dims, feature_gradient)
        if dims.decoder_layers:
            self.decoder = Decoder(dims)

    def encode(self, video: Tensor | None, audio: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """Features of the last encoder layer.

        Parameters
        ----------
        video : (B, 1, T, 88, 88) float32 or None
            Grey and normalised; None for speech alone.
        audio : (B, 104, T) float32 or None
            Stacked log filterbanks; None for lips alone.
        padding_mask : (B, T) bool or None
            True where there is no frame.

        Returns
        -------
        (B, T, C) float32
        """
        seen = None if video is None else self.video_features(video)
        heard = None if audio is None else self.audio_features(audio)
        return self.fuse(seen, heard, padding_mask)

    def video_features(self, video: Tensor) -> Tensor:
        """The first part of :meth:`encode`, which several passes can share: (B, 1, T, 88, 88) to (B, C, T)."""
        return self.encoder.w2v_model.video_features(video)

    def audio_features(self, audio: Tensor) -> Tensor:
        """As :meth:`see`, of speech: (B, 104, T) to (B, C, T)."""
        return self.encoder.w2v_model.audio_features(audio)

    def fuse(self, seen: Tensor | None, heard: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """The rest of :meth:`encode`: (B, T, C)."""
        encoded: Tensor = self.encoder.w2v_model(seen, heard, padding_mask)
        return encoded

    def logits(self, tokens: Tensor, encoded: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Scores of each next token: (B, L, V), for tokens (B, L) that begin with the end mark."""
        scores: Tensor = self.decoder(tokens, encoded, padding_mask)
        return scores

    def ctc_logits(self, encoded: Tensor) -> Tensor:
        """Scores of each frame's symbol: (B, T, V). Raises ValueError if this network has no such output."""
        if self.encoder.proj is None:
            raise ValueError("this AV-HuBERT was not fine-tuned with CTC")
        scores: Tensor = self.encoder.proj(encoded)
        return scores

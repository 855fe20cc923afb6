"""AV-HuBERT: video and audio to features, and features to logits of tokens.

Names, order and shapes of the state dict are the original's (facebookresearch/av_hubert ``avhubert/hubert.py``,
``hubert_asr.py``): ``encoder.w2v_model.*`` is the pre-trained network, ``decoder.*`` or ``encoder.proj.*`` is added by
fine-tuning.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .decoder import Decoder
from .dims import Dims
from .encoder import AudioFrontend, TransformerEncoder, VideoFrontend


class AVHubertModel(nn.Module):
    """The pre-trained network without its heads for masked prediction.

    ``mask_emb`` and ``label_embs_concat`` are unused; files may hold them.
    """

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
        """(B, 1, T, 88, 88) to (B, C, T): the video features before fusion."""
        return self._scale_gradient(self.feature_extractor_video(video))

    def audio_features(self, audio: Tensor) -> Tensor:
        """(B, 104, T) to (B, C, T): the audio features before fusion."""
        return self._scale_gradient(self.feature_extractor_audio(audio))

    def forward(self, video: Tensor | None, audio: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """Fuse and encode video features, audio features, or both: see :meth:`AVHubert.encode`."""
        # A missing modality is zeros after its projection, without the projection's bias.
        if video is None:
            if audio is None:
                raise ValueError("neither video nor audio was given")
            video = torch.zeros_like(audio)
        if audio is None:
            audio = torch.zeros_like(video)
        fused = torch.cat([audio, video], dim=1) if self.dims.modality_fuse == "concat" else audio + video
        x = self.layer_norm(fused.transpose(1, 2))  # (B, T, 2C)
        if self.post_extract_proj is not None:
            x = self.post_extract_proj(x)
        encoded: Tensor = self.encoder(x, padding_mask)
        return encoded

    def _scale_gradient(self, features: Tensor) -> Tensor:
        """Unchanged features whose gradient is multiplied by ``feature_gradient`` (fairseq ``grad_multiply.py``)."""
        if self.feature_gradient != 1 and features.requires_grad:
            features.register_hook(self._scaled)  # type: ignore[no-untyped-call]
        return features

    def _scaled(self, gradient: Tensor) -> Tensor:
        return gradient * self.feature_gradient


class Encoder(nn.Module):
    """The pre-trained network, with the output layer of a checkpoint fine-tuned with CTC."""

    def __init__(self, dims: Dims, feature_gradient: float) -> None:
        super().__init__()
        self.w2v_model = AVHubertModel(dims, feature_gradient)
        self.proj: nn.Linear | None = nn.Linear(dims.encoder_width, dims.vocabulary) if dims.ctc else None


class AVHubert(nn.Module):
    """A network that reads video, audio, or both.

    Parameters
    ----------
    dims : Dims
    feature_gradient : float
        Factor of the gradient from the transformer to the front ends (and to a generated video): 0.1 in the published
        networks (``feature_grad_mult``). It affects training only.
    """

    def __init__(self, dims: Dims, feature_gradient: float = 1.0) -> None:
        super().__init__()
        self.dims = dims
        self.encoder = Encoder(dims, feature_gradient)
        if dims.decoder_layers:
            self.decoder = Decoder(dims)

    def encode(self, video: Tensor | None, audio: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """The output of the last encoder layer.

        Parameters
        ----------
        video : (B, 1, T, 88, 88) float32 or None
            Grey and normalised; None for audio alone.
        audio : (B, 104, T) float32 or None
            Stacked log filterbanks; None for video alone.
        padding_mask : (B, T) bool or None
            True for padding.

        Returns
        -------
        (B, T, C) float32
        """
        return self.fuse(
            None if video is None else self.video_features(video),
            None if audio is None else self.audio_features(audio),
            padding_mask,
        )

    def video_features(self, video: Tensor) -> Tensor:
        """The first part of :meth:`encode`: (B, 1, T, 88, 88) to (B, C, T)."""
        return self.encoder.w2v_model.video_features(video)

    def audio_features(self, audio: Tensor) -> Tensor:
        """The first part of :meth:`encode`, for audio: (B, 104, T) to (B, C, T)."""
        return self.encoder.w2v_model.audio_features(audio)

    def fuse(self, video: Tensor | None, audio: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """The second part of :meth:`encode`: (B, C, T) video and audio features to (B, T, C)."""
        encoded: Tensor = self.encoder.w2v_model(video, audio, padding_mask)
        return encoded

    def logits(self, tokens: Tensor, encoded: Tensor, padding_mask: Tensor | None) -> Tensor:
        """(B, L, V) logits of each next token, for tokens (B, L) that start with the end token."""
        scores: Tensor = self.decoder(tokens, encoded, padding_mask)
        return scores

    def ctc_logits(self, encoded: Tensor) -> Tensor:
        """(B, T, V) logits of each frame's symbol. Raises ValueError if the network has no CTC output layer."""
        if self.encoder.proj is None:
            raise ValueError("this AV-HuBERT was not fine-tuned with CTC")
        scores: Tensor = self.encoder.proj(encoded)
        return scores

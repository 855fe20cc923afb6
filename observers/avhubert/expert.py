"""AV-HuBERT as the lip-reading expert of TalkLip's training, and its transformer as TalkLip's global audio encoder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn import Parameter

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package
from tlbench.errors import TlbenchError, quoted
from tlbench.media.filterbank import stacked_filterbanks
from tlbench.media.views import CenterCrop, CropWindow, FrameFace, Grey, Normalise, Resize, View
from tlbench.training.expert import AudioEncoder, Expert, ExpertPreprocessing, TokenLoss

from .checkpoint import OBSERVER, network_of
from .dictionary import PAD, UNK, Dictionary
from .dims import Dims
from .losses import label_smoothed_loss, shifted_targets
from .model import AVHubert, AVHubertModel
from .view import LRS2_CENTER, LRS2_SIDE, VIEWS

FEATURE_GRADIENT = 0.1  # feature_grad_mult of AV-HuBERT's pre-training, which TalkLip's expert keeps (its config.yaml)
DROPOUT = 0.1  # of the audio encoder's layers in training (TalkLip config.yaml, w2v_args.model.dropout)
HEAD_WIDTH = 64  # of one attention head in every published AV-HuBERT; it can't be derived from the tensors


class AVHubertAudioEncoder(AudioEncoder):
    """AV-HuBERT without video input: see :class:`~tlbench.training.expert.AudioEncoder`.

    The visual front end is kept, because TalkLip's files contain it, but not used. In training the output of each
    sublayer passes a dropout of 0.1, as in the original; the original's layer drop of 0.05 is left out.

    Parameters
    ----------
    dims : Dims
        The decoder's sizes are ignored.
    """

    observer: ClassVar[str] = OBSERVER

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.width = dims.encoder_width
        self.blocks = dims.encoder_layers
        self.dims = dims
        self.w2v_model = AVHubertModel(dims, 1.0)
        for name, module in self.w2v_model.named_modules():
            if name.endswith((".fc2", ".out_proj")):  # the last layer before each residual addition
                module.register_forward_hook(_drop)

    def forward(self, audio: Tensor, padding_mask: Tensor | None) -> Tensor:
        """(B, 104, T) to (B, T, C)."""
        features: Tensor = self.w2v_model(None, self.w2v_model.audio_features(audio), padding_mask)
        return features

    def features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """(frames, 104) stacked log filterbanks, cut or padded at the end, rows normalised if the network needs it."""
        return stacked_filterbanks(samples, frames, normalise=self.dims.normalise_audio)

    def tunable(self, count: int) -> Iterator[Parameter]:
        layers = list(self.w2v_model.encoder.layers)
        for layer in layers[max(len(layers) - count, 0) :]:
            yield from layer.parameters()

    def sizes(self) -> dict[str, Any]:
        return self.dims.to_json()


def _drop(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return F.dropout(output, DROPOUT, module.training)


def build_audio_encoder(
    tensors: Mapping[str, Tensor], sizes: Mapping[str, Any] | None, name: str
) -> AVHubertAudioEncoder:
    """Build the encoder that tensors named ``w2v_model.*`` belong to, with all parameters frozen.

    Parameters
    ----------
    sizes : mapping or None
        What :meth:`AVHubertAudioEncoder.sizes` returned. A size that follows from the shape of a tensor is taken from
        there, so that a wrong statement can't ask for more memory than the file has. None for a published file, which
        states no sizes: its attention heads are 64 wide and its layer norms come first, as in every published
        AV-HuBERT.
    name : str
        Names the weights in messages.

    Raises
    ------
    TlbenchError
        If the tensors are not those of such an encoder.
    """
    try:
        dims = _dims_of(tensors)
        if sizes is not None:
            stated = {name: sizes[name] for name in ("encoder_heads", "encoder_prenorm", "normalise_audio")}
            dims = replace(dims, **stated)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise TlbenchError(f"weights of {name}: its audio encoder is not AV-HuBERT's ({error})") from error
    encoder = build_network(lambda: AVHubertAudioEncoder(dims), tensors, f"{name}, audio encoder")
    return encoder.requires_grad_(False)


def _dims_of(tensors: Mapping[str, Tensor]) -> Dims:
    """Sizes from the shapes of tensors. Raises KeyError, IndexError or ValueError if one is missing or does not fit."""
    shapes = {name.removeprefix("w2v_model."): tuple(tensor.shape) for name, tensor in tensors.items()}
    layers = {match[1] for name in shapes if (match := re.match(r"encoder\.layers\.(\d+)\.", name))}
    ffn, width = shapes["encoder.layers.0.fc1.weight"]
    per_group, kernel = shapes["encoder.pos_conv.0.weight_v"][1:]
    rows, label_width = shapes.get("label_embs_concat", (0, 0))
    if width % per_group:
        raise ValueError(f"{per_group} channels a group of {width}")
    return Dims(
        encoder_layers=len(layers),
        encoder_width=width,
        encoder_ffn=ffn,
        encoder_heads=max(width // HEAD_WIDTH, 1),
        modality_fuse="concat" if shapes["layer_norm.weight"][0] == 2 * width else "add",
        positional_kernel=kernel,
        positional_groups=width // per_group,
        audio_features=shapes["feature_extractor_audio.proj.weight"][1],
        visual_width=shapes["feature_extractor_video.resnet.frontend3D.0.weight"][0],
        mask_embedding=shapes.get("mask_emb", (0,))[0],
        label_embeddings=rows,
        label_width=label_width,
    )


class AVHubertExpert(Expert):
    """See :class:`~tlbench.training.expert.Expert`."""

    def __init__(self, model: AVHubert, dictionary: Dictionary, preprocessing: ExpertPreprocessing) -> None:
        model.encoder.w2v_model.feature_gradient = FEATURE_GRADIENT
        self.network = model.eval().requires_grad_(False)
        self.preprocessing = preprocessing
        self.vocabulary = len(dictionary)
        self.width = model.dims.encoder_width
        self._model = model
        self._dictionary = dictionary

    @classmethod
    def of(cls, package: Package, path: Path) -> AVHubertExpert:
        """The expert in a package.

        Raises
        ------
        TlbenchError
            If the package is another observer's, its network has no decoder or no tokenizer, or it was trained with a
            view that can't be applied to generated frames.
        """
        model, dictionary = network_of(package, path)
        if not model.dims.decoder_layers or not dictionary.encodes:
            raise TlbenchError(
                f"weights {path}: this AV-HuBERT has no decoder or no tokenizer, so it can't be an expert; "
                "take a checkpoint that was fine-tuned to transcribe"
            )
        return cls(model, dictionary, _preprocessing(package.config.get("view"), path))

    def audio_features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        return stacked_filterbanks(samples, frames, normalise=self._model.dims.normalise_audio)

    def tokens(self, text: str) -> list[int]:
        found = self._dictionary.encode(text)
        unknown = found.count(UNK)
        if 2 * unknown >= len(found) - 1 > 0:  # the end mark is always known
            raise TlbenchError(
                f"text {quoted(text)}: {unknown} of its {len(found) - 1} pieces are unknown to the lip-reading expert, "
                "which has another vocabulary; take an expert that was trained on this data set"
            )
        return found

    def pad(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        rows = [torch.tensor(list(sentence), dtype=torch.int64) for sentence in sentences]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    def encode(self, frames: Tensor, padding_mask: Tensor | None) -> Tensor:
        return self._model.encode(frames, None, padding_mask)

    def loss(self, video_features: Tensor, padding_mask: Tensor | None, tokens: Tensor) -> TokenLoss:
        logits = self._model.logits(shifted_targets(tokens), video_features, padding_mask)
        return label_smoothed_loss(logits, tokens)

    def audio_encoder(self) -> AVHubertAudioEncoder:
        state = {f"w2v_model.{name}": tensor for name, tensor in self._model.encoder.w2v_model.state_dict().items()}
        return build_audio_encoder(state, self._model.dims.to_json(), "the lip-reading expert")


def _preprocessing(view_id: object, path: Path) -> ExpertPreprocessing:
    """A view's steps as preprocessing; a published file names no view and was fine-tuned on LRS2's middle 88x88."""
    views = {view.id: view for view in VIEWS.values()}
    view = views.get(str(view_id)) if view_id else LRS2_CENTER
    found = None if view is None else _of_view(view)
    if found is None:
        usable = ", ".join(known for known, each in views.items() if _of_view(each))
        raise TlbenchError(
            f"weights {path}: was trained with the view {view_id}, which can't be applied to generated frames during "
            f"training; take a lip reader trained with one of the views {usable}"
        )
    return found


def _of_view(view: View) -> ExpertPreprocessing | None:
    """None for a view with a step that can't be applied to a generated frame."""
    frames_face, side = False, LRS2_SIDE
    left, top, right, bottom = 0, 0, LRS2_SIDE, LRS2_SIDE
    mean = std = 0.0
    for step in view.steps:
        if isinstance(step, FrameFace):
            frames_face = True
        elif isinstance(step, CropWindow):
            left, top, right, bottom = step.left, step.top, step.right, step.bottom
            side = right - left
        elif isinstance(step, CenterCrop):
            left, top = (LRS2_SIDE - step.width) // 2, (LRS2_SIDE - step.height) // 2
            right, bottom, side = left + step.width, top + step.height, step.width
        elif isinstance(step, Resize):
            side = step.width
        elif isinstance(step, Normalise):
            mean, std = step.mean, step.std
        elif not isinstance(step, Grey):
            return None
    return ExpertPreprocessing(LRS2_SIDE, frames_face, (left, top, right, bottom), side, mean, std)

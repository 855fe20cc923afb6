"""The contract of an expert: a frozen lip reader that a generator is trained with.

An observer scores finished videos. An expert is given the frames that a generator makes during training, returns the
cross-entropy of the transcript, and passes the gradient back to the frames. A generator with a global audio encoder
starts from a copy of the expert's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import Parameter


@dataclass(frozen=True)
class TokenLoss:
    """Sums over all tokens that are not padding.

    Attributes
    ----------
    smoothed : Tensor
        Label-smoothed cross-entropy, a scalar in nats.
    likelihood : Tensor
        Plain cross-entropy, a scalar in nats.
    tokens, correct : int
        The number of tokens, and of those that the network gives the highest probability.
    """

    smoothed: Tensor
    likelihood: Tensor
    tokens: int
    correct: int


@dataclass(frozen=True)
class ExpertPreprocessing:
    """How a colour frame in LRS2's framing becomes the input of an expert.

    The frame is converted to grey, cropped to a window, resized to the network's input (bilinear, without antialiasing)
    and normalised.

    Attributes
    ----------
    frame_side : int
        Width and height of the frame that ``window`` refers to, in pixels: 160 as in LRS2.
    frames_face : bool
        Whether videos are first brought to that framing by their face boxes; False for data sets that have it.
    window : (left, top, right, bottom)
        The crop, in pixels of that frame; the middle 88x88, ``(36, 36, 124, 124)``, as published.
    side : int
        Width and height of the network's input, in pixels; 88 as published, so that nothing is resized.
    mean, std : float
        Of grey levels between 0 and 1.
    """

    frame_side: int
    frames_face: bool
    window: tuple[int, int, int, int]
    side: int
    mean: float
    std: float


class AudioEncoder(nn.Module, ABC):
    """A trainable network that turns a whole utterance into one feature vector for each video frame.

    Its state dict has the names that TalkLip's files have after ``audio_encoder.``: ``w2v_model.*`` for AV-HuBERT's.

    Attributes
    ----------
    observer : str
        Registry name of the observer that builds it.
    width : int
        Size of a feature vector.
    blocks : int
        The number of transformer blocks.
    """

    observer: ClassVar[str]
    width: int
    blocks: int

    @abstractmethod
    def forward(self, audio: Tensor, padding_mask: Tensor | None) -> Tensor:
        """(B, F, T) float32 audio features to (B, T, width); ``padding_mask`` is (B, T) bool, True for padding."""

    @abstractmethod
    def features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """The input features of a clip, (frames, F) float32, from (N,) int16 samples at 16 kHz.

        Raises MediaError if there are no samples.
        """

    @abstractmethod
    def tunable(self, count: int) -> Iterator[Parameter]:
        """The parameters of the last ``count`` transformer blocks, or of all blocks if there are fewer."""

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """JSON from which, together with the tensors, the observer's ``audio_encoder`` builds it again."""


class Expert(ABC):
    """A frozen lip reader. An observer that can be one builds it from a package.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode, without trainable parameters; the caller moves it to a device. Gradients pass through it.
    preprocessing : ExpertPreprocessing
    vocabulary : int
        The number of tokens.
    width : int
        Size of the feature vectors that :meth:`encode` returns.
    """

    network: nn.Module
    preprocessing: ExpertPreprocessing
    vocabulary: int
    width: int

    @property
    def side(self) -> int:
        """Width and height of its input frames, in pixels."""
        return self.preprocessing.side

    @property
    def mean(self) -> float:
        """Mean that its input is normalised by, of grey levels between 0 and 1."""
        return self.preprocessing.mean

    @property
    def std(self) -> float:
        """Standard deviation that its input is normalised by, of grey levels between 0 and 1."""
        return self.preprocessing.std

    @abstractmethod
    def audio_features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """As :meth:`AudioEncoder.features` of its audio encoder."""

    @abstractmethod
    def tokens(self, text: str) -> list[int]:
        """Text to token numbers, with the end-of-sentence token last.

        Raises
        ------
        TlbenchError
            If half of the pieces of the text or more are unknown tokens: the expert was trained on another language or
            vocabulary, and its loss would say nothing about these videos.
        """

    @abstractmethod
    def pad(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Token numbers of several texts as one (B, L) int64 tensor, padded as :meth:`loss` expects."""

    @abstractmethod
    def encode(self, frames: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Video features, differentiable: (B, 1, T, side, side) float32 to (B, T, width).

        ``padding_mask`` is (B, T) bool, True for padding. Padded frames must be zeros, because the first layer also
        looks at neighbouring frames.
        """

    @abstractmethod
    def loss(self, video_features: Tensor, padding_mask: Tensor | None, tokens: Tensor) -> TokenLoss:
        """Cross-entropy of (B, L) padded tokens given the video features; differentiable."""

    def encode_and_loss(self, frames: Tensor, padding_mask: Tensor | None, tokens: Tensor) -> TokenLoss:
        """:meth:`encode`, then :meth:`loss`. To use the video features as well, call the two: encoding takes long."""
        return self.loss(self.encode(frames, padding_mask), padding_mask, tokens)

    @abstractmethod
    def audio_encoder(self) -> AudioEncoder:
        """A trainable copy of its audio encoder with the present weights; all parameters are frozen at first."""


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without the prefix."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

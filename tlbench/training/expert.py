"""The contract of a teacher: a lip reader's network as something a generator learns from.

A reader that scores looks at finished videos; a teacher is shown pictures that are still being learned, says what the
reader would have charged for them, and hands the gradient back. It also lends what it knows of speech: the generator's
audio encoder begins as a copy of the reader's.
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
        How many were scored, and how many of them the network would have chosen.
    """

    smoothed: Tensor
    likelihood: Tensor
    tokens: int
    correct: int


@dataclass(frozen=True)
class ExpertPreprocessing:
    """What a teacher sees of a colour frame that is framed as LRS2 frames its speakers.

    The frame becomes grey, is cut to a window, brought to the size of the network's pictures (bilinear, without
    antialiasing) and normalised.

    Attributes
    ----------
    frame_side : int
        Pixels of the square frame that ``window`` lies in: 160 as LRS2's.
    frames_face : bool
        Whether videos are brought to that framing by their face boxes first; False where they have it.
    window : (left, top, right, bottom)
        Pixels of that frame; the middle 88x88, ``(36, 36, 124, 124)``, as published.
    side : int
        Pixels of the network's square pictures; 88 as published, so that nothing is resized.
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
    """Speech to one feature vector a video frame, looking at the whole utterance; trainable.

    Its state dict is named as in TalkLip's files behind ``audio_encoder.``: ``w2v_model.*`` for AV-HuBERT's.

    Attributes
    ----------
    observer : str
        Registry name of the observer that builds it.
    width : int
        Of its features.
    blocks : int
        How many transformer blocks it has.
    """

    observer: ClassVar[str]
    width: int
    blocks: int

    @abstractmethod
    def forward(self, audio: Tensor, hidden: Tensor | None) -> Tensor:
        """(B, F, T) float32 features, ``hidden`` (B, T) True where there is no frame, to (B, T, width)."""

    @abstractmethod
    def features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """What it hears of (N,) int16 samples at 16 kHz beside so many video frames: (frames, F) float32.

        Raises MediaError if there are no samples.
        """

    @abstractmethod
    def tunable(self, count: int) -> Iterator[Parameter]:
        """Parameters of its last ``count`` transformer blocks, or of all it has if they are fewer."""

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """JSON from which, with its tensors, ``Observer.audio_encoder`` builds it again."""


class Expert(ABC):
    """A frozen lip reader. Made by ``Observer.teacher``.

    Attributes
    ----------
    network : nn.Module
        In evaluation, without a parameter that learns; the caller moves it to a device. Gradients pass through it.
    sight : ExpertPreprocessing
    vocabulary : int
        How many tokens it knows.
    width : int
        Of what :meth:`see` returns.
    """

    network: nn.Module
    sight: ExpertPreprocessing
    vocabulary: int
    width: int

    @property
    def side(self) -> int:
        """Pixels of its square pictures."""
        return self.sight.side

    @property
    def mean(self) -> float:
        """Of grey levels between 0 and 1."""
        return self.sight.mean

    @property
    def std(self) -> float:
        """Of grey levels between 0 and 1."""
        return self.sight.std

    @abstractmethod
    def audio_features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """As :meth:`AudioEncoder.features` of its audio encoder."""

    @abstractmethod
    def tokens(self, text: str) -> list[int]:
        """Text as token numbers, the end mark last.

        Raises
        ------
        TlbenchError
            If it does not know at least half of the pieces that the text falls into: it reads another language, or
            was taught other words, and can't judge how readable these are.
        """

    @abstractmethod
    def padded(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Token numbers of several texts in one (B, L) int64 tensor, padded as :meth:`charge` expects."""

    @abstractmethod
    def see(self, pictures: Tensor, hidden: Tensor | None) -> Tensor:
        """Features of the lips alone, differentiable: (B, 1, T, side, side) float32 to (B, T, width).

        ``hidden`` is (B, T) bool, True where there is no frame; the pictures there have to be zeros, for the first
        layer looks at neighbouring frames too.
        """

    @abstractmethod
    def read(self, seen: Tensor, hidden: Tensor | None, tokens: Tensor) -> TokenLoss:
        """What it charges for (B, L) padded tokens, given what it has seen: differentiable."""

    def charge(self, pictures: Tensor, hidden: Tensor | None, tokens: Tensor) -> TokenLoss:
        """:meth:`see`, then :meth:`read`. Who needs what was seen as well calls the two: seeing takes the time."""
        return self.read(self.see(pictures, hidden), hidden, tokens)

    @abstractmethod
    def audio_encoder(self) -> AudioEncoder:
        """A trainable copy of the part that hears, with the weights it has now; all parameters frozen at first."""


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, named by what follows it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

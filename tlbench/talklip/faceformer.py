"""Faceformer as the paper compares with it: an autoregressive transformer over frames, for pictures instead of meshes.

FaceFormer (Fan et al. 2022, EvelynFan/FaceFormer ``faceformer.py``) makes vertices of a face from speech, one frame
after another. The paper (Sec. 4.1) says that it does not work for pictures by replacing vertices alone, and names two
changes: "the video encoder and corresponding visual input" in place of the style encoder, and a skip connection between
the visual input and the output picture. Its adaptation is not published. From FaceFormer are the decoder layer (4
heads, a feed-forward network of twice the width, layer norms after each part), the biased causal attention and its
slopes, the periodic positions, the attention of each frame to its own speech alone, the order of the maps, the output
map that starts at zero, and the loss, mean squared error. These choices are ours:

- **Video encoder**: TalkLip's, given the face with its lower half black and another face of the person. Its deepest
  stage is added to each frame's input, as the style is in FaceFormer, and all its stages are skip connections of
  TalkLip's face decoder, which paints the face from the transformer's output.
- **Audio**: AV-HuBERT's audio encoder in place of wav2vec 2.0's. Like wav2vec 2.0 it is a transformer over the whole
  utterance that was pre-trained without labels, and it is the one of TalkLip's global variants, so that the rows differ
  in what comes after it. Its front end is frozen and its transformer blocks are trained, as in FaceFormer. It has one
  feature vector a frame, so that no interpolation is needed.
- **What is fed back** is the transformer's output of the frame before, not its picture. In FaceFormer both the map to
  vertices and the map back are linear, so that this is one linear map there as well; encoding pictures again would
  take one more pass of the video encoder a frame.
- **Width**: that of the deepest stage, 512 as published; FaceFormer has 64 or 128 for meshes.
- **Period**: 25 frames, a second; FaceFormer's is that of the frame rate too, or 25.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.talklip.generator import FacePainter, GeneratorDims
from tlbench.training.expert import AudioEncoder

PERIOD = 25  # frames
HEADS = 4
DROPOUT = 0.1  # of nn.TransformerDecoderLayer and of the positions
SLOPE = 0.25  # of the first head; each further head has a quarter of it (get_slopes of 4 heads)


@dataclass
class Motion:
    """What a clip's next frame depends on: the frames generated before it.

    Attributes
    ----------
    inputs : list of (B, C)
        The transformer's inputs.
    numbers : list of int
        The numbers of these frames in the clip.
    last : (B, C) or None
        The transformer's output of the frame before; None at the first frame.
    """

    inputs: list[Tensor] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    last: Tensor | None = None


class Faceformer(FacePainter):
    """The generator. :meth:`forward` is :meth:`encode_faces`, :meth:`motion` and :meth:`decode`, after :meth:`speech`.

    Parameters
    ----------
    dims : GeneratorDims
        With a global audio encoder.
    audio_encoder : AudioEncoder
        With features of size ``dims.audio_width``.
    """

    audio_encoder: AudioEncoder

    def __init__(self, dims: GeneratorDims, audio_encoder: AudioEncoder) -> None:
        super().__init__(dims)
        width = dims.embedding
        if dims.audio != "global" or width % HEADS:
            raise ValueError(f"Faceformer has a global audio encoder and {HEADS} heads; sizes {dims} have not")
        self._build_encoder()
        self.audio_encoder = audio_encoder
        self.audio_map = nn.Linear(dims.audio_embedding_width, width)
        self.motion_map = nn.Linear(width, width)
        self.transformer = BiasedDecoderLayer(width)
        self.output_map = nn.Linear(width, width)
        nn.init.zeros_(self.output_map.weight)
        nn.init.zeros_(self.output_map.bias)
        self._build_decoder()

    def forward(self, speech: Tensor, faces: Tensor, clips: int) -> Tensor:
        """Generate n consecutive frames of B clips, one clip after the other.

        Parameters
        ----------
        speech : (B * n, C) float32
            What :meth:`speech` gives of these frames.
        faces : (B * n, 6, 96, 96) float32
            BGR / 255: the face with its lower half black, then another face of the person.
        clips : int
            B.

        Returns
        -------
        (B * n, 3, 96, 96) float32
            BGR / 255.
        """
        skips = self.encode_faces(faces)
        styles = skips[-1].flatten(1)
        motion = self.motion(*(x.view(clips, -1, x.shape[1]) for x in (speech, styles)))
        return self.decode(motion.flatten(0, 1), skips)

    def speech(self, audio: Tensor, padding_mask: Tensor | None) -> Tensor:
        """Features of whole utterances, mapped to the transformer's width: (B, F, T) to (B, T, C)."""
        mapped: Tensor = self.audio_map(self.audio_encoder(audio, padding_mask))
        return mapped

    def motion(self, speech: Tensor, styles: Tensor) -> Tensor:
        """The transformer's outputs of n consecutive frames, the first without any before it: (B, n, C) each."""
        so_far = Motion()
        steps = zip(speech.unbind(1), styles.unbind(1), strict=True)
        return torch.stack([self.next_motion(so_far, *given, number) for number, given in enumerate(steps)], dim=1)

    def next_motion(self, so_far: Motion, speech: Tensor, style: Tensor, number: int) -> Tensor:
        """The transformer's output of the next frame, (B, C), which is added to ``so_far``.

        Parameters
        ----------
        speech, style : (B, C)
            Of this frame.
        number : int
            Of this frame in the clip.
        """
        given = style if so_far.last is None else self.motion_map(so_far.last) + style
        position = periodic_position(number, given.shape[1]).to(given)
        so_far.inputs.append(F.dropout(given + position, DROPOUT, self.training))
        so_far.numbers.append(number)
        out: Tensor = self.output_map(self.transformer(torch.stack(so_far.inputs, dim=1), so_far.numbers, speech))
        so_far.last = out
        return out


class BiasedDecoderLayer(nn.Module):
    """FaceFormer's decoder layer at the last frame of a sequence: attention to the frames so far, and to its speech.

    Parameters
    ----------
    width : int
        A multiple of ``HEADS``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, DROPOUT, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, DROPOUT, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, inputs: Tensor, numbers: list[int], speech: Tensor) -> Tensor:
        """(B, t, C) inputs with their frames' numbers, and (B, C) speech of the last one: its output, (B, C)."""
        query, memory = inputs[:, -1:], speech[:, None]
        bias = biases(numbers).to(inputs).repeat(len(inputs), 1)[:, None]  # (B * heads, 1, t)
        x = self.norm1(query + self._drop(self.self_attn(query, inputs, inputs, None, False, bias)[0]))
        x = self.norm2(x + self._drop(self.multihead_attn(x, memory, memory, None, False)[0]))
        x = self.norm3(x + self._drop(self.linear2(self._drop(F.relu(self.linear1(x))))))
        last: Tensor = x[:, 0]
        return last

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, DROPOUT, self.training)


def biases(numbers: list[int]) -> Tensor:
    """What is added to the attention of the last of these frames to each of them, in each head: (heads, t).

    After ``init_biased_mask``: minus the slope for each period between two frames.
    """
    periods = torch.tensor([(numbers[-1] - number) // PERIOD for number in numbers])
    slopes = torch.tensor([SLOPE ** (head + 1) for head in range(HEADS)])
    return -slopes[:, None] * periods


def periodic_position(number: int, width: int) -> Tensor:
    """The position of a frame, (width,): sines and cosines of its number within the period .

    After ``PeriodicPositionalEncoding``; ``width`` is even.
    """
    angles = (number % PERIOD) * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=1).flatten()

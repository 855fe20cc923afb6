"""The losses of TalkLip's training, and the input of the lip-reading expert.

The arithmetic is that of Sxjdwang/TalkLip ``train.py``, ``models/learn_sync.py`` and ``utils/data_avhubert.py``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tlbench.talklip.batches import Batch
from tlbench.talklip.train_config import GanForm
from tlbench.training.expert import ExpertPreprocessing

TEMPERATURE = 0.07  # models/learn_sync.py
NEGATIVES = 100  # at most, models/learn_sync.py
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, added in this order
MOUTH = (slice(56, 94), slice(20, 76))  # rows and columns of a 96x96 face: lips and what the jaw moves around them
LOWEST_LOG = -100.0  # torch's binary cross-entropy clamps logarithms here


def expert_input(preprocessing: ExpertPreprocessing, batch: Batch, faces: Tensor) -> Tensor:
    """The clips with faces pasted into their frames, as the expert's input: (B, 1, T, side, side) float32.

    As ``images2avhubert`` (TalkLip ``utils/data_avhubert.py``): each face is multiplied by 255 and resized to its box
    (bilinear, without antialiasing), then the frames are converted to grey in float, cropped and normalised.

    Parameters
    ----------
    preprocessing : ExpertPreprocessing
    batch : Batch
    faces : (N, 3, 96, 96) float32
        BGR / 255, for the selected frames of the batch.
    """
    left, top, right, bottom = preprocessing.window
    side = preprocessing.side
    frames = batch.frames.float()  # (M, H, W, 3)
    height, width = frames.shape[1:3]
    pasted = list(frames.unbind())
    for row, box, face in zip(batch.rows.tolist(), batch.boxes.tolist(), faces.float() * 255, strict=True):
        x1, y1, x2, y2 = box[0], box[1], min(box[2], width), min(box[3], height)
        resized = F.interpolate(face[None], (y2 - y1, x2 - x1), mode="bilinear", antialias=False)[0].permute(1, 2, 0)
        pasted[row] = pasted[row].index_put(
            (torch.arange(y1, y2, device=face.device)[:, None], torch.arange(x1, x2, device=face.device)), resized
        )
    blue, green, red = torch.stack(pasted)[:, top:bottom, left:right].unbind(-1)  # (M, h, w)
    grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    if grey.shape[1:] != (side, side):
        grey = F.interpolate(grey[:, None], (side, side), mode="bilinear", antialias=False)[:, 0]
    normalised = (grey / 255 - preprocessing.mean) / preprocessing.std
    padded = normalised.new_zeros(*batch.padding_mask.shape, side, side)
    return padded.masked_scatter(~batch.padding_mask[..., None, None], normalised)[:, None]


def reconstruction_loss(
    error: Tensor, generated: Tensor, target: Tensor, mouth_weight: float, *, power: int = 1
) -> Tensor:
    """Mean absolute or squared error in which pixels around the mouth have a larger weight.

    Parameters
    ----------
    error : ()
        Mean absolute error of all pixels, or mean squared error.
    generated, target : (N, 3, 96, 96) between 0 and 1
    mouth_weight : float
        Weight of a pixel of ``MOUTH``, where other pixels have the weight 1; 1 as published.
    power : int
        1 for absolute errors, 2 for squared ones.
    """
    if mouth_weight == 1:
        return error
    rows, columns = MOUTH
    mouth = (generated[..., rows, columns].float() - target[..., rows, columns]).abs() ** power
    share = mouth[0].numel() / target[0].numel()
    extra = mouth_weight - 1
    return (error + extra * share * mouth.mean()) / (1 + extra * share)


def gan_losses(real: Tensor, fake: Tensor, form: GanForm = "code") -> dict[str, Tensor]:
    """The adversarial losses from the discriminator's logits, means over faces in nats.

    Parameters
    ----------
    real, fake : (N, 1)
        Logits of real and of generated faces.
    form : "code" or "paper"
        ``code`` is the binary cross-entropy of the published code (``train.py``, ``models/talklip.py``), in which the
        generator's loss is ``-log D(v')``. ``paper`` is Eq. 2 and 3 as printed, each to be minimised: the generator's
        loss is ``log(1 - D(v'))``, whose gradient vanishes while the discriminator is sure, and the discriminator's is
        ``log(1 - D(v)) + log D(v')``, which has no minimum. Logarithms are clamped at -100 as in the code.

    Returns
    -------
    dict
        ``perceptual``, the generator's loss; ``real`` and ``fake``, the discriminator's.
    """
    if form == "code":
        losses = {"perceptual": F.softplus(-fake), "real": F.softplus(-real), "fake": F.softplus(fake)}
    else:
        printed = {"perceptual": -F.softplus(fake), "real": -F.softplus(real), "fake": -F.softplus(-fake)}
        losses = {name: value.clamp(min=LOWEST_LOG) for name, value in printed.items()}
    return {name: value.mean() for name, value in losses.items()}


def sync_losses(speech: Tensor, faces: Tensor, matching: Tensor) -> Tensor:
    """Binary cross-entropy of the cosine similarity, (n,) in nats, as ``cosine_loss`` of Wav2Lip's training scripts.

    The sync expert's embeddings have no negative numbers, so that the cosine is between 0 and 1 and is taken for the
    probability that speech and lips belong together.

    Parameters
    ----------
    speech, faces : (n, C)
    matching : (n,) float32
        1 where they belong together, else 0.
    """
    likeness = F.cosine_similarity(speech.float(), faces.float()).clamp(0, 1)  # rounding gives 1.0000001
    with torch.autocast(likeness.device.type, enabled=False):
        return F.binary_cross_entropy(likeness, matching, reduction="none")


def contrastive_loss(video_features: Tensor, audio_features: Tensor) -> Tensor:
    """Contrastive loss between speech and lips, a mean over frames in nats.

    As ``models/learn_sync.py``: the anchor is a frame's audio embedding, the positive is the same frame's video
    feature, and the negatives are the audio embeddings of up to 100 other frames, at most half of them, drawn without
    replacement.

    Parameters
    ----------
    video_features : (N, C)
    audio_features : (N, C)
        Of unit length.
    """
    count = len(audio_features)
    drawn = torch.multinomial(torch.ones(count, count - 1), min(NEGATIVES, count // 2)).to(audio_features.device)
    drawn = drawn + (drawn >= torch.arange(count, device=audio_features.device)[:, None])
    positive = (audio_features * F.normalize(video_features, dim=1)).sum(1, keepdim=True)  # (N, 1)
    negative = (audio_features @ audio_features.T).gather(1, drawn)  # (N, negatives)
    logits = torch.cat([positive, negative], dim=1).float() / TEMPERATURE
    return -logits.log_softmax(1)[:, 0].mean()

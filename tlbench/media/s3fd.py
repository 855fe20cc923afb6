"""S3FD: the face detector of the published numbers.

The network is the single-shot scale-invariant detector of Zhang et al. (S3FD, ICCV 2017, arXiv:1708.05237) under
the state-dict names of the checkpoint ``s3fd-619a316812.pth``; the decoding of its maps follows the copy of
``face_detection`` in Wav2Lip and TalkLip (``face_detection/detection/sfd/{net_s3fd,detect,bbox,sfd_detector}.py``).
Boxes are part of a protocol, so the quirks of that copy are kept, with a comment at each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn, relu_
from torch.nn.functional import max_pool2d, softmax

from tlbench.errors import ClipError, TlbenchError

# detect.py: the BGR means of the VGG16 backbone, subtracted from RGB pixels. The checkpoint is used that way.
CHANNEL_MEANS = (104.0, 117.0, 123.0)
STRIDES = (4, 8, 16, 32, 64, 128)  # detect.py: pixels a map cell, level by level
ANCHOR_STRIDES = 4  # detect.py: an anchor is a square of four strides
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2  # detect.py: ``variances``
CANDIDATE_SCORE = 0.05  # detect.py: a position above it becomes a candidate
OVERLAP_MAX = 0.3  # sfd_detector.py: non-maximum suppression
FACE_SCORE = 0.5  # sfd_detector.py: what counts as a face
BATCH_FRAMES = 32  # TalkLip preparation/bbx_extract.py
# The third block takes 256 float32 channels for every 16 pixels: two such copies of this many pixels take 64 MB.
PIXELS_AT_ONCE = 500_000


class L2Norm(nn.Module):
    """Each position's channels divided by their Euclidean length, then scaled by a learnt weight a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        length = x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10  # net_s3fd.py: eps outside the root
        return (x / length).mul_(self.weight.view(1, -1, 1, 1))


def _conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding)


class S3FD(nn.Module):
    """The network: VGG16, four more convolutions, and a pair of heads (class, box) at each of six strides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1_1 = _conv(3, 64)
        self.conv1_2 = _conv(64, 64)
        self.conv2_1 = _conv(64, 128)
        self.conv2_2 = _conv(128, 128)
        self.conv3_1 = _conv(128, 256)
        self.conv3_2 = _conv(256, 256)
        self.conv3_3 = _conv(256, 256)
        self.conv4_1 = _conv(256, 512)
        self.conv4_2 = _conv(512, 512)
        self.conv4_3 = _conv(512, 512)
        self.conv5_1 = _conv(512, 512)
        self.conv5_2 = _conv(512, 512)
        self.conv5_3 = _conv(512, 512)
        # Padding 3 under a kernel of 3 makes the map grow by 4, so the grid of the last three levels starts 2 cells
        # outside the picture; it is decoded as if it started at the corner. The checkpoint was published that way.
        self.fc6 = _conv(512, 1024, padding=3)
        self.fc7 = _conv(1024, 1024, kernel=1, padding=0)
        self.conv6_1 = _conv(1024, 256, kernel=1, padding=0)
        self.conv6_2 = _conv(256, 512, stride=2)
        self.conv7_1 = _conv(512, 128, kernel=1, padding=0)
        self.conv7_2 = _conv(128, 256, stride=2)
        self.conv3_3_norm = L2Norm(256)
        self.conv4_3_norm = L2Norm(512)
        self.conv5_3_norm = L2Norm(512)
        self.conv3_3_norm_mbox_conf = _conv(256, 4)  # three backgrounds and a face: see max_out
        self.conv3_3_norm_mbox_loc = _conv(256, 4)
        self.conv4_3_norm_mbox_conf = _conv(512, 2)
        self.conv4_3_norm_mbox_loc = _conv(512, 4)
        self.conv5_3_norm_mbox_conf = _conv(512, 2)
        self.conv5_3_norm_mbox_loc = _conv(512, 4)
        self.fc7_mbox_conf = _conv(1024, 2)
        self.fc7_mbox_loc = _conv(1024, 4)
        self.conv6_2_mbox_conf = _conv(512, 2)
        self.conv6_2_mbox_loc = _conv(512, 4)
        self.conv7_2_mbox_conf = _conv(256, 2)
        self.conv7_2_mbox_loc = _conv(256, 4)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Twelve maps: class logits and box offsets, by turns, from stride 4 to stride 128.

        For inference: many steps write into their inputs.

        Parameters
        ----------
        x : Tensor
            (B, 3, H, W) float32, RGB in 0..255 less `CHANNEL_MEANS`.

        Returns
        -------
        list of Tensor
            (B, 2, h, w) logits of background and face, before the softmax, and (B, 4, h, w) offsets.
        """
        x = torch.cat([self._first_blocks(image) for image in torch.split(x, 1)])  # (B, 128, H/4, W/4)
        x = relu_(self.conv3_3(relu_(self.conv3_2(relu_(self.conv3_1(x))))))
        level1 = self.conv3_3_norm(x)  # (B, 256, H/4, W/4)
        x = max_pool2d(x, 2)
        x = relu_(self.conv4_3(relu_(self.conv4_2(relu_(self.conv4_1(x))))))
        level2 = self.conv4_3_norm(x)  # (B, 512, H/8, W/8)
        x = max_pool2d(x, 2)
        x = relu_(self.conv5_3(relu_(self.conv5_2(relu_(self.conv5_1(x))))))
        level3 = self.conv5_3_norm(x)  # (B, 512, H/16, W/16)
        x = max_pool2d(x, 2)
        level4 = relu_(self.fc7(relu_(self.fc6(x))))  # (B, 1024, H/32 + 4, W/32 + 4)
        level5 = relu_(self.conv6_2(relu_(self.conv6_1(level4))))
        level6 = relu_(self.conv7_2(relu_(self.conv7_1(level5))))
        return [
            max_out(self.conv3_3_norm_mbox_conf(level1)),
            self.conv3_3_norm_mbox_loc(level1),
            self.conv4_3_norm_mbox_conf(level2),
            self.conv4_3_norm_mbox_loc(level2),
            self.conv5_3_norm_mbox_conf(level3),
            self.conv5_3_norm_mbox_loc(level3),
            self.fc7_mbox_conf(level4),
            self.fc7_mbox_loc(level4),
            self.conv6_2_mbox_conf(level5),
            self.conv6_2_mbox_loc(level5),
            self.conv7_2_mbox_conf(level6),
            self.conv7_2_mbox_loc(level6),
        ]

    def _first_blocks(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) to (1, 128, H/4, W/4), of one image: its maps at full size fit into a processor's cache.

        Where a pooling follows, it comes before the ReLU: the greatest of four numbers is the same either way.
        """
        x = relu_(max_pool2d(self.conv1_2(relu_(self.conv1_1(x))), 2))
        return relu_(max_pool2d(self.conv2_2(relu_(self.conv2_1(x))), 2))


def max_out(logits: Tensor) -> Tensor:
    """Four logits to two: the greatest of three backgrounds, and the face (S3FD's section 3.3, for small anchors)."""
    return torch.cat([logits[:, :3].amax(dim=1, keepdim=True), logits[:, 3:]], dim=1)


def candidates(maps: list[Tensor]) -> np.ndarray:
    """Every candidate box of a batch, in the order and number of the original's `batch_detect`.

    A position with a face score above `CANDIDATE_SCORE` in **any** image adds one row for **every** image, once for
    each image in which it passes: rows repeat, and rows below the threshold are included. This does not change the best
    face, since suppression removes repeats and a low row never suppresses a higher one. Only if two positions have
    exactly the same highest score does the number of rows matter, because the sort is unstable; so the rows are kept.

    Parameters
    ----------
    maps : list of Tensor
        What `S3FD.forward` returns for a batch of B images.

    Returns
    -------
    ndarray
        (B, N, 5) float32: x1 y1 x2 y2 score.
    """
    rows = [torch.zeros(len(maps[0]), 0, 5)]
    for stride, logits, offsets in zip(STRIDES, maps[0::2], maps[1::2], strict=True):
        scores = softmax(logits, dim=1)[:, 1].cpu()  # (B, h, w)
        _, down, right = torch.nonzero(scores > CANDIDATE_SCORE, as_tuple=True)  # (n,) each, image by image
        anchors = torch.stack([right, down], dim=1) * float(stride) + stride / 2  # (n, 2) centres in pixels
        side = float(stride * ANCHOR_STRIDES)
        chosen = offsets.cpu()[:, :, down, right].transpose(1, 2)  # (B, n, 4)
        size = side * torch.exp(chosen[..., 2:] * SIZE_VARIANCE)
        corner = anchors + chosen[..., :2] * CENTRE_VARIANCE * side - size / 2
        rows.append(torch.cat([corner, corner + size, scores[:, down, right].unsqueeze(-1)], dim=-1))
    return torch.cat(rows, dim=1).numpy()


def suppress(rows: np.ndarray, overlap_max: float = OVERLAP_MAX) -> np.ndarray:
    """Non-maximum suppression as in ``bbox.py``: areas count pixels (+1), ties are in the order of a reversed argsort.

    Parameters
    ----------
    rows : ndarray
        (N, 5) x1 y1 x2 y2 score.
    overlap_max : float
        A box with a larger intersection over union with a better one is dropped.

    Returns
    -------
    ndarray
        (K, 5), best first.
    """
    order = rows[:, 4].argsort()[::-1]
    boxes = rows[order]
    left, top, right, bottom = boxes[:, :4].T
    areas = (right - left + 1) * (bottom - top + 1)
    rest = np.arange(len(boxes))
    kept: list[int] = []
    while rest.size:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        width = np.maximum(0.0, np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1)
        height = np.maximum(0.0, np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1)
        shared = width * height
        rest = rest[shared / (areas[best] + areas[rest] - shared) <= overlap_max]
    return boxes[kept]


class S3FDDetector:
    """The published face detector as a `tlbench.media.faces.FaceDetector`.

    Parameters
    ----------
    state : mapping of str to Tensor
        The checkpoint's state dict.
    device : str
        The torch device of the network.

    Raises
    ------
    TlbenchError
        If a tensor is missing, unknown, or of another shape.
    """

    name = "s3fd"
    sure_score = 0.9  # joonson/syncnet_python run_pipeline.py: ``conf_th`` of the faces that are tracked

    def __init__(self, state: Mapping[str, Tensor], device: str = "cpu") -> None:
        self.device = torch.device(device)
        with torch.device("meta"):  # without memory or initial values: the checkpoint's tensors are assigned below
            network = S3FD()
        _check(state, network.state_dict())
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
        placed = network.eval().to(self.device)
        self.network = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
        """The best face of each frame. Each frame is searched completely; ``before`` is ignored.

        Parameters
        ----------
        frames : ndarray
            (n, H, W, 3) uint8 RGB, processed in batches of 32 from the first.

        Returns
        -------
        list of ndarray or None
            (4,) int64 x1 y1 x2 y2, truncated towards zero; x1 and y1 are at least 0, x2 and y2 may be beyond the
            frame's edge, as in the original. None if no face scores above 0.5.
        """
        found: list[np.ndarray | None] = []
        for maps in self.maps(frames):
            for rows in candidates(maps):
                # The first box that suppression keeps is the last of the sort; the others are not needed.
                best = rows[rows[:, 4].argsort()[-1]] if len(rows) else None
                if best is None or not best[4] > FACE_SCORE:
                    found.append(None)
                else:
                    found.append(np.clip(best[:4], 0, None).astype(np.int64))
        return found

    def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
        """All faces of each frame above ``min_score``: (k, 5) float64 x1 y1 x2 y2 score, best first, not clipped."""
        found: list[np.ndarray] = []
        for maps in self.maps(frames):
            for rows in candidates(maps):
                # Lower rows never suppress higher ones, so they can be dropped first; suppression removes repeats.
                found.append(suppress(rows[rows[:, 4] > min_score]).astype(np.float64))
        return found

    def maps(self, frames: np.ndarray) -> Iterator[list[Tensor]]:
        """The network's maps, one list for each batch of 32. Large frames are processed in smaller parts.

        Raises ClipError ``not-finite`` if they are no numbers.
        """
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
            raise ValueError(f"frames must be (n, H, W, 3) uint8, not {frames.shape} {frames.dtype}")
        means = torch.tensor(CHANNEL_MEANS, device=self.device).view(1, 3, 1, 1)
        at_once = max(1, PIXELS_AT_ONCE // (frames.shape[1] * frames.shape[2]))
        for start in range(0, len(frames), BATCH_FRAMES):
            batch = np.ascontiguousarray(frames[start : start + BATCH_FRAMES])
            parts: list[list[Tensor]] = []
            with torch.inference_mode():
                for pixels in torch.split(torch.from_numpy(batch), at_once):
                    images = (
                        pixels.to(self.device).permute(0, 3, 1, 2).float().sub_(means)
                    )  # (b, 3, H, W), channels last
                    parts.append(self.network(images))
            levels = [torch.cat(level) for level in zip(*parts, strict=True)]
            if not all(bool(level.isfinite().all()) for level in levels):
                raise ClipError(
                    "not-finite",
                    "the face detector s3fd gives numbers that are NaN or infinite; its checkpoint is damaged, fetch "
                    "it again or take another --detector",
                )
            yield levels


def _check(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    missing = sorted(wanted.keys() - state.keys())
    unknown = sorted(state.keys() - wanted.keys())
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has an unknown {unknown[0]}"
        raise TlbenchError(f"these are not S3FD's weights: the file {what}; use s3fd-619a316812.pth")
    for name, tensor in wanted.items():
        if state[name].shape != tensor.shape:
            shape, right = tuple(state[name].shape), tuple(tensor.shape)
            raise TlbenchError(f"these are not S3FD's weights: {name} is {shape}, not {right}; use s3fd-619a316812.pth")

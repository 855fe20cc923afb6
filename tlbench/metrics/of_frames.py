"""PSNR, SSIM and LSE of frames that are in memory, by the observers and metrics that score files."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.metric import Arithmetic
from tlbench.observing.evidence import Evidence
from tlbench.observing.one_clip import default_view, observe_frames, weights_for


def psnr(
    generated: np.ndarray,
    reference: np.ndarray,
    *,
    boxes: np.ndarray | None = None,
    arithmetic: Arithmetic = "sound",
) -> float:
    """Peak signal-to-noise ratio of generated frames, in dB.

    Parameters
    ----------
    generated, reference : (T, height, width, 3) uint8
        RGB, as :func:`tlbench.read_video` gives them.
    boxes : (T, 4) int, optional
        Face boxes x1 y1 x2 y2 in pixels: compare the faces at 96x96, as the metric ``psnr`` does. Without them the
        whole frames are compared, as the metric ``psnr_frame`` does.
    arithmetic : "sound" or "paper"
        ``sound``: of the mean squared error over all frames; infinite for identical frames. ``paper``: the mean over
        frames of the published arithmetic, which wraps in uint8 (TalkLip ``evaluation/visual_quality.py``).

    Raises
    ------
    TlbenchError
        Arrays of another kind.
    ClipError
        Fewer boxes than frames.

    Examples
    --------
    >>> import numpy as np, tlbench
    >>> reference = np.full((2, 32, 32, 3), 100, np.uint8)
    >>> round(tlbench.psnr(reference + np.uint8(5), reference), 2)
    34.15
    >>> tlbench.psnr(reference + np.uint8(16), reference, arithmetic="paper")  # 16 squared is 0 in uint8
    100.0
    """
    return _of_pixels("psnr", generated, reference, boxes, arithmetic)


def ssim(
    generated: np.ndarray,
    reference: np.ndarray,
    *,
    boxes: np.ndarray | None = None,
    arithmetic: Arithmetic = "sound",
) -> float:
    """Structural similarity of generated frames, from -1 to 1, as scikit-image computes it with Gaussian weights.

    Parameters
    ----------
    generated, reference : (T, height, width, 3) uint8
        RGB, at least 11 pixels high and wide.
    boxes : (T, 4) int, optional
        As for :func:`psnr`.
    arithmetic : "sound" or "paper"
        The same number for frames in memory: the published arithmetic is sound.

    Raises
    ------
    TlbenchError
        Arrays of another kind, or frames that are too small.

    Examples
    --------
    >>> import numpy as np, tlbench
    >>> reference = np.full((2, 32, 32, 3), 100, np.uint8)
    >>> round(tlbench.ssim(reference, reference), 6)
    1.0
    """
    return _of_pixels("ssim", generated, reference, boxes, arithmetic)


class Lse(NamedTuple):
    """How well lips and speech are in sync, by SyncNet.

    Attributes
    ----------
    lse_c : float
        Confidence, higher is better.
    lse_d : float
        Distance, lower is better.
    offset_frames : int
        The shift of the lips, in frames of 40 ms, at which they fit the speech best.
    """

    lse_c: float
    lse_d: float
    offset_frames: int


def lse(
    frames: np.ndarray,
    samples: np.ndarray,
    *,
    boxes: np.ndarray | None = None,
    arithmetic: Arithmetic = "sound",
    weights: str | None = None,
) -> Lse:
    """LSE-C, LSE-D and the offset of one clip.

    Parameters
    ----------
    frames : (T, height, width, 3) uint8
        RGB, 25 frames/s, the whole frames.
    samples : (N,) int16
        The speech, 16 kHz; sample 0 is played with frame 0.
    boxes : (T, 4) int, optional
        Face boxes x1 y1 x2 y2 in pixels, for checkpoints with a view that frames the face, such as ``syncnet-grid``.
    arithmetic : "sound" or "paper"
        ``sound``: the same windows of speech are compared at every shift. ``paper``: the published view and
        arithmetic (Wav2Lip ``evaluation/scores_LSE``), for networks of the published size. Its JPEG round trip starts
        from the file's own colours in :func:`tlbench.score`, and from RGB here, which moves the last digits.
    weights : str, optional
        Name of a checkpoint that is here, such as the bundled ``syncnet-grid``, or ``NAME=FILE``; the published
        ``syncnet`` if not given.

    Raises
    ------
    TlbenchError
        If there is no such checkpoint, it does not fit the arithmetic, or it needs boxes.
    ClipError
        If the clip is too short or silent.

    Examples
    --------
    >>> import tlbench
    >>> frames, samples = tlbench.read_video(generated), tlbench.read_audio(generated)
    >>> tlbench.lse(frames, samples, boxes=boxes, weights="syncnet-grid").lse_d > 0
    True
    """
    found = weights_for("syncnet", weights)
    view = "paper" if arithmetic == "paper" else default_view("syncnet", found)
    evidence = observe_frames("syncnet", view, frames, boxes=boxes, samples=samples, weights=found)
    lse_c, lse_d = (_value(f"{name}/{arithmetic}", evidence) for name in ("lse_c", "lse_d"))
    prefix = "paper" if arithmetic == "paper" else "common"
    return Lse(lse_c, lse_d, int(evidence.number(f"{prefix}_offset_frames")))


def _of_pixels(
    name: str, generated: np.ndarray, reference: np.ndarray, boxes: np.ndarray | None, arithmetic: Arithmetic
) -> float:
    for frames in (generated, reference):
        if not isinstance(frames, np.ndarray):
            raise TlbenchError(f"frames must be an array, got {quoted(frames)}; tlbench.read_video reads a file")
    if generated.shape != reference.shape:
        raise TlbenchError(f"generated frames {generated.shape} and reference {reference.shape} differ in shape")
    view, suffix = ("frame", "_frame") if boxes is None else ("face", "")
    evidence = observe_frames("pixels", view, generated, reference, boxes=boxes)
    return _value(f"{name}{suffix}/{arithmetic}", evidence)


def _value(key: str, evidence: Evidence) -> float:
    """A metric's number for one clip, in the unit of the metric."""
    metric = find_metric(key)
    with np.errstate(divide="ignore"):
        value = metric.value(metric.tally(evidence))
    if value is None:
        raise TlbenchError(f"{key}: there is nothing to compute it from; are the frames at least 11 pixels wide?")
    return value

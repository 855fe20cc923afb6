"""PSNR and SSIM from the evidence of the observer ``pixels``, as published and as they should have been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import MeanTally
from tlbench.observing.evidence import Evidence

_PEAK_SQUARED = 255.0**2
_IDENTICAL_DB = 100.0
_REGIONS = {"face": "the face box at 96x96", "mouth": "the lower half of the face box", "frame": "the whole frame"}


def _mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    """The tally of an array with one number per frame; empty if the observer could not compute it."""

    def tally(evidence: Evidence) -> MeanTally:
        return _mean(evidence, name)

    return tally


def _sound_mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    """As :func:`_mean_of`, but of the followed face if it is not the best face in every frame."""

    def tally(evidence: Evidence) -> MeanTally:
        return _mean(evidence, _followed(evidence, name))

    return tally


def _followed(evidence: Evidence, name: str) -> str:
    return f"sound_{name}" if f"sound_{name}" in evidence.values else name


def _mean(evidence: Evidence, name: str) -> MeanTally:
    if name not in evidence.values:
        return MeanTally()
    values = evidence.array(name)
    return MeanTally(float(values.sum()), len(values))


def _frame_psnr_of(name: str) -> Callable[[Evidence], MeanTally]:
    def tally(evidence: Evidence) -> MeanTally:
        chosen = _followed(evidence, name)
        if chosen not in evidence.values:
            return MeanTally()
        psnr = np.minimum(_decibels(evidence.array(chosen)), _IDENTICAL_DB)
        return MeanTally(float(psnr.sum()), len(psnr))

    return tally


def _decibels(mse: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(_PEAK_SQUARED / np.asarray(mse, dtype=np.float64))


def _of_region(region: str, where: str) -> tuple[Metric, ...]:
    suffix = "" if region == "face" else f"_{region}"
    label = "" if region == "face" else f" {region}"
    psnr = Metric(
        name=f"psnr{suffix}",
        arithmetic="paper",
        label=f"PSNR{label}",
        observer="pixels",
        view=region,
        unit="dB",
        better="higher",
        version=1,
        tally=_mean_of(f"{region}_psnr_wrapped"),
        description=f"PSNR over {where} in uint8 arithmetic that wraps modulo 256, 100 for identical frames; mean "
        "over all frames (TalkLip evaluation/visual_quality.py)",
        aggregation="frames",
        headline=region == "face",
        lowest=0,
    )
    ssim = replace(
        psnr,
        name=f"ssim{suffix}",
        label=f"SSIM{label}",
        unit="",
        tally=_mean_of(f"{region}_ssim"),
        description=f"SSIM over {where}, Gaussian window of sigma 1.5, mean over channels and all frames (TalkLip "
        "evaluation/visual_quality.py with scikit-image)",
        digits=3,
        lowest=-1,
        highest=1,
    )
    sound_psnr = replace(
        psnr,
        arithmetic="sound",
        tally=_sound_mean_of(f"{region}_mse"),
        description=f"PSNR over {where} of the mean squared error pooled over all frames, in floating point",
        aggregation="pooled",
        finish=_decibels,
    )
    frame_psnr = replace(
        psnr,
        name=f"psnr_frame_mean{suffix}",
        arithmetic="sound",
        label=f"PSNR/frame{label}",
        # The smallest error of a 96x96 crop, one grey level in one channel of one pixel, is 92.5 dB (113 dB takes
        # 3.3 million samples), so up to that size the cap of 100 dB applies to identical frames only.
        tally=_frame_psnr_of(f"{region}_mse"),
        description=f"PSNR over {where} in floating point, mean over all frames, identical frames as 100 dB",
        headline=False,
        highest=_IDENTICAL_DB,
    )
    sound_ssim = replace(
        ssim,
        arithmetic="sound",
        tally=_sound_mean_of(f"{region}_ssim"),
        description=f"SSIM over {where}; the published arithmetic is sound",
    )
    return psnr, ssim, sound_psnr, frame_psnr, sound_ssim


METRICS: tuple[Metric, ...] = tuple(
    metric for region, where in _REGIONS.items() for metric in _of_region(region, where)
)

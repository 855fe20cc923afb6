"""Columns about pictures and faces: sharpness."""

from __future__ import annotations

from collections.abc import Callable

from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import MeanTally
from tlbench.observing.evidence import Evidence


def _frame_mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    """The tally of an array with one number for each frame that counts."""

    def tally(evidence: Evidence) -> MeanTally:
        values = evidence.array(name)
        return MeanTally(float(values.sum()), len(values))

    return tally


METRICS: tuple[Metric, ...] = (
    Metric(
        name="sharpness",
        arithmetic="sound",
        label="Sharpness",
        observer="sharpness",
        view="",
        unit="",
        better="higher",
        version=1,
        tally=_frame_mean_of("laplacian_variance"),
        description="variance of the Laplacian of the grey picture (Pech-Pacheco et al. 2000), mean over the frames "
        "that show the face",
        aggregation="frames",
        headline=False,
        digits=1,
        lowest=0,
    ),
)

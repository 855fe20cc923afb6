"""One number of that evidence: do the lips move when the real ones do?"""

from __future__ import annotations

import numpy as np

from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import MeanTally
from tlbench.observing.evidence import Evidence


def motion_together(evidence: Evidence) -> MeanTally:
    """Correlation of the two curves of motion of one clip; 0 where one of them is flat, as with a frozen mouth."""
    generated, reference = evidence.array("generated"), evidence.array("reference")
    if not generated.any() or not reference.any():
        return MeanTally(0.0, 1)
    generated, reference = generated - generated.mean(), reference - reference.mean()
    size = float(np.sqrt((generated**2).sum() * (reference**2).sum()))
    return MeanTally(float((generated * reference).sum()) / size if size else 0.0, 1)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="motion",
        arithmetic="sound",  # nobody published it, so there is no "paper"
        label="Motion",
        observer="motion",
        view="lower-face",
        unit="",
        better="higher",
        version=1,
        tally=motion_together,
        description="correlation over time of how much the lower half of the face moves in the generated and in the "
        "real video, mean over clips",
        aggregation="clips",
        digits=3,
    ),
)

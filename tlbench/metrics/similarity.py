"""AVS: similarity of lips, speech and the real clip by AV-HuBERT's features.

After Yaman et al. 2024 (arXiv 2405.04327), who define the three metrics. Their layer and pooling could not be checked;
version 1 takes the last encoder layer, the cosine of each frame, and the mean over frames, so the numbers can't be
compared with theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import MeanTally
from tlbench.observing.evidence import Evidence

_HOW = "cosine of AV-HuBERT's last encoder layer a frame, mean over frames, then clips (after Yaman et al. 2024)"


def _clip_mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    def tally(evidence: Evidence) -> MeanTally:
        return MeanTally(evidence.number(name), 1)

    return tally


def _avs(name: str, label: str, what: str) -> Metric:
    return Metric(
        name=name,
        arithmetic="sound",
        label=label,
        observer="avhubert",
        view="",
        unit="",
        better="higher",
        version=1,
        tally=_clip_mean_of(name),
        description=f"{what}: {_HOW}",
        aggregation="clips",
        headline=False,
        digits=3,
        mode="similarity",
        lowest=-1,
        highest=1,
    )


METRICS: tuple[Metric, ...] = (
    _avs("avs_u", "AVSu", "likeness of speech alone and lips alone of the generated clip"),
    _avs("avs_m", "AVSm", "likeness of lips with speech of the generated and of the reference clip"),
    _avs("avs_v", "AVSv", "likeness of lips alone of the generated and of the reference clip"),
    Metric(
        name="lip_score",
        arithmetic="paper",
        label="LipScore",
        observer="autoavsr",
        view="",
        unit="",
        better="higher",
        version=1,
        tally=_clip_mean_of("lip_score"),
        description="likeness of the lips of the generated and of the reference clip: cosine of auto_avsr's encoder "
        "output a frame, mean over the frames that both have, then clips (KeySync evaluation/lipscore.py)",
        aggregation="clips",
        headline=False,
        digits=3,
        mode="similarity",
    ),
)

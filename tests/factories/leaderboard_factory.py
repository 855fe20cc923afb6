"""Complete results of known metrics, as one may file them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import MeanTally
from tlbench.observing.clip_info import ClipInfo
from tlbench.scoring.aggregation import make_intervals
from tlbench.scoring.result import ClipScore, Result, Role
from tlbench.statistics import IntervalSettings

METRICS = (find_metric("ssim/sound"), find_metric("lse_c/sound"))
SYNCNET = "961e8696f888" + "0" * 52
VALUES = tuple(0.5 + i / 100 for i in range(20))
PROVENANCE: dict[str, Any] = {"tlbench": "0.1.0", "weights": {"syncnet": {"sha256": SYNCNET}}}


def filed_result(
    name: str = "Mine",
    values: Sequence[float] = VALUES,
    *,
    role: Role = "system",
    boxes: str = "haar",
    dataset: str = "grid",
) -> Result:
    """A clip a value; LSE-C is ten times SSIM."""
    clips = tuple(
        ClipScore(
            ClipInfo(
                f"s1/c{i:02d}",
                "s1",
                generated_sha256=sha256(f"{name}{i}".encode()).hexdigest(),
                reference_sha256=sha256(f"{i}".encode()).hexdigest(),
                frames=75,
            ),
            tallies={"ssim/sound": MeanTally(75 * value, 75), "lse_c/sound": MeanTally(10 * value, 1)},
        )
        for i, value in enumerate(values)
    )
    settings = IntervalSettings(resamples=200)
    place = {"dataset": dataset, "split": "test", "decoding": "pyav-25fps@1"}
    return Result(
        name=name,
        dataset=dataset,
        split="test",
        metrics=METRICS,
        protocols={
            "ssim/sound": Protocol.of(METRICS[0], view="face-box-96@1", boxes=boxes, **place),
            "lse_c/sound": Protocol.of(METRICS[1], view="syncnet-whole-jpeg@4", weights_sha256=SYNCNET, **place),
        },
        clips=clips,
        expected=len(clips),
        intervals=make_intervals(clips, METRICS, settings),
        interval=settings,
        role=role,
        provenance=PROVENANCE,
    )


def with_clip(result: Result, index: int, **changes: Any) -> Result:
    """The result with one clip changed."""
    clips = list(result.clips)
    clips[index] = replace(clips[index], **changes)
    return replace(result, clips=tuple(clips))


def with_info(result: Result, index: int, **changes: Any) -> Result:
    """The result with the facts of one clip changed."""
    return with_clip(result, index, info=replace(result.clips[index].info, **changes))

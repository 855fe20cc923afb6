"""Answers of made-up participants with known means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tlbench.statistics import IntervalSettings
from tlbench.study.answers import GROUND_TRUTH, Answers, Score

QUICK = IntervalSettings(resamples=200)
METHODS = ("Faceformer", "Wav2Lip")


def answers(
    participants: int = 12,
    clips: int = 6,
    means: dict[str, float] | None = None,
    seed: int = 0,
    **changes: object,
) -> Answers:
    """Everybody scores ``quality`` of each clip in every condition about a mean, with a habit of their own."""
    means = means or {"Faceformer": 2.5, "Wav2Lip": 3.5, GROUND_TRUTH: 4.5}
    rng = np.random.default_rng(seed)
    scores = []
    for who in range(participants):
        habit = rng.normal(0, 0.3)
        for condition, mean in means.items():
            for clip in range(clips):
                score = int(np.clip(round(mean + habit + rng.normal(0, 0.6)), 1, 5))
                scores.append(Score(who, condition, f"c{clip:05d}", "quality", score))
    made = Answers(
        conditions=(*METHODS, GROUND_TRUTH),
        dataset="toy",
        split="test",
        invited=participants,
        scores=tuple(scores),
        transcriptions=(),
        checks=(),
        finished=frozenset(range(participants)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]

"""What people are asked about videos: scales from 1 to 5, and the words they read without sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LOWEST, HIGHEST = 1, 5  # TalkLip, section 4.3: "Each metric ranges from 1 to 5"


@dataclass(frozen=True)
class Measure:
    """One column of the table.

    Attributes
    ----------
    key, label : str
        For programs, and as in the paper's Table 2.
    better : "higher" or "lower"
    unit : str
    scale : float
        From ratio to unit.
    low, high : float
        What the measure can reach, in its unit.
    """

    key: str
    label: str
    better: Literal["higher", "lower"]
    unit: str
    scale: float
    low: float
    high: float


# TalkLip, Table 2, whose four columns these are. There, too, readability is a score that is given knowing the word.
SCALES = (
    Measure("quality", "VQ", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("sync", "Sync", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("realness", "Real", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("readability", "RI", "higher", "", 1.0, LOWEST, HIGHEST),
)
WORDS_READ = Measure("words_read", "read", "higher", "%", 100.0, 0.0, 100.0)
WORD_ERRORS = Measure("word_errors", "WER", "lower", "%", 100.0, 0.0, float("inf"))

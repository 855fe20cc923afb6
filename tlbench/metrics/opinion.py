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
        For programs, and for tables as in Table 2 of the paper.
    better : "higher" or "lower"
    unit : str
    scale : float
        Factor from the ratio to the unit.
    low, high : float
        Least and greatest possible value, in the unit.
    """

    key: str
    label: str
    better: Literal["higher", "lower"]
    unit: str
    scale: float
    low: float
    high: float


# The four columns of TalkLip, Table 2. There, too, readability is scored by people who know the word.
SCALES = (
    Measure("quality", "VQ", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("sync", "Sync", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("realness", "Real", "higher", "", 1.0, LOWEST, HIGHEST),
    Measure("readability", "RI", "higher", "", 1.0, LOWEST, HIGHEST),
)
WORDS_READ = Measure("words_read", "read", "higher", "%", 100.0, 0.0, 100.0)
WORD_ERRORS = Measure("word_errors", "WER", "lower", "%", 100.0, 0.0, float("inf"))

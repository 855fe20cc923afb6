"""A clip: one utterance, where its files are and what is said in it. Nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """One utterance to be scored.

    Attributes
    ----------
    id : str
        Name of the clip inside its data set, ``/``-separated, without extension:
        ``6331559613336179781/00002`` (LRS2), ``ABOUT/test/ABOUT_00001`` (LRW), ``s1/bbaf2n`` (GRID).
    reference : Path or None
        The real video, or None where there is none (audio-video pairs).
    generated : Path or None
        The video under test, or None if the file is missing.
    transcript : str or None
        What is said, as the data set writes it; None if unknown.
    word : str or None
        The label of a word clip.
    speaker : str or None
        The unit within which clips are not independent (speaker, programme), for clustered intervals.
    boxes : Path or None
        Face boxes given with the clip: ``.npy``, (T, 4) int, x1 y1 x2 y2.
    landmarks : Path or None
        Face landmarks of the reference given with the clip: ``.npy``, (T, 68, 2) float, x y.
    audio : Path or None
        Where the speech comes from if not from the generated file itself.
    """

    id: str
    reference: Path | None = None
    generated: Path | None = None
    transcript: str | None = None
    word: str | None = None
    speaker: str | None = None
    boxes: Path | None = None
    landmarks: Path | None = None
    audio: Path | None = None

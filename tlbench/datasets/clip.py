"""A clip: one utterance, with its files, its text and the times of its words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Span:
    """A word or a phoneme and the time in which it is spoken."""

    begin_seconds: float
    end_seconds: float
    label: str


@dataclass(frozen=True)
class Clip:
    """One utterance to be scored.

    Attributes
    ----------
    id : str
        Name of the clip inside its data set, ``/``-separated, without extension:
        ``6331559613336179781/00002`` (LRS2), ``ABOUT/test/ABOUT_00001`` (LRW), ``s1/bbaf2n`` (GRID).
    reference : Path or None
        The real video; None if there is none (audio-video pairs).
    generated : Path or None
        The generated video; None if the file is missing.
    transcript : str or None
        The text as the data set writes it; None if unknown.
    word : str or None
        The label of a word clip.
    speaker : str or None
        The speaker or programme: clips with the same one are not independent, for clustered intervals.
    boxes : Path or None
        File of face boxes of the real video: ``.npy``, (T, 4) int, x1 y1 x2 y2.
    landmarks : Path or None
        File of face landmarks of the real video: ``.npy``, (T, 68, 2) float, x y.
    audio : Path or None
        File with the speech; None if it is in the generated video.
    source : Path or None
        The picture of the person that the video was generated from, for videos without a real one.
    word_times : tuple of Span
        The words of the transcript and when they are spoken in the real video, in order. Empty if they are not known,
        and in every clip until :func:`tlbench.datasets.word_times.with_word_times` has read them.
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
    source: Path | None = None
    word_times: tuple[Span, ...] = ()

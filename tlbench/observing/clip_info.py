"""The facts of one clip of a run, as observation, record and score hold them."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.datasets.clip import Clip


@dataclass(frozen=True)
class ClipInfo:
    """Who a clip is and which files were scored. It names no path, so it may be published.

    Attributes
    ----------
    id : str
        As in the data set, see :class:`tlbench.datasets.clip.Clip`.
    speaker : str or None
        The unit within which clips are not independent (speaker, programme).
    word : str or None
        The label of a clip of a single word.
    generated_sha256, reference_sha256 : str or None
        Of the bytes of both files; None if there is no such file or it was not read.
    pictures_sha256 : str or None
        Of the generated video's coded pictures, whatever container they are in. Not kept in result files.
    frames, frames_expected : int or None
        Frames of the generated video that were scored, and how many it should have.
    """

    id: str
    speaker: str | None = None
    word: str | None = None
    generated_sha256: str | None = None
    reference_sha256: str | None = None
    pictures_sha256: str | None = None
    frames: int | None = None
    frames_expected: int | None = None

    @classmethod
    def of(cls, clip: Clip) -> ClipInfo:
        """The facts that the data set states; nothing is known of the files yet."""
        return cls(clip.id, clip.speaker, clip.word)

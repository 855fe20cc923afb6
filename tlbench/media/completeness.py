"""Whether a file holds all the pictures that it announces."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from tlbench.media.announced import MOV, file_end, riff_bytes, track_end
from tlbench.media.rates import FRAMES_PER_SECOND

# A track that misses more frames than the larger of these is incomplete. Wav2Lip's script leaves out three frames of 75
# (its mel windows end early); from ten seconds on, 2 % is the larger limit.
MISSING_FRAMES, MISSING_SHARE = 5, 0.02
SLACK_FRAMES = 0.75  # of the file's own rate: timestamps and durations are rounded to 1 ms in Matroska and FLV
# The length of a whole file may be that of its sound with the encoder's delay, of at most 80 ms (Opus, RFC 7845, 4.2).
DELAY_SECONDS = 0.08


@dataclass(frozen=True)
class Missing:
    """What the header announces beyond what the file holds.

    Attributes
    ----------
    cut : bool
        Whether the file itself is shorter than it should be, or pictures that its index lists are not in it.
    seconds : float
        How much later than the last picture the header says that the track (or the file) ends.
    announced_seconds : float
        From the first picture to that end; 0 if the header says nothing.
    """

    cut: bool = False
    seconds: float = 0.0
    announced_seconds: float = 0.0

    @property
    def much(self) -> bool:
        """Whether the video is incomplete: more is missing than single frames."""
        there = self.announced_seconds - self.seconds
        return self.cut or is_short(there * FRAMES_PER_SECOND, self.announced_seconds * FRAMES_PER_SECOND)


def is_short(frames: float, expected: float) -> bool:
    """Whether so many of the expected frames (of 25 a second) are missing that a track is incomplete."""
    return expected - frames > max(MISSING_FRAMES, MISSING_SHARE * expected)


def missing_pictures(
    container: InputContainer,
    video: av.VideoStream,
    packet_count: int,
    begin: float,
    end: float,
    sound_end: float,
    path: Path,
) -> Missing:
    """What the header announces beyond the pictures of a file, after all packets were read.

    Parameters
    ----------
    packet_count : int
        Of the pictures, with those that an edit list hides.
    begin, end : float
        Of the pictures, in seconds on the file's clock.
    sound_end : float
        Likewise of the sound; 0 without sound.
    path : Path
    """
    kind = container.format.name
    if kind == "avi":  # its index may say less, its file size is exact
        declared, size = riff_bytes(path)
        if declared is not None and size < declared:
            return Missing(cut=True)
    if kind == MOV:  # exact; an edit list that leaves out the end leaves it out of the index
        return Missing(cut=packet_count < len(video.index_entries))
    announced, last, slack = track_end(container, video, path), end, SLACK_FRAMES / nominal_rate(video)
    if announced is None:
        announced, last, slack = file_end(container), max(end, sound_end), slack + DELAY_SECONDS
    if announced is None:
        return Missing()
    seconds = float(announced) - last
    return Missing(False, seconds, float(announced) - begin) if seconds > slack else Missing()


def nominal_rate(video: av.VideoStream) -> Fraction:
    """Pictures a second by the header, 25 if it does not say."""
    return Fraction(video.average_rate or video.guessed_rate or FRAMES_PER_SECOND)

"""How many frames a clip should have, and what follows if the generated video has another number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tlbench.media.probe import FRAMES_PER_SECOND, VideoInfo, tick_at_25
from tlbench.preflight.findings import Finding, finding

# AAC comes in blocks of 1024 samples: at 16 kHz a sound may be 1.6 frames longer than what was put in. LRS2's are.
ROUNDING_FRAMES = 1.6
SLACK_FRAMES = 1.0  # a cut to the next frame, by whoever made the file
# A video that is short by more than the larger of these is not the whole clip. Wav2Lip's own script leaves out three
# frames of 75 (its mel windows end early); from ten seconds on, 2 % is the larger.
MISSING_FRAMES, MISSING_SHARE = 5, 0.02
# SyncNet loses 5 frames; 10 windows of speech are then compared with lips up to 3 frames either way (docs/metrics.md).
LEAST_SYNC_FRAMES = 21


def frames_at_25(video: VideoInfo) -> int:
    """How many frames an observer sees of a video, which is converted to 25 frames a second first."""
    return video.frame_count if video.even_at_25 else max(1, tick_at_25(video.duration_seconds))


def expected_frames(
    frames: int, reference: VideoInfo | None, of_dataset: int | None, sound_seconds: float | None
) -> int | None:
    """How many frames a clip should have: as many as the real video, else as the data set's clips, else as the sound.

    Parameters
    ----------
    frames : int
        Of the generated video; a sound that ends within its rounding of them expects as many.
    reference : VideoInfo or None
    of_dataset : int or None
        What every clip of the data set has.
    sound_seconds : float or None
        Length of the speech that the video was made for.
    """
    if reference is not None:
        return frames_at_25(reference)
    if of_dataset is not None:
        return of_dataset
    if sound_seconds is None:
        return None
    of_sound = sound_seconds * FRAMES_PER_SECOND
    return frames if frames + ROUNDING_FRAMES + SLACK_FRAMES >= of_sound else int(of_sound)


def is_short(frames: int, expected: int) -> bool:
    """Whether so many frames are missing that the video is not the whole clip."""
    return expected - frames > max(MISSING_FRAMES, MISSING_SHARE * expected)


def check_frame_count(
    clip_id: str, frames: int, expected: int | None, whose: str, *, allow_short: bool = False
) -> Iterator[Finding]:
    """``single-frame``, ``few-frames`` or ``frame-count``, whichever is worst.

    Parameters
    ----------
    frames, expected : int
        Of the generated video at 25 a second, and of what it should be as long as.
    whose : str
        What ``expected`` is of, for the message: ``the real video``.
    allow_short : bool
        A short video is a warning, since its user said so.
    """
    if frames == 1 and expected != 1:
        yield finding("single-frame", clip_id, "one frame only" + (f", {whose} {expected}" if expected else ""))
    elif expected is not None and is_short(frames, expected):
        message = f"{frames} of {expected} frames of {whose}: it stops early"
        found = finding("few-frames", clip_id, message)
        yield replace(found, level="warning") if allow_short else found
    elif expected is not None and frames != expected:
        yield finding("frame-count", clip_id, f"{frames} frames, {whose} {expected}")


def check_sync_length(clip_id: str, expected: int | None, observers: tuple[str, ...] = ()) -> Iterator[Finding]:
    """``short-clip``: whether the clip itself is too short to compare the same speech at every shift.

    Parameters
    ----------
    expected : int or None
        How many frames the clip should have at 25 a second; None if nothing says so.
    observers : tuple of str
        Whose ``sound`` numbers leave such a clip out.
    """
    if expected is not None and expected < LEAST_SYNC_FRAMES:
        message = f"{expected} frames; LSE takes {LEAST_SYNC_FRAMES} to compare the same speech at each shift"
        yield replace(finding("short-clip", clip_id, message), observers=observers)

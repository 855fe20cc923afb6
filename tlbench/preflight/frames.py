"""How many frames a clip should have, and findings if the generated video has another number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tlbench.media.completeness import is_short
from tlbench.media.probe import VideoInfo, tick_at_25
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.preflight.findings import Finding, finding

# AAC has blocks of 1024 samples: at 16 kHz a sound can be 1.6 frames longer than the samples encoded, as in LRS2.
ROUNDING_FRAMES = 1.6
SLACK_FRAMES = 1.0  # whoever made the file may have cut it to the next frame
# SyncNet's windows take 5 frames; 10 windows are then compared with lips up to 3 frames away (docs/metrics.md).
LEAST_SYNC_FRAMES = 21


def frames_at_25(video: VideoInfo) -> int:
    """Number of frames of a video after conversion to 25 frames/s."""
    return video.frame_count if video.even_at_25 else max(1, tick_at_25(video.duration_seconds))


def expected_frames(
    frames: int, reference: VideoInfo | None, of_dataset: int | None, sound_seconds: float | None
) -> int | None:
    """How many frames a clip should have: those of the real video, else of the data set's clips, else of the sound.

    Parameters
    ----------
    frames : int
        Of the generated video. It is the expected number if it fits the sound within rounding.
    reference : VideoInfo or None
    of_dataset : int or None
        Frames of every clip of the data set, if all have the same.
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


def check_frame_count(
    clip_id: str, frames: int, expected: int | None, source: str, *, allow_short: bool = False
) -> Iterator[Finding]:
    """``single-frame``, ``few-frames`` or ``frame-count``, whichever is worst.

    Parameters
    ----------
    frames, expected : int
        Frames of the generated video at 25 frames/s, and the number it should have.
    source : str
        Where ``expected`` comes from, for the message: ``the real video``.
    allow_short : bool
        A short video is a warning instead of an error.
    """
    if frames == 1 and expected != 1:
        yield finding("single-frame", clip_id, "one frame only" + (f", {source} {expected}" if expected else ""))
    elif expected is not None and is_short(frames, expected):
        message = f"{frames} of {expected} frames of {source}: it stops early"
        found = finding("few-frames", clip_id, message)
        yield replace(found, level="warning") if allow_short else found
    elif expected is not None and frames != expected:
        yield finding("frame-count", clip_id, f"{frames} frames, {source} {expected}")


def check_sync_length(clip_id: str, expected: int | None, observers: tuple[str, ...] = ()) -> Iterator[Finding]:
    """``short-clip`` if the clip itself is too short to compare the same speech at every shift.

    Parameters
    ----------
    expected : int or None
        How many frames the clip should have at 25 frames/s; None if that is not known.
    observers : tuple of str
        Observers with ``sound`` numbers that leave such a clip out.
    """
    if expected is not None and expected < LEAST_SYNC_FRAMES:
        message = f"{expected} frames; LSE takes {LEAST_SYNC_FRAMES} to compare the same speech at each shift"
        yield replace(finding("short-clip", clip_id, message), observers=observers)

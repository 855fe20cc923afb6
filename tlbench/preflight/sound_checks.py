"""Checks of a clip's sound: whether it is audible, is the clip's own, and starts with the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import LEAST_SOUND_SECONDS
from tlbench.media.probe import VideoInfo
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.sound_track import SoundLoss
from tlbench.preflight.findings import Finding, error_text, finding
from tlbench.preflight.frames import ROUNDING_FRAMES, SLACK_FRAMES
from tlbench.preflight.sound import SAME_SPEECH, Sound, likeness, measure_sound, silence_frames

SOUND_LOST = "sound-lost"  # the error that a run takes from here; observers report a silent sound themselves
SILENCE_FRAMES = 5.0  # leading silence beyond that of the real video: a breath is shorter, padding is longer


def check_sound_file(clip: Clip, video: VideoInfo, reference: VideoInfo | None) -> Iterator[Finding]:
    path = clip.generated if clip.audio is None else clip.audio
    assert path is not None  # checked by the caller
    try:
        sound = measure_sound(path)
    except ClipError as error:
        code = "no-audio" if error.code == "no-audio" else "unreadable-audio"
        yield finding(code, clip.id, f"{path.name}: {error_text(error, path)}")
        return
    yield from check_sound(clip, video, reference, sound)


def check_sound(clip: Clip, video: VideoInfo, reference: VideoInfo | None, sound: Sound) -> Iterator[Finding]:
    """Findings about the clip's sound, compared with the real video's sound if it has any."""
    own = video.audio if clip.audio is None else None
    if own is not None and (own.sample_rate, own.channels) != (SAMPLE_RATE, 1):
        yield finding("audio-format", clip.id, f"{own.sample_rate} Hz, {_channels(own.channels)}")
    lost = list(check_sound_loss(clip.id, sound.loss))
    yield from lost
    if any(found.code == SOUND_LOST for found in lost):  # what is left has another length, loudness and lag
        return
    if sound.sounding_seconds < LEAST_SOUND_SECONDS:
        audible = f"{sound.sounding_seconds:.2f} s of its sound rise above -60 dB of full scale"
        yield finding("silent-audio", clip.id, f"{audible}, LSE needs {LEAST_SOUND_SECONDS:g} s")
        return

    real = None
    if clip.reference is not None and reference is not None and reference.audio is not None and own is not None:
        real = _sound_or_none(clip.reference)
    if real is not None and real.loss.much:  # what is left says nothing about the generated video's sound
        yield finding("reference-sound-lost", clip.id, f"of the real video, {real.loss}")
        real = None
    excess_frames = (sound.seconds - video.duration_seconds) * FRAMES_PER_SECOND
    usual_frames = 0.0
    if real is not None and reference is not None:
        usual_frames = (real.seconds - reference.duration_seconds) * FRAMES_PER_SECOND
    too_long = excess_frames > max(usual_frames, 0.0) + ROUNDING_FRAMES + SLACK_FRAMES
    too_short = excess_frames < min(usual_frames, 0.0) - SLACK_FRAMES
    if too_long or too_short:
        message = f"sound {sound.seconds:.2f} s, pictures {video.duration_seconds:.2f} s"
        yield finding("audio-video-length", clip.id, message)
    # `read_audio` pads a late sound with silence and cuts off what comes before the first picture.
    if real is not None:
        yield from _compare_sounds(clip.id, sound, real)
    elif own is not None and abs(sound.start_seconds) * FRAMES_PER_SECOND > ROUNDING_FRAMES + SLACK_FRAMES:
        yield finding("audio-start", clip.id, _start(sound.start_seconds))


def check_sound_loss(clip_id: str, loss: SoundLoss) -> Iterator[Finding]:
    """``sound-lost`` or ``sound-missing`` if not all of the announced sound is there.

    The limit is that of frames, in seconds: more than 0.2 s and more than 2 %.
    """
    if loss.lost_seconds <= 0:
        return
    yield finding(SOUND_LOST if loss.much else "sound-missing", clip_id, str(loss))


def _compare_sounds(clip_id: str, sound: Sound, real: Sound) -> Iterator[Finding]:
    """Findings about the sounds of the generated and of the real video, each timed from its first picture."""
    match = likeness(sound.loudness, real.loudness)
    if match is not None and match.correlation < SAME_SPEECH:
        follows = f"its loudness follows the real clip's to {match.correlation:.2f} only"
        yield finding("other-audio", clip_id, f"{follows} (same speech: over {SAME_SPEECH})")
        return
    if abs(sound.seconds - real.seconds) * FRAMES_PER_SECOND > ROUNDING_FRAMES + SLACK_FRAMES:
        yield finding("audio-length", clip_id, f"{sound.seconds:.2f} s, the real clip's {real.seconds:.2f} s")
    late_seconds = sound.start_seconds - real.start_seconds
    late_frames = late_seconds * FRAMES_PER_SECOND
    lag_frames = late_frames + (match.lag_frames if match is not None else 0.0)
    silence, usual = silence_frames(sound.loudness), silence_frames(real.loudness)
    if abs(lag_frames) > SLACK_FRAMES and abs(late_frames) > SLACK_FRAMES:
        yield finding("audio-start", clip_id, f"{_start(late_seconds)}, other than in the real video")
    elif silence + late_frames - usual > SILENCE_FRAMES:
        before = f"{silence / FRAMES_PER_SECOND:.2f} s before the first sound"
        yield finding("leading-silence", clip_id, f"{before}, the real clip {usual / FRAMES_PER_SECOND:.2f} s")
    elif abs(lag_frames) > SLACK_FRAMES:
        direction = "later" if lag_frames > 0 else "earlier"
        yield finding("audio-lag", clip_id, f"{abs(lag_frames):.1f} frames {direction} than the real clip's")


def _sound_or_none(reference: Path) -> Sound | None:
    """The real video's sound; None if it can't be read, which is no fault of the generated video."""
    try:
        return measure_sound(reference)
    except ClipError:
        return None


def _start(seconds: float) -> str:
    return f"sound starts {abs(seconds):.2f} s {'after' if seconds > 0 else 'before'} the pictures"


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")

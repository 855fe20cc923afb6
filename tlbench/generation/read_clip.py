"""The files of a clip, each read once however many generators are given it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.generation.generation_log import ClipProvenance
from tlbench.media.audio import read_whole_audio, sound_form
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.observing.cache import content_sha256
from tlbench.observing.face_boxes import BoxRule

NO_BOXES = "none"  # in place of a rule, for a generator that needs none
VIDEO_BYTES = 256 * 2**20  # frames of a video up to this size are kept in memory, so that it is decoded once


class ReadClip:
    """A clip, and what was read of its files so far. Not for several threads.

    Parameters
    ----------
    clip : Clip
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    @cached_property
    def video(self) -> VideoReader:
        """The reference video."""
        assert self.clip.reference is not None  # `provenance` refuses a clip without one
        return VideoReader(self.clip.reference, VIDEO_BYTES)

    @cached_property
    def frames(self) -> int:
        """The number of frames of the reference video."""
        return sum(len(chunk) for chunk in self.video.frames())

    def samples(self, *, needed: bool) -> np.ndarray | None:
        """The speech, (N,) int16 at 16 kHz; None without sound. Raises ClipError ``no-audio`` if it is needed."""
        found = self._sound
        if isinstance(found, np.ndarray):
            return found
        if needed or found.code != "no-audio":
            raise found
        return None

    @cached_property
    def _sound(self) -> np.ndarray | ClipError:
        speech = self.clip.audio or self.clip.reference
        assert speech is not None  # `provenance` refuses a clip without one
        try:
            return read_whole_audio(speech)
        except ClipError as error:
            return error

    def sound_conversion(self) -> list[str]:
        """What was converted of the speech, none or one line."""
        speech = self.clip.audio or self.clip.reference
        if speech is None or not isinstance(self._sound, np.ndarray):
            return []
        rate, channels = sound_form(speech)
        if (rate, channels) == (SAMPLE_RATE, 1):
            return []
        return [f"sound of {audio_form(rate, channels)} to 16000 Hz in one channel"]

    def provenance(self, rule: BoxRule | None) -> ClipProvenance:
        """As :func:`provenance_of`."""
        return replace(self._files, boxes=_boxes_by(self.clip, rule))

    @cached_property
    def _files(self) -> ClipProvenance:
        return provenance_of(self.clip, None)


def provenance_of(clip: Clip, rule: BoxRule | None) -> ClipProvenance:
    """Hashes of the files that a clip's video is generated from. Raises ClipError if one is missing."""
    boxes = _boxes_by(clip, rule)
    audio = None if clip.audio is None else content_sha256(clip.audio, clip.id, "sound file")
    return ClipProvenance(content_sha256(clip.reference, clip.id, "reference video"), audio, boxes)


def _boxes_by(clip: Clip, rule: BoxRule | None) -> str:
    if rule is None:
        return NO_BOXES
    return rule.identity if clip.boxes is None else "given:" + content_sha256(clip.boxes, clip.id, "box file")


def audio_form(rate: int, channels: int) -> str:
    """A sample rate and a number of channels as text: ``44100 Hz in 2 channels``."""
    return f"{rate} Hz in {channels} channels" if channels > 1 else f"{rate} Hz"

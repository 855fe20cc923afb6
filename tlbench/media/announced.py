"""How long a file says that its tracks are, where it says so itself.

An estimate announces nothing: FFmpeg makes one from the bit rate for MPEG-TS and for raw AAC, AC-3 and MP3, and from
the file's size for a WAV or AVI that was cut. What is left then is compared with the timestamps alone.

What each container says:

- mp4 and mov: the edit list of each track (ISO/IEC 14496-12, 8.6.6), which FFmpeg gives as start and duration.
- Matroska and WebM: a tag ``DURATION`` for each track (https://www.matroska.org/technical/tagging.html), which counts
  the encoder's delay; without tags one duration of the whole file. A live recording has neither.
- AVI: the number of chunks or samples in each track's header. WAV and AVI: the size of the file, in its first bytes.
- FLV, Ogg: one duration of the whole file (of Ogg, the position of its last page).
- FLAC, AIFF, AU, CAF, W64, MXF: the number of samples or the duration in the header.
- MP3: the number of frames in a Xing, Info or VBRI header, if it has one.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from tlbench.files import MEDIA, open_outside
from tlbench.media.id3 import id3_bytes

MOV = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"
RIFF = frozenset({"avi", "wav"})
OF_TRACK = frozenset({MOV, "flac", "aiff", "au", "caf", "w64", "mxf"})
OF_FILE = frozenset({MATROSKA, "flv", "ogg"})
# A RIFF that is written to a pipe can't know its size: ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000 and more, others 0.
UNKNOWN_RIFF_BYTES = 0x7FFFF000
# Where an MP3's first frame has the number of frames: after the name and flags of a Xing or Info header, if the lowest
# bit is set, or ten bytes after the name VBRI (libavformat/mp3dec.c, mp3_parse_info_tag and mp3_parse_vbri_tag).
# FFmpeg's duration is not taken: it becomes an estimate if tags follow the frames.
MP3_HEADER_BYTES = 64
XING, VBRI = (
    re.compile(rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](.{4})", re.DOTALL),
    re.compile(rb"VBRI.{10}(.{4})", re.DOTALL),
)
MP3_SAMPLES, LOW_RATE_SAMPLES = 1152, 576  # of a frame: MPEG-1, and MPEG-2 and 2.5, which have less than 32,000 Hz
MPEG_1_RATE = 32_000
CLOCK = re.compile(r"(\d{1,9}):(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)", re.ASCII)
FILE_CLOCK = Fraction(1, 1_000_000)  # seconds, FFmpeg's AV_TIME_BASE


def track_end(container: InputContainer, stream: av.VideoStream | av.AudioStream, path: Path) -> Fraction | None:
    """When a track ends by its own header, in seconds on the file's clock; None if nothing says it.

    The delay of a sound's encoder, which is not played, may be part of it.
    """
    kind = container.format.name
    time_base = Fraction(stream.time_base or 0)
    if kind in OF_TRACK:
        return None if not stream.duration else ((stream.start_time or 0) + stream.duration) * time_base
    if kind == "mp3" and isinstance(stream, av.AudioStream):
        return _mp3_seconds(path, stream.codec_context.sample_rate)
    if kind == MATROSKA:
        return _clock(stream.metadata.get("DURATION", ""))
    if kind == "wav":
        declared, size = riff_bytes(path)
        whole = (stream.duration or 0) * time_base  # of what the file has: FFmpeg cuts it to the file's size
        return whole * declared / size if declared is not None and declared > size else whole or None
    if kind == "avi" and stream.frames:
        return stream.frames * time_base
    return None


def file_end(container: InputContainer) -> Fraction | None:
    """When the last of the file's tracks ends by its header, in seconds on its clock; None if nothing says it."""
    if container.format.name not in OF_FILE or not container.duration:
        return None
    starts_at_zero = container.format.name != "ogg"  # its duration counts from its first page
    start = 0 if starts_at_zero else container.start_time or 0
    return (start + container.duration) * FILE_CLOCK


def riff_bytes(path: Path) -> tuple[int | None, int]:
    """How long a WAV or AVI says that the file is (None if it does not), and how long it is, in bytes."""
    with open_outside(path, MEDIA) as file:
        declared = int.from_bytes(file.read(8)[4:], "little")
        size = file.seek(0, 2)
    return (None if declared == 0 or declared >= UNKNOWN_RIFF_BYTES else declared + 8), size


def _mp3_seconds(path: Path, sample_rate: int) -> Fraction | None:
    """How long the first frame of an MP3 says that all frames are; None if it does not."""
    with open_outside(path, MEDIA) as file:
        file.seek(id3_bytes(file))
        head = file.read(MP3_HEADER_BYTES)
    found = XING.search(head) or VBRI.search(head)
    if found is None or not sample_rate:
        return None
    samples = MP3_SAMPLES if sample_rate >= MPEG_1_RATE else LOW_RATE_SAMPLES
    return Fraction(int.from_bytes(found.group(1), "big") * samples, sample_rate) or None


def _clock(text: str) -> Fraction | None:
    """``00:00:03.000000000`` in seconds; None for anything else."""
    found = CLOCK.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)

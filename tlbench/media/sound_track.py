"""The sound of a file, block by block, and how much of what the file announces is not there.

Sound is lost where a packet can't be decoded or was marked as damaged, where the timestamps leave a hole or go back,
where a stream without a container has bytes that are no sound, and where the track ends before the length that the
file announces (:mod:`tlbench.media.announced`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from tlbench.files import MEDIA, open_outside
from tlbench.media.announced import MATROSKA, MOV, file_end, track_end
from tlbench.media.completeness import is_short
from tlbench.media.container import MediaError, packets, sound_stream
from tlbench.media.id3 import id3_bytes
from tlbench.media.rates import FRAMES_PER_SECOND

# Timestamps may be off by less than this: shorter than any block of a codec (Opus 20 ms, AAC 21 ms at 48 kHz), longer
# than the 16 ms by which FFmpeg stretches the first block of a fragmented mp4.
HOLE_SECONDS = 0.018
# Ends may differ by one block: AAC has 1024 samples, 64 ms at 16 kHz.
BLOCK_SECONDS = 0.065
# An mp4 without edit lists can't say that pictures begin later, so its first sample of sound is made to last longer.
STRETCHED_SECONDS = 0.2
# Many holes too short to be one are lost sound, too, if together they are longer than a block and than this share of
# the sound: more than clocks of recorders drift apart.
DRIFT_SHARE = 0.01
LONGEST_HOLE_SECONDS = 600.0  # of all holes together: more is a broken timestamp, which must not be filled with silence
# Telephone speech has 8,000 Hz, studio sound 192,000. Anything beyond these is a damaged header, and would be
# resampled to thousands of times its size.
LEAST_RATE, MOST_RATE = 2000, 768_000
RAW = frozenset({"mp3", "aac", "ac3"})  # streams without a container: no timestamps, every byte is sound
LARGEST_FRAME_BYTES = 1441  # of MP3: 320 kbit/s at 32 kHz. Its first frame may be a header, which is no packet.
ID3V1_BYTES = 128  # "TAG" and fixed fields at the end of a file (https://id3.org/ID3v1)
APE_FOOTER_BYTES = 32  # "APETAGEX", version, size with the footer (https://wiki.hydrogenaud.io/index.php?title=APEv2)
SKIP_BYTES = 4  # of the side data "skip_samples": how many to leave out at the beginning (libavcodec/packet.h)


@dataclass(frozen=True)
class SoundLoss:
    """How much of a sound is not there.

    Attributes
    ----------
    lost_seconds : float
        0 for a whole sound.
    announced_seconds : float
        From the first sample to the end that the file announces; to the last packet if it announces none.
    """

    lost_seconds: float
    announced_seconds: float

    @property
    def much(self) -> bool:
        """Whether what is left is another sound: more than 0.2 s and more than 2 % are lost, as of pictures."""
        there = self.announced_seconds - self.lost_seconds
        return is_short(there * FRAMES_PER_SECOND, self.announced_seconds * FRAMES_PER_SECOND)

    def __str__(self) -> str:
        return f"{self.lost_seconds:.2f} of {self.announced_seconds:.2f} s of its sound are lost or damaged"


class SoundTrack:
    """The track of a file's sound that is read, see :func:`tlbench.media.container.sound_stream`.

    Parameters
    ----------
    container : InputContainer
        Newly opened.
    path : Path
        Of the file.

    Raises
    ------
    MediaError
        ``no-audio`` if the file has no sound stream.
    """

    def __init__(self, container: InputContainer, path: Path) -> None:
        stream = sound_stream(container)
        if stream is None:
            raise MediaError("no-audio", f"{path}: no sound that can be read in it; give a file with a sound track")
        stream.codec_context.thread_count = 1
        self.stream = stream
        self.time_base = stream.time_base or Fraction(1, stream.codec_context.sample_rate or 1)
        self._container, self._path = container, path
        self._first: float | None = None  # seconds on the file's clock: of the first packet that is played
        self._begin: float | None = None  # of the first block
        self._may_stretch = container.format.name == MOV
        self._second = False  # whether the second block has come
        self._end = 0.0  # of the latest block
        self._packet_end = 0.0
        self._skipped = 0.0  # seconds of the encoder's delay
        self._failed = False  # whether packets since the latest block can't be decoded
        self._waiting = 0.0  # seconds of them, as far as they say it
        self._lost = self._holes = self._drift = self._decoded = 0.0
        self._good_bytes = 0
        self._first_byte: int | None = None

    def blocks(self) -> Iterator[av.AudioFrame]:
        """All sound that can be decoded, in the order of the file.

        Raises
        ------
        MediaError
            ``timestamps`` if the holes between blocks are longer than ten minutes together; ``unreadable`` for an
            impossible sample rate.
        """
        for packet in itertools.chain(packets(self._container, self.stream), [None]):
            if packet is not None:
                self._see(packet)
            try:
                frames = self.stream.decode(packet)
            except av.error.FFmpegError:  # a damaged packet; its time is filled with silence
                if packet is not None:  # a hidden one too: the block after it overlaps with it
                    self._failed = True
                    self._waiting += _seconds(packet.duration, packet)
                continue
            if packet is not None:
                self._good_bytes += packet.size
            for frame in frames:
                self._hear(frame, spoiled=frame.is_corrupt or (packet is not None and self._is_spoiled(packet)))
                yield frame

    @property
    def loss(self) -> SoundLoss:
        """What is not there, after all blocks were read."""
        begin = self._begin if self._begin is not None else self._first or 0.0
        end = max(self._end, self._packet_end)
        announced = self._announced_end()
        missing = 0.0 if announced is None else announced - end
        lost = (
            self._lost + self._waiting + (missing if missing > BLOCK_SECONDS or (missing > 0 and self._failed) else 0.0)
        )
        if self._drift > max(BLOCK_SECONDS, DRIFT_SHARE * (end - begin)):
            lost += self._drift
        if self._container.format.name in RAW:
            lost = max(lost, self._lost_of_bytes())
        whole = max(end if announced is None else max(announced, end), end) - begin
        return SoundLoss(lost, max(whole, lost))

    def _is_spoiled(self, packet: av.Packet[Any]) -> bool:
        """Whether the container says that a part of the packet is missing; of PCM the rest is right, and is counted."""
        return packet.is_corrupt and not self.stream.codec_context.name.startswith("pcm_")

    def _see(self, packet: av.Packet[Any]) -> None:
        if self._first_byte is None:
            self._first_byte = packet.pos or 0
        if packet.pts is None or packet.is_discard:
            return
        begin = _seconds(packet.pts, packet)
        if self._first is None:
            self._first = begin
            if packet.has_sidedata("skip_samples"):
                samples = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:SKIP_BYTES], "little")
                self._skipped = samples / (self.stream.codec_context.sample_rate or 1)
        self._packet_end = max(self._packet_end, begin + _seconds(packet.duration, packet))

    def _hear(self, frame: av.AudioFrame, *, spoiled: bool) -> None:
        """Count a decoded block, and what is missing between it and the one before."""
        if not LEAST_RATE <= frame.sample_rate <= MOST_RATE:
            raise MediaError(
                "unreadable", f"{self._path}: damaged header (sound of {frame.sample_rate} Hz); write the sound again"
            )
        seconds = frame.samples / frame.sample_rate
        begin = self._end if frame.pts is None else float(frame.pts * self.time_base)
        if self._begin is None:
            first = begin if self._first is None else self._first + self._skipped
            late = begin - first
            self._lost += max(self._waiting, late if late > BLOCK_SECONDS or self._failed else 0.0)
            self._begin = self._end = begin
        else:
            gap = begin - self._end
            stretched = self._may_stretch and not self._second and gap <= STRETCHED_SECONDS
            hole = gap if (gap > HOLE_SECONDS and not stretched) or (gap > 0 and self._failed) else 0.0
            back = min(-gap, seconds) if gap < -HOLE_SECONDS else 0.0  # played in the place of other sound
            self._lost += max(hole, self._waiting) + back
            self._drift += gap if abs(gap) <= HOLE_SECONDS else 0.0
            self._fill(hole)
            self._second = True
        self._failed, self._waiting = False, 0.0
        self._lost += seconds if spoiled else 0.0
        self._decoded += seconds
        self._end = max(self._end, begin + seconds)

    def _fill(self, gap: float) -> None:
        self._holes += gap
        if self._holes > LONGEST_HOLE_SECONDS:
            raise too_long_a_hole(self._path, self._holes)

    def _announced_end(self) -> float | None:
        end = track_end(self._container, self.stream, self._path)
        if end is None and len(self._container.streams) == 1:  # else other tracks may be the longest
            end = file_end(self._container)
        if end is None:
            return None
        delayed = self._container.format.name in (MATROSKA, "ogg")  # they count the delay, which is not played
        return float(end) - (self._skipped if delayed else 0.0)

    def _lost_of_bytes(self) -> float:
        """Of a stream without a container: how long the bytes would last that are not in a packet that decodes."""
        if not self._good_bytes:
            return 0.0
        with open_outside(self._path, MEDIA) as file:
            size, tags = os.fstat(file.fileno()).st_size, id3_bytes(file)
            file.seek(max(0, size - ID3V1_BYTES))
            if file.read(3) == b"TAG":
                size -= ID3V1_BYTES
            file.seek(max(0, size - APE_FOOTER_BYTES))
            footer = file.read(APE_FOOTER_BYTES)
        if footer.startswith(b"APETAGEX"):
            size -= min(size, int.from_bytes(footer[12:16], "little") + APE_FOOTER_BYTES)
        before = (self._first_byte or 0) - tags
        others = size - tags - (before if 0 < before <= LARGEST_FRAME_BYTES else 0) - self._good_bytes
        lost = others * self._decoded / self._good_bytes
        return lost if lost > BLOCK_SECONDS else 0.0


def too_long_a_hole(path: Path, seconds: float) -> MediaError:
    """``timestamps``: silence of that length must not be made up."""
    return MediaError("timestamps", f"{path}: a hole of {seconds:.0f} s in its sound; re-encode the file")


def _seconds(units: int | None, packet: av.Packet[Any]) -> float:
    return float((units or 0) * Fraction(packet.time_base or 0))

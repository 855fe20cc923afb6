"""Streams that lose a part of themselves: which packets, and how they are lost.

Packets are removed and the rest is written anew, so that the new file announces no more than it has, or their bytes are
overwritten in place, so that the header still announces them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from tests.factories.media_factory import tone, write_clip

FRAMES = 50
SECONDS = FRAMES / 25
PLACES = ("head", "middle", "tail", "interleaved")
TRACKS = ("pictures", "sound", "both")
SHARES = (0.01, 0.03, 0.5, 0.96)
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+delay_moov"}
# name, suffix, codec of the pictures, codec of the sound, its rate, options of the muxer
CONTAINERS = (
    ("mp4", ".mp4", "libx264", "aac", 16000, {}),
    ("mp4-faststart", ".mp4", "libx264", "aac", 44100, {"movflags": "faststart"}),
    ("mp4-fragmented", ".mp4", "libx264", "aac", 16000, FRAGMENTS),
    ("mov", ".mov", "libx264", "pcm_s16le", 16000, {}),
    ("mkv", ".mkv", "libx264", "aac", 16000, {}),
    ("mkv-live", ".mkv", "libx264", "flac", 16000, {"live": "1"}),
    ("webm", ".webm", "libvpx", "libopus", 48000, {}),
    ("avi", ".avi", "mpeg4", "mp3", 16000, {}),
    ("avi-pcm", ".avi", "mpeg4", "pcm_s16le", 16000, {}),
    ("ts", ".ts", "libx264", "aac", 16000, {}),
    ("mpg", ".mpg", "mpeg1video", "mp2", 44100, {}),
    ("flv", ".flv", "flv", "mp3", 44100, {}),
    ("ogg", ".ogg", "libvpx", "libopus", 48000, {}),
    ("nut", ".nut", "mpeg4", "mp2", 16000, {}),
)
REORDERED = ("mp4", "mp4-fragmented", "ts")  # with B-frames; a muxer of Matroska wants times that its demuxer lacks
PAYLOAD_MARK = 24  # bytes of a packet by which it is found in its file
TS_PACKET = 188


@dataclass(frozen=True)
class Loss:
    """Which packets of a file are lost.

    Attributes
    ----------
    place, tracks : str
        One of `PLACES` and of `TRACKS`.
    share : float
        Of the packets of each of these tracks; at least one is lost.
    """

    place: str
    tracks: str
    share: float

    def takes(self, kind: str, index: int, count: int) -> bool:
        """Whether packet ``index`` of ``count`` is lost, of a track of ``kind`` (``video`` or ``audio``)."""
        if self.tracks not in ("both", {"video": "pictures", "audio": "sound"}[kind]):
            return False
        lost = max(1, round(self.share * count))
        if self.place == "head":
            return index < lost
        if self.place == "tail":
            return index >= count - lost
        if self.place == "middle":
            return 0 <= index - (count - lost) // 2 < lost
        half = count // 2  # a single one is lost in the middle
        return ((index + 1) * lost + half) // count > (index * lost + half) // count


def write_whole(folder: Path, name: str, seed: int = 0) -> Path:
    """A whole clip of two seconds in one of `CONTAINERS`; its sound is different for each ``seed``."""
    _, suffix, codec, audio_codec, rate, options = next(row for row in CONTAINERS if row[0] == name)
    return write_clip(
        folder / f"{name}{suffix}",
        frames=FRAMES,
        width=160,
        height=160,
        codec=codec,
        codec_options={"g": "12", "bf": "2" if name in REORDERED else "0"},
        audio_codec=audio_codec,
        sample_rate=rate,
        samples=tone(SECONDS, rate, hertz=300 + 10 * seed),
        container_options=options,
    )


def removed(whole: Path, target: Path, loss: Loss) -> Path:
    """``whole`` written anew without the lost packets."""
    options = next((row[5] for row in CONTAINERS if row[0] == whole.stem), {})
    with av.open(str(whole)) as old, av.open(str(target), "w", options=options) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        counts, seen = _counts(whole), dict.fromkeys(streams, 0)
        for packet in old.demux():
            if not packet.size:
                continue
            index = seen[packet.stream_index]
            seen[packet.stream_index] += 1
            if packet.dts is not None and not loss.takes(packet.stream.type, index, counts[packet.stream_index]):
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return target


def overwritten(whole: Path, target: Path, loss: Loss, rng: random.Random) -> Path:
    """``whole`` with zeros or noise in place of the lost packets (in MPEG-TS: in place of what carries them)."""
    data = bytearray(whole.read_bytes())
    fill: Callable[[int], bytes] = rng.choice([bytes, rng.randbytes])
    for start, end in _ranges(whole, bytes(data), loss):
        data[start:end] = fill(end - start)
    target.write_bytes(bytes(data))
    return target


def _counts(path: Path) -> dict[int, int]:
    with av.open(str(path)) as file:
        counts = dict.fromkeys((stream.index for stream in file.streams), 0)
        for packet in file.demux():
            counts[packet.stream_index] += bool(packet.size)
    return counts


def _ranges(path: Path, data: bytes, loss: Loss) -> Iterator[tuple[int, int]]:
    """Where the lost packets are in the file."""
    if path.suffix == ".ts":
        yield from _ts_ranges(path, data, loss)
        return
    counts = _counts(path)
    with av.open(str(path)) as file:
        seen = dict.fromkeys(counts, 0)
        for packet in file.demux():
            if not packet.size or packet.pos is None:
                continue
            index = seen[packet.stream_index]
            seen[packet.stream_index] += 1
            if loss.takes(packet.stream.type, index, counts[packet.stream_index]):
                start = data.find(bytes(packet)[:PAYLOAD_MARK], max(0, packet.pos - 64))
                if start >= 0:
                    yield start, start + packet.size


def _ts_ranges(path: Path, data: bytes, loss: Loss) -> Iterator[tuple[int, int]]:
    """The packets of 188 bytes that carry a track, which are lost by their own number."""
    with av.open(str(path)) as file:
        kinds = {stream.id: stream.type for stream in file.streams}
    places: dict[int, list[int]] = {pid: [] for pid in kinds}
    for start in range(0, len(data) - TS_PACKET + 1, TS_PACKET):
        pid = int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF
        if pid in places:
            places[pid].append(start)
    for pid, starts in places.items():
        for index, start in enumerate(starts):
            if loss.takes(kinds[pid], index, len(starts)):
                yield start, start + TS_PACKET

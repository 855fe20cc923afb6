"""What a file announces and does not hold: nothing of good files, and as much as was taken away of others."""

from __future__ import annotations

import random
import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.media_factory import tone, write_clip, write_sound
from tests.media.test_timeline import KINDS, write_shifted
from tests.trouble.stream_cases import SOUNDS
from tests.trouble.stream_damage import CONTAINERS, SECONDS, Loss, overwritten, removed, write_whole
from tlbench.media.announced import track_end
from tlbench.media.audio import read_audio, read_whole_audio
from tlbench.media.completeness import MISSING_FRAMES, MISSING_SHARE
from tlbench.media.container import MediaError, opened
from tlbench.media.probe import LONG_GAPS_SECONDS, probe
from tlbench.media.sound_track import LONGEST_HOLE_SECONDS, SoundLoss
from tlbench.media.video_reader import read_video
from tlbench.preflight.sound import measure_sound
from tlbench.preflight.sound_checks import check_sound_loss


def lost_seconds(path: Path) -> float:
    """Of the sound, as ``check`` measures it; ``score`` gets the same."""
    seen: list[SoundLoss] = []
    read_audio(path, on_loss=seen.append)
    assert seen == [measure_sound(path).loss]
    return seen[0].lost_seconds


def assert_whole(path: Path) -> None:
    video = probe(path)
    assert (video.truncated, video.missing_seconds, lost_seconds(path)) == (False, 0.0, 0.0)


# Good files


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("pictures_late", "sound_late"), [(0, 0), ("1/5", 0), (0, "1/5")])
def test_nothing_is_lost_of_tracks_that_begin_apart(tmp_path, kind, pictures_late, sound_late):
    if kind in ("no-edit-list", "fragmented") and sound_late:
        pytest.skip("such a file can't say that a track begins late: its first sound lasts so long")
    assert_whole(write_shifted(tmp_path / KINDS[kind][0], kind, Fraction(pictures_late), Fraction(sound_late)))


@pytest.mark.parametrize("name", [row[0] for row in CONTAINERS])
def test_nothing_is_lost_of_a_whole_file_nor_of_a_copy(tmp_path, name):
    whole = write_whole(tmp_path, name)
    assert_whole(whole)
    if name == "avi":
        return  # without its encoder at hand, FFmpeg writes a header by which this MP3 lasts a fifth of its length
    (tmp_path / "copy").mkdir()
    assert_whole(removed(whole, tmp_path / "copy" / whole.name, Loss("head", "nothing", 0.0)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv"])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), 50, 12])
def test_nothing_is_lost_at_other_rates(tmp_path, suffix, rate):
    codec, sound = ("flv", "mp3") if suffix == ".flv" else ("mpeg4", "mp3")
    settings = {"codec_options": {"bf": "0"}, "audio_codec": sound, "sample_rate": 44100}
    assert_whole(write_clip(tmp_path / f"a{suffix}", frames=30, frames_per_second=rate, codec=codec, **settings))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("times", [[0, 40, 80, 400, 440, 900], [0, 33, 67, 100, 133, 1000], [0, 500, 1000, 1500]])
def test_nothing_is_lost_of_a_variable_rate(tmp_path, suffix, times):
    video = probe(write_clip(tmp_path / f"a{suffix}", frames=len(times), timestamps_ms=times))
    assert (video.truncated, video.missing_seconds) == (False, 0.0)


@pytest.mark.parametrize(("name", "codec", "rate"), SOUNDS)
def test_nothing_is_lost_of_a_file_of_sound(tmp_path, name, codec, rate):
    assert lost_seconds(write_sound(tmp_path / name, tone(SECONDS, rate), rate, codec)) == 0


@pytest.mark.parametrize(("name", "codec", "rate"), [row for row in SOUNDS if row[0] in ("a.mp3", "a.aac")])
def test_tags_are_no_lost_sound(tmp_path, name, codec, rate):
    path = write_sound(tmp_path / name, tone(SECONDS, rate), rate, codec)
    ape = b"APETAGEX" + struct.pack("<IIII8x", 2000, 3032, 1, 1 << 31)
    id3 = b"ID3\x04\x00\x00\x00\x00\x20\x00" + bytes(4096)
    path.write_bytes(id3 + path.read_bytes() + ape + bytes(3000) + ape[:8] + struct.pack("<IIII8x", 2000, 3032, 1, 0))
    with path.open("ab") as file:
        file.write(b"TAG" + bytes(125))
    assert lost_seconds(path) == 0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF024])
def test_a_wav_written_to_a_pipe_announces_nothing(tmp_path, size):
    path = write_sound(tmp_path / "a.wav", tone(SECONDS))
    data = bytearray(path.read_bytes())
    data[4:8] = size.to_bytes(4, "little")
    data[data.index(b"data") + 4 : data.index(b"data") + 8] = size.to_bytes(4, "little")
    path.write_bytes(data)
    assert lost_seconds(path) == 0


def test_what_an_edit_list_leaves_out_is_not_announced(tmp_path):
    path = write_shifted(tmp_path / "a.mp4", "mp4", Fraction(0), Fraction(0))
    data, place = bytearray(path.read_bytes()), 0
    while (place := data.find(b"elst", place) + 4) > 4:
        data[place + 8 : place + 12] = (800).to_bytes(4, "big")  # of 1600 ms
    path.write_bytes(data)
    video = probe(path)
    assert (video.frame_count, video.truncated, video.missing_seconds) == (20, False, 0.0)
    assert lost_seconds(path) == 0


# Losses


@pytest.mark.parametrize("name", ["mp4-faststart", "mkv", "avi", "ts", "flv", "mpg", "mp4-fragmented"])
@pytest.mark.parametrize("place", ["middle", "tail", "interleaved"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_as_much_is_lost_as_was_taken_away(tmp_path, name, place, share):
    whole = write_whole(tmp_path, name)
    path = overwritten(whole, tmp_path / f"lost{whole.suffix}", Loss(place, "sound", share), random.Random(1))
    if place == "tail" and name in ("ts", "mpg", "flv"):
        pytest.skip("nothing says how long the sound of such a file was")
    block = 0.14  # two of AAC at 16 kHz: the ends of the loss, and the block that overlaps with it
    if name in ("ts", "mpg"):  # a block of sound is in several packets, any of which spoils it
        assert lost_seconds(path) >= 0.8 * share * SECONDS - block
    else:
        assert lost_seconds(path) == pytest.approx(share * SECONDS, abs=block + 0.1 * share * SECONDS)


@pytest.mark.parametrize("name", [row[0] for row in CONTAINERS])
def test_a_hole_is_lost_though_the_file_was_written_anew(tmp_path, name):
    whole = write_whole(tmp_path, name)
    path = removed(whole, tmp_path / f"lost{whole.suffix}", Loss("middle", "sound", 0.3))
    if name in ("avi", "avi-pcm", "ogg", "mov"):
        return  # counts its sound: there is no hole in what is left
    assert lost_seconds(path) == pytest.approx(0.3 * SECONDS, abs=0.07)


@pytest.mark.parametrize(("name", "codec", "rate"), [row for row in SOUNDS if row[0] in ("a.mp3", "a.aac", "a.ac3")])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_bytes_of_a_bare_stream_that_are_no_sound_are_lost(tmp_path, name, codec, rate, share):
    path = write_sound(tmp_path / name, tone(SECONDS, rate), rate, codec)
    data = path.read_bytes()
    begin, end = int(len(data) * (1 - share) / 2), int(len(data) * (1 + share) / 2)
    path.write_bytes(data[:begin] + bytes(end - begin) + data[end:])
    assert lost_seconds(path) == pytest.approx(share * SECONDS, abs=0.2)


@pytest.mark.parametrize(("share", "enough"), [(0.0, True), (0.01, True), (0.3, False)])
def test_sound_that_drives_a_generator_or_is_learned_has_to_be_whole(tmp_path, share, enough):
    path = tmp_path / "a.mp4"
    overwritten(write_whole(tmp_path, "mp4"), path, Loss("middle", "sound", share), random.Random(1))
    if enough:
        assert np.array_equal(read_whole_audio(path), read_audio(path))
    else:
        with pytest.raises(MediaError, match=r"a\.mp4: \d\.\d\d of \d\.\d\d s of its sound are lost") as caught:
            read_whole_audio(path)
        assert caught.value.code == "sound-lost"


@given(announced=st.floats(0.5, 60), share=st.floats(0.001, 1))
def test_the_limits_are_those_of_frames(announced: float, share: float) -> None:
    lost = announced * share
    (found,) = check_sound_loss("a", SoundLoss(lost, announced))
    much = lost * 25 - max(MISSING_FRAMES, MISSING_SHARE * announced * 25)
    if abs(much) > 1e-6:
        assert (found.code, found.level) == (("sound-lost", "error") if much > 0 else ("sound-missing", "warning"))
    assert list(check_sound_loss("a", SoundLoss(0.0, announced))) == []


@pytest.mark.parametrize(("frames", "truncated"), [(3, False), (10, True)])
def test_pictures_that_a_header_announces_are_missing(tmp_path, frames, truncated):
    path = write_clip(tmp_path / "a.mkv", frames=50)
    tag = f"00:00:02.{frames * 40:03d}000000".encode()
    path.write_bytes(path.read_bytes().replace(b"00:00:02.000000000", tag))
    video = probe(path)
    assert video.missing_seconds == pytest.approx(frames / 25, abs=1e-6)
    assert video.truncated == truncated


# Lying headers and absurd times


def write_times(path: Path, starts: list[int], codec: str = "pcm_s16le") -> Path:
    """A tenth of a second of sound at each of these seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=16000, layout="mono")
        for start in starts:
            frame = av.AudioFrame.from_ndarray(tone(0.1)[:, 0][None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start * 16000, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_many_holes_are_not_filled_either(tmp_path):
    path = write_times(tmp_path / "a.mkv", [300 * number for number in range(40)])
    tracemalloc.start()
    for read in (read_audio, measure_sound):
        with pytest.raises(MediaError, match="a hole of 900 s") as refused:
            read(path)
        assert refused.value.code == "timestamps"
    assert tracemalloc.get_traced_memory()[1] < 4 * LONGEST_HOLE_SECONDS * 32_000
    tracemalloc.stop()


def test_many_gaps_between_pictures_are_not_filled_either(tmp_path):
    times = [50_000 * number for number in range(20)]
    path = write_clip(tmp_path / "a.mkv", frames=len(times), timestamps_ms=times)
    assert probe(path).long_gaps_seconds == pytest.approx(950)
    assert LONG_GAPS_SECONDS < 950
    with pytest.raises(MediaError, match="gaps of 950 s in all") as refused:
        read_video(path)
    assert refused.value.code == "timestamps"


def test_sound_that_goes_back_in_time_is_lost(tmp_path):
    part = write_clip(tmp_path / "part.ts", frames=25, audio_codec="aac", samples=tone(1.0))
    path = tmp_path / "twice.ts"
    path.write_bytes(part.read_bytes() * 2)
    assert lost_seconds(path) >= 0.9


def test_a_length_of_years_costs_nothing(tmp_path):
    path = write_clip(tmp_path / "a.mkv", frames=25, audio_codec="aac", samples=tone(1.0))
    data = path.read_bytes()
    place = data.index(b"\x44\x89\x88") + 3  # the segment's duration, eight bytes of a floating-point number
    data = data[:place] + struct.pack(">d", 1e12) + data[place + 8 :]
    path.write_bytes(data.replace(b"00:00:01.0", b"99:00:01.0"))
    tracemalloc.start()
    assert probe(path).truncated
    assert lost_seconds(path) > 99 * 3600 - 2
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text", ["", "1", "aa:bb:cc", "00:00:1e999999999", "0:0:0/0", "9" * 5000 + ":00:00", "٣:00:00"]
)
def test_a_tag_that_is_no_time_announces_nothing(tmp_path, text):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        stream.metadata["DURATION"] = text
        frame = av.AudioFrame.from_ndarray(tone(0.5)[:, 0][None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        container.mux(stream.encode(frame)), container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"00:00:00.500000000", b"xx:00:00.500000000"))
    with opened(path) as container:
        assert track_end(container, container.streams.audio[0], path) is None
    assert lost_seconds(path) == 0


@pytest.mark.parametrize("rate", [1, 100, 4_000_000_000])
def test_an_impossible_rate_is_a_damaged_header(tmp_path, rate):
    path = write_sound(tmp_path / "a.wav", np.tile(tone(1.0), (4, 1)))
    data = bytearray(path.read_bytes())
    place = data.index(b"fmt ") + 12
    data[place : place + 4] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(MediaError) as refused:
        read_audio(path)
    assert refused.value.code in ("unreadable", "truncated", "no-audio")

"""Whatever a file's container and however its tracks begin: pictures by number, sound to the sample."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.media_factory import number_of, picture, tone, write_clip, write_sound
from tlbench.media.audio import read_audio
from tlbench.media.container import MediaError, packets
from tlbench.media.timeline import CHANGED, chunk_times, decoding_key, has_holes, timeline
from tlbench.media.video_reader import VideoReader, read_video

FRAMES = 40
RATE = 48_000
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
LATE_INDEX = {"movflags": "frag_keyframe+empty_moov+delay_moov"}
H264, B_FRAMES = {"bf": "0", "g": "12"}, {"bf": "2", "g": "12"}
# name, encoder of the pictures and its options, encoder of the sound, options of the muxer, units of the clock a second
# (of an edit list 1000, unless the muxer is told otherwise)
KINDS = {
    "mp4": ("a.mp4", "libx264", H264, "aac", {}, 1000),
    "mp4-b-frames": ("a.mp4", "libx264", B_FRAMES, "aac", {}, 1000),
    "no-edit-list": ("a.mp4", "libx264", B_FRAMES, "aac", {"use_editlist": "0"}, 1000),
    "fragmented": ("a.mp4", "libx264", B_FRAMES, "aac", FRAGMENTS, 1000),
    "fragmented-late-index": ("a.mp4", "libx264", B_FRAMES, "aac", LATE_INDEX, 1000),
    "mov": ("a.mov", "libx264", B_FRAMES, "pcm_s16le", {"movie_timescale": "96000"}, 12_800),
    "mkv": ("a.mkv", "libx264", B_FRAMES, "aac", {}, 1000),
    "mkv-flac": ("a.mkv", "libx264", H264, "flac", {}, 1000),
    "webm": ("a.webm", "libvpx-vp9", {"lag-in-frames": "0"}, "libopus", {}, 1000),
    "ts": ("a.ts", "libx264", B_FRAMES, "mp2", {}, 90_000),
    "avi": ("a.avi", "mpeg4", {}, "pcm_s16le", {}, 25),
}
# Such files say themselves that one track begins later, though both began together before they were written.
MOVED = ("ts", "no-edit-list", "fragmented")


def sweep(seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (8000 * np.sin(2 * np.pi * (200 * time + 700 * time**2))).astype(np.int16)


def write_shifted(
    path: Path, kind: str, pictures_late: Fraction, sound_late: Fraction, rate: int = RATE, frames: int = FRAMES
) -> Path:
    """``picture(0)`` ... and a sweep of the same length, each track delayed as ``-itsoffset`` delays it."""
    _, codec, options, sound_codec, muxer, _ = KINDS[kind]
    with av.open(str(path), "w", options=muxer) as out:
        video = out.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.thread_count = 1
        video.codec_context.time_base = Fraction(1, 12_800 if codec != "mpeg4" else 25)
        sound = out.add_stream(sound_codec, rate=rate, layout="mono")
        waiting = []
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.time_base = video.codec_context.time_base
            frame.pts = round((Fraction(number, 25) + pictures_late) / frame.time_base)
            waiting += video.encode(frame)
        waiting += video.encode()
        wave = sweep(frames / 25, rate)
        for begin in range(0, len(wave), 960):
            block = av.AudioFrame.from_ndarray(wave[None, begin : begin + 960], format="s16", layout="mono")
            block.sample_rate, block.time_base = rate, Fraction(1, rate)
            block.pts = begin + round(sound_late * rate)
            waiting += sound.encode(block)
        waiting += sound.encode()
        out.start_encoding()
        for packet in sorted(waiting, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path


def sound_shift_seconds(path: Path, frames: int = FRAMES) -> float:
    """How long after the first picture the sweep begins to be played, as it is read."""
    sound, wave = read_audio(path).astype(float), sweep(frames / 25, 16_000).astype(float)
    middle = wave[len(wave) // 2 : len(wave) * 9 // 10]
    return (int(np.correlate(sound, middle, "valid").argmax()) - len(wave) // 2) / 16_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("pictures_late", "sound_late"), [(0, 0), ("1/5", 0), ("3/25", 0), (0, "1/5"), (0, "0.137"), ("0.4", "0.24")]
)
def test_sound_and_pictures_keep_the_lag_that_is_played(tmp_path, kind, pictures_late, sound_late):
    pictures_late, sound_late = Fraction(pictures_late), Fraction(sound_late)
    if kind in ("avi", "no-edit-list", "fragmented") and (sound_late or (pictures_late and kind != "avi")):
        pytest.skip("such a file can't say that a track begins late")
    path = write_shifted(tmp_path / KINDS[kind][0], kind, pictures_late, sound_late)
    assert [number_of(frame) for frame in read_video(path)] == list(range(FRAMES))
    least = max(1 / 16_000, 1 / KINDS[kind][-1])  # half a unit of either track's clock
    expected = float(sound_late - pictures_late)
    assert sound_shift_seconds(path) == pytest.approx(expected, abs=least + 1e-9)
    assert (decoding_key(path) == CHANGED) == (timeline(path).origin != timeline(path).file_start or sound_late > 0)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("milliseconds", [-200, -41, -1, 0, 1, 3, 200])
def test_any_rate_is_cut_and_filled_to_the_sample(tmp_path, rate, milliseconds):
    late = Fraction(milliseconds, 1000)
    path = write_shifted(tmp_path / "a.mov", "mov", max(-late, Fraction(0)), max(late, Fraction(0)), rate)
    assert sound_shift_seconds(path) == pytest.approx(milliseconds / 1000, abs=1 / 16_000 + 1e-9)


@settings(max_examples=12, deadline=None)
@given(st.integers(-1500, 1500))
def test_any_lag_is_kept(tmp_path_factory, steps):
    late = Fraction(steps, 3200)  # a whole number of units of both tracks
    path = tmp_path_factory.mktemp("lag") / "a.mov"
    write_shifted(path, "mov", max(-late, Fraction(0)), max(late, Fraction(0)), 16_000)
    assert sound_shift_seconds(path) == pytest.approx(float(late), abs=1 / 16_000 + 1e-9)


def copy_from(source: Path, target: Path, seconds: float, muxer: dict[str, str] | None = None) -> Path:
    """As ``ffmpeg -ss SECONDS -i SOURCE -c copy TARGET``: pictures from the key picture before, sound from there."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=muxer or {}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        old.seek(int(seconds * 1_000_000), backward=True)
        for packet in old.demux():
            if packet.dts is None or not packet.size:
                continue
            tick = packet.time_base
            if packet.stream.type == "audio" and packet.pts * tick < seconds:
                continue
            packet.pts, packet.dts = (time - round(Fraction(seconds) / tick) for time in (packet.pts, packet.dts))
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("seconds", [0.48, 0.6, 0.92])
def test_a_cut_without_encoding_keeps_sound_and_pictures_together(tmp_path, suffix, seconds):
    kind = {".mkv": "mkv-flac", ".mp4": "mp4-b-frames"}.get(suffix, suffix[1:])
    whole = write_shifted(tmp_path / f"whole{suffix}", kind, Fraction(0), Fraction(0))
    with av.open(str(whole)) as container:
        seconds += (container.start_time or 0) / 1_000_000
    path = copy_from(whole, tmp_path / f"cut{suffix}", seconds)
    first = number_of(read_video(path)[0])
    sound, wave = read_audio(path).astype(float), sweep(FRAMES / 25, 16_000).astype(float)
    middle = wave[len(wave) * 3 // 4 : len(wave) * 9 // 10]
    begin = (len(wave) * 3 // 4 - int(np.correlate(sound, middle, "valid").argmax())) / 16_000
    assert begin == pytest.approx(first / 25, abs=0.0015)


def test_pictures_that_do_not_decode_are_not_the_first_shown(tmp_path):
    whole = write_shifted(tmp_path / "whole.mkv", "mkv-flac", Fraction(0), Fraction(0), 16_000)
    path = tmp_path / "headless.mkv"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            early = packet.stream.type == "video" and packet.pts is not None and packet.pts < 200
            if packet.size and not early:  # the first key picture is lost; the next is picture 12
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    numbers = [number_of(frame) for frame in read_video(path)]
    assert sound_shift_seconds(path) == pytest.approx(-numbers[0] / 25, abs=0.0015)


def test_empty_chunks_of_an_avi_hold_the_picture_before_them(tmp_path):
    path = tmp_path / "dropped.avi"
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for place in [*range(8), *range(12, 20)]:
            frame = av.VideoFrame.from_ndarray(picture(place), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode())
    assert [number_of(frame) for frame in read_video(path)] == [*range(8), 7, 7, 7, 7, *range(12, 20)]
    assert decoding_key(path) == CHANGED


@pytest.mark.parametrize("gap", [2, 6, 9])
@pytest.mark.parametrize("first", ["late", "held", "held, mute", "late, mute"])
def test_a_first_picture_of_an_avi_that_stays_is_not_one_that_is_late(tmp_path, first, gap):
    """In the chunks' numbers both look the same; the order of the file tells them apart."""
    held, mute = first.startswith("held"), first.endswith("mute")
    places = [*([0] if held else []), *range(gap, gap + 20)]
    with av.open(str(tmp_path / "a.avi"), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        waiting = []
        for number, place in enumerate(places):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, 25)
            waiting += video.encode(frame)
        waiting += video.encode()
        if not mute:
            sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for begin in range(0, (gap + 20) * 640, 640):
                block = av.AudioFrame.from_ndarray(np.full((1, 640), begin // 640, np.int16), "s16", "mono")
                block.sample_rate, block.time_base, block.pts = 16_000, Fraction(1, 16_000), begin
                waiting += sound.encode(block)
        out.start_encoding()
        for packet in sorted(waiting, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    shown = [number_of(frame) for frame in read_video(tmp_path / "a.avi")]
    if held:
        assert shown == [0] * gap + list(range(1, 21))
    elif mute:  # nothing says that it is late, and FFmpeg shows it from the file's start
        assert shown == [0] * (gap + 1) + list(range(1, 20))
    else:
        assert shown == list(range(20))
    if not mute:
        assert read_audio(tmp_path / "a.avi")[0] == (0 if held else gap)
    assert decoding_key(tmp_path / "a.avi") == CHANGED


@given(st.lists(st.integers(1, 5), min_size=3, max_size=30), st.integers(0, 10))
def test_chunk_times_move_the_first_picture_only(steps, begin):
    numbers = list(itertools.accumulate(steps, initial=begin))
    times = chunk_times(numbers)
    assert times[1:] == numbers[1:]
    assert numbers[0] <= times[0] < times[1]
    assert has_holes(numbers) == (max(steps) > 1)


def decoded(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """All frames of a stream, its last packet whole, as every FFmpeg gave it that was there then."""
    for packet in itertools.chain(packets(container, stream), [None]):
        yield from stream.decode(packet)


def before(path: Path) -> np.ndarray:
    """Sound as it was read when time began with the file: the first stream, counted from the file's start time."""
    samples = bytearray()
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        origin = (container.start_time or 0) / 1_000_000
        source = sink = graph = None
        for frame in decoded(container, stream):
            if graph is None:
                graph = Graph()
                source = graph.add(
                    "abuffer",
                    f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
                    f":channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}",
                )
                fill = graph.add("aresample", "async=1:first_pts=0")
                mono = graph.add("aformat", "sample_fmts=s16:sample_rates=16000:channel_layouts=mono")
                sink = graph.add("abuffersink")
                source.link_to(fill), fill.link_to(mono), mono.link_to(sink)
                graph.configure()
            frame.pts = round((float(frame.pts * stream.time_base) - origin) * frame.sample_rate)
            frame.time_base = Fraction(1, frame.sample_rate)
            source.push(frame)
        source.push(None)
        while True:
            try:
                samples += sink.pull().to_ndarray().tobytes()
            except (av.error.BlockingIOError, av.error.EOFError):
                return np.frombuffer(samples, np.int16)


def all_pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in MOVED])
def test_tracks_that_start_together_are_read_as_they_were(tmp_path, kind):
    path = write_shifted(tmp_path / KINDS[kind][0], kind, Fraction(0), Fraction(0))
    assert decoding_key(path) == ""
    np.testing.assert_array_equal(read_audio(path), before(path))
    assert read_video(path).shape == all_pictures(path).shape


def test_clips_of_the_boards_are_read_as_they_were(shared):
    grid = sorted((shared / "data/grid/s1").glob("*.mp4"))[:6] + sorted((shared / "data/grid-original").glob("*/*.mpg"))
    clips = [*grid[:12], *sorted((shared / "golden/clips").glob("*.mp4"))[:4]]
    assert clips
    for path in clips:
        assert decoding_key(path) == "", path
        np.testing.assert_array_equal(read_audio(path), before(path))


def test_files_of_sound_alone_begin_with_their_first_sample(tmp_path):
    wave = sweep(1.0, 16_000)
    path = write_sound(tmp_path / "a.wav", wave[:, None])
    np.testing.assert_array_equal(read_audio(path), wave)
    assert decoding_key(path, None) == decoding_key(tmp_path / "nowhere.mp4") == ""


def test_sound_that_ends_before_the_first_picture_is_none(tmp_path):
    path = write_shifted(tmp_path / "a.mkv", "mkv-flac", Fraction(5), Fraction(0), 16_000)
    with pytest.raises(MediaError, match="ends before its first picture"):
        read_audio(path)
    assert len(read_audio(path, from_file_start=True)) == 16_000 * FRAMES // 25


def test_the_default_tracks_are_read_not_the_first(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        pictures = []
        sounds = []
        for default in (False, True):
            video = out.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound = out.add_stream("flac", rate=16_000, layout="mono")
            for stream in (video, sound):
                stream.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
            pictures.append(video), sounds.append(sound)
        for which in (0, 1):
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(picture(number + 100 * which), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(pictures[which].encode(frame))
            out.mux(pictures[which].encode())
            block = av.AudioFrame.from_ndarray(tone(0.2)[:, 0][None] * np.int16(which), format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16_000, 0, Fraction(1, 16_000)
            out.mux(sounds[which].encode(block)), out.mux(sounds[which].encode())
    assert [number_of(frame) for frame in read_video(path)] == [100, 101, 102, 103, 104]
    assert read_audio(path).any()
    assert decoding_key(path) == CHANGED


# The two rows of a display matrix, and what a player must make of a picture with them.
MATRICES = {
    (1, 0, 0, 1): lambda image: image,
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (-1, 0, 0, -1): lambda image: image[::-1, ::-1],
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (0, -1, 1, 0): lambda image: np.rot90(image, 1),
    (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda image: np.rot90(image, 2).transpose(1, 0, 2),
}


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv422p"])
def test_turns_and_flips_are_applied(tmp_path, matrix, pixel_format):
    path = write_clip(tmp_path / "a.mp4", frames=2, pixel_format=pixel_format)
    plain = read_video(path)
    a, b, c, d = (value << 16 for value in matrix)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    values = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    data[place : place + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_video(path), np.stack([MATRICES[matrix](image) for image in plain]))
    mirrored = a * d - b * c < 0
    assert VideoReader(path).info.mirrored == mirrored
    assert (decoding_key(path) == CHANGED) == (mirrored or pixel_format != "yuv420p")

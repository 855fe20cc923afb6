"""What a video file becomes: which frames, in which order, at which rate, with which colours; and what is refused."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
import weakref
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.factories.media_factory import number_of, picture, tone, turn_by_header, write_clip, write_sound
from tlbench.errors import TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.container import MediaError
from tlbench.media.probe import probe
from tlbench.media.video_reader import VideoReader, read_video
from tlbench.media.video_writer import write_video

CONTAINERS = [
    ("clip.mp4", "libx264", "h264", "aac"),
    ("clip.mp4", "libx265", "hevc", "aac"),
    ("clip.mp4", "mpeg4", "mpeg4", "aac"),
    ("clip.mov", "libx264", "h264", "aac"),
    ("clip.mov", "mjpeg", "mjpeg", "pcm_s16le"),
    ("clip.mkv", "libx264", "h264", "aac"),
    ("clip.mkv", "libx265", "hevc", "libopus"),
    ("clip.webm", "libvpx-vp9", "vp9", "libopus"),
    ("clip.avi", "mpeg4", "mpeg4", "libmp3lame"),
    ("clip.avi", "mjpeg", "mjpeg", "pcm_s16le"),
    ("clip.avi", "libx264", "h264", "pcm_s16le"),
    ("clip.mpg", "mpeg1video", "mpeg1video", "mp2"),
    ("clip.mpg", "mpeg2video", "mpeg2video", "mp2"),
    ("clip.ts", "libx264", "h264", "aac"),
]
RATES = [12, 24, 25, Fraction(30000, 1001), 30, 50, 60]


def need_encoder(name: str) -> None:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this build of PyAV has no encoder {name}")


def through_opencv(path: Path) -> np.ndarray:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, bgr = capture.read()
        if not there:
            return np.stack(frames)[..., ::-1]
        frames.append(bgr)


def through_fps_filter(path: Path) -> list[int]:
    """Frame numbers after FFmpeg's own ``fps=25``."""
    with av.open(str(path)) as container:
        graph = av.filter.Graph()
        source = graph.add_buffer(template=container.streams.video[0])
        fps, sink = graph.add("fps", "25"), graph.add("buffersink")
        source.link_to(fps)
        fps.link_to(sink)
        graph.configure()
        numbers = []
        for frame in [*container.decode(video=0), None]:
            graph.push(frame)
            while True:
                try:
                    numbers.append(number_of(graph.pull().to_ndarray(format="rgb24")))
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
        return numbers


def numbers_in(video: VideoReader) -> list[int]:
    return [number_of(rgb) for frames in video.frames() for rgb in frames.rgb]


def code_of(path: Path) -> str:
    """The refusal's code, the same from ``probe`` and from ``VideoReader``, in one line that names the file."""
    with pytest.raises(MediaError) as by_probe:
        probe(path)
    with pytest.raises(MediaError) as by_reader:
        list(VideoReader(path).frames())
    assert by_probe.value.code == by_reader.value.code
    assert "\n" not in by_probe.value.message
    assert path.name in by_probe.value.message
    return by_probe.value.code


@pytest.mark.parametrize(("name", "codec", "reported", "audio_codec"), CONTAINERS)
def test_every_container_and_codec_gives_its_frames_in_order(tmp_path, capfd, name, codec, reported, audio_codec):
    need_encoder(codec)
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    sample_rate = 48000 if audio_codec == "libopus" else 44100
    path = write_clip(
        tmp_path / name, codec=codec, pixel_format=pixel_format, audio_codec=audio_codec, sample_rate=sample_rate
    )
    capfd.readouterr()
    video = VideoReader(path)
    assert numbers_in(video) == list(range(10))
    assert video.conversions == ()
    assert (video.info.codec, video.info.width, video.info.height) == (reported, 64, 48)
    assert (video.info.frame_count, video.info.frames_per_second) == (10, 25.0)
    assert video.info.duration_seconds == pytest.approx(0.4, abs=1e-6)
    assert not video.info.variable_frame_rate
    assert not video.info.truncated
    assert video.damaged_packets == 0
    assert video.info.audio is not None
    assert video.info.audio.sample_rate == sample_rate
    assert video.info.audio.duration_seconds == pytest.approx(0.4, abs=0.06)  # whole coded blocks
    assert abs(video.info.audio.start_seconds) < 0.05
    assert capfd.readouterr().err == ""


COLOURS = {
    "h264.mp4": {},
    "odd-444.mp4": {"width": 161, "height": 121, "pixel_format": "yuv444p"},
    "odd-420-vp9.webm": {"codec": "libvpx-vp9", "width": 161, "height": 121},
    "odd-mpeg4.avi": {"codec": "mpeg4", "width": 161, "height": 121},
    "odd-mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p", "width": 161, "height": 121},
    "odd-422.mp4": {"pixel_format": "yuv422p", "width": 162, "height": 121},
    "width-170.mp4": {"width": 170, "height": 126},
    "bt709.mp4": {"colorspace": 1},
    "bt709-full.mp4": {"colorspace": 1, "color_range": 2},
    "full.mp4": {"color_range": 2},
    "bt2020.mp4": {"colorspace": 9},
    "yuvj.mp4": {"pixel_format": "yuvj420p"},
    "444.mp4": {"pixel_format": "yuv444p"},
    "444-bt709.mp4": {"pixel_format": "yuv444p", "colorspace": 1},
    "10-bit.mp4": {"pixel_format": "yuv420p10le"},
    "hevc-10-bit.mp4": {"codec": "libx265", "pixel_format": "yuv420p10le"},
    "rgb.mkv": {"codec": "libx264rgb", "pixel_format": "rgb24"},
    "ffv1.avi": {"codec": "ffv1", "pixel_format": "bgr0"},
    "vp9-bt709.webm": {"codec": "libvpx-vp9", "colorspace": 1},
    "mpeg1.mpg": {"codec": "mpeg1video"},
    "mpeg2-bt709.mpg": {"codec": "mpeg2video", "colorspace": 1},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "mjpeg-422.avi": {"codec": "mjpeg", "pixel_format": "yuvj422p"},
    "mjpeg-444.avi": {"codec": "mjpeg", "pixel_format": "yuvj444p"},
}


@pytest.mark.skipif(
    tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 13),
    reason="OpenCV before 4.13 reads videos with an older FFmpeg, whose colours are others; tlbench never uses it",
)
@pytest.mark.parametrize("name", COLOURS)
def test_rgb_is_what_opencv_decodes_to_the_bit(tmp_path, name):
    arguments = COLOURS[name]
    need_encoder(arguments.get("codec", "libx264"))
    path = write_clip(tmp_path / name, frames=4, **arguments)
    np.testing.assert_array_equal(read_video(path), through_opencv(path))


def test_rgb_of_the_golden_and_corpus_clips_is_what_opencv_decodes(shared):
    clips = sorted((shared / "golden/clips").glob("*.mp*"))
    clips += sorted((shared / "data/grid-original").glob("*/*.mpg"))[::9]
    assert len(clips) > 13
    for path in clips:
        frames = np.concatenate([run.rgb for run in VideoReader(path, every_frame=True).frames()])
        assert np.array_equal(frames, through_opencv(path)), path


@pytest.mark.parametrize("rate", RATES, ids=[f"{float(rate):.4g}" for rate in RATES])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_other_rates_are_converted_as_the_fps_filter_does(tmp_path, rate, suffix):
    path = write_clip(tmp_path / f"clip{suffix}", frames=33, frames_per_second=rate)
    video = VideoReader(path)
    numbers = numbers_in(video)
    assert numbers == through_fps_filter(path)
    assert video.info.frames_per_second == pytest.approx(float(rate), rel=1e-9)
    assert not video.info.variable_frame_rate
    assert video.conversions == (() if rate == 25 else (f"{float(rate):.4g} to 25 frames/s",))
    assert numbers_in(VideoReader(path, every_frame=True)) == list(range(33))
    assert abs(len(numbers) / 25 - 33 / rate) <= 0.02 + 1e-9


@pytest.mark.parametrize("rate", [12, Fraction(30000, 1001), 50])
def test_avi_is_converted_by_the_rate_in_its_header(tmp_path, rate):
    path = write_clip(tmp_path / "clip.avi", codec="mpeg4", frames=30, frames_per_second=rate)
    numbers = numbers_in(VideoReader(path))
    times = [min(29, int(n * float(rate) / 25 + 0.5)) for n in range(len(numbers))]
    assert max(abs(a - b) for a, b in zip(numbers, times, strict=True)) <= 1
    assert len(numbers) == int(30 * 25 / rate + Fraction(1, 2))


def test_variable_rate_keeps_each_picture_at_its_time(tmp_path):
    times = [0, 40, 80, 300, 320, 340, 500, 501, 600, 700]
    path = write_clip(tmp_path / "clip.mp4", timestamps_ms=times)
    video = VideoReader(path)
    assert video.info.variable_frame_rate
    numbers = numbers_in(video)
    # Ticks: 0 1 2 | 7.5 -> 8 | 8 | 8.5 -> 9 | 12.5 -> 13 | 13 | 15 | 17.5 -> 18, mean interval 1.94 more.
    assert numbers[:18] == [0, 1, 2, 2, 2, 2, 2, 2, 4, 5, 5, 5, 5, 7, 7, 8, 8, 8]
    assert set(numbers[18:]) == {9}
    assert video.conversions == (f"variable rate (mean {9 / 0.7:.4g}) to 25 frames/s",)


def test_lost_pictures_at_25_are_filled_so_that_sound_and_picture_keep_together(tmp_path):
    times = [40 * n for n in range(20) if n not in (7, 8, 9)]
    video = VideoReader(write_clip(tmp_path / "clip.mkv", frames=17, timestamps_ms=times))
    assert numbers_in(video) == [0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    assert numbers_in(VideoReader(video.path, every_frame=True)) == list(range(17))


def test_timestamps_that_wobble_by_less_than_half_a_frame_change_nothing(tmp_path):
    times = [40 * n + (-1) ** n * (n % 9) for n in range(30)]
    video = VideoReader(write_clip(tmp_path / "clip.mp4", frames=30, timestamps_ms=times))
    assert numbers_in(video) == list(range(30))
    assert video.conversions == ()


def test_a_timestamp_that_jumps_by_an_hour_is_refused_not_filled(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", frames=3, timestamps_ms=[0, 40, 3_600_000])
    with pytest.raises(MediaError) as refusal:
        list(VideoReader(path).frames())
    assert refusal.value.code == "timestamps"
    assert numbers_in(VideoReader(path, every_frame=True)) == [0, 1, 2]


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"pixel_format": "yuv444p", "width": 65, "height": 49}, {"pixel_format": "yuv422p"}, {"color_range": 2}],
    ids=["420", "444-odd", "422", "full-range"],
)
def test_rotated_video_is_upright_in_rgb_and_native_alike(tmp_path, degrees, arguments):
    path = write_clip(tmp_path / "clip.mp4", frames=4, rotation_degrees=degrees, **arguments)
    expected = through_opencv(path)
    video = VideoReader(path)
    (frames,) = video.frames()
    np.testing.assert_array_equal(frames.rgb, expected)
    for native, upright in zip(frames.native, expected, strict=True):
        assert (native.height, native.width) == upright.shape[:2]
        np.testing.assert_array_equal(native.to_ndarray(format="bgr24", interpolation="BICUBIC")[..., ::-1], upright)
    assert video.info.rotation_degrees == degrees
    assert (video.info.height, video.info.width) == expected.shape[1:3]
    assert video.conversions == (f"turned {degrees} degrees clockwise",)


def test_one_frame_video(tmp_path):
    for rate in (5, 25, 60):
        path = write_clip(tmp_path / f"{rate}.mp4", frames=1, frames_per_second=rate)
        info = probe(path)
        assert (info.frame_count, info.variable_frame_rate) == (1, False)
        assert set(numbers_in(VideoReader(path))) == {0}
        assert len(read_video(path)) == max(1, 25 // rate)


def test_one_picture_that_claims_to_stand_for_hours_is_refused(tmp_path):
    path = write_clip(tmp_path / "clip.avi", codec="mjpeg", pixel_format="yuvj420p", frames=1)
    data = bytearray(path.read_bytes())
    header = data.index(b"strh") + 8
    data[header + 20 : header + 28] = (100_000).to_bytes(4, "little") + (1).to_bytes(4, "little")  # scale, rate
    path.write_bytes(data)
    with pytest.raises(MediaError) as refusal:
        list(VideoReader(path).frames())
    assert refusal.value.code == "timestamps"
    assert numbers_in(VideoReader(path, every_frame=True)) == [0]


def test_runs_are_consecutive_and_the_last_is_shorter(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=70)
    runs = list(VideoReader(path).frames(chunk_frames=32))
    assert [(frames.start, len(frames)) for frames in runs] == [(0, 32), (32, 32), (64, 6)]
    assert runs[0].rgb is runs[0].rgb
    assert runs[2].rgb.shape == (6, 48, 64, 3)


def test_a_video_within_budget_is_decoded_once_and_its_rgb_converted_once(tmp_path):
    video = VideoReader(write_clip(tmp_path / "clip.mp4", frames=40))
    first = list(video.frames())
    pixels = [frames.rgb for frames in first]
    second = list(video.frames())
    assert video.decodes == 1
    assert all(frames.rgb is rgb for frames, rgb in zip(second, pixels, strict=True))
    assert [len(frames) for frames in video.frames(chunk_frames=15)] == [15, 15, 10]
    assert video.decodes == 1
    np.testing.assert_array_equal(
        np.concatenate([frames.rgb for frames in video.frames(chunk_frames=15)]), np.concatenate(pixels)
    )


def test_a_video_past_the_budget_is_decoded_again_and_its_frames_are_let_go(tmp_path):
    frame_bytes = 64 * 48 * 3 * 2
    video = VideoReader(write_clip(tmp_path / "clip.mp4", frames=64), budget_bytes=20 * frame_bytes)
    first, seen = [], []
    for frames in video.frames(chunk_frames=8):
        first.append(frames.rgb.sum())
        seen.append(weakref.ref(frames))
    del frames
    assert [frames() for frames in seen] == [None] * 8
    assert [frames.rgb.sum() for frames in video.frames(chunk_frames=8)] == first
    assert video.decodes == 2


def test_a_pass_left_halfway_keeps_nothing_and_the_next_is_whole(tmp_path):
    video = VideoReader(write_clip(tmp_path / "clip.mp4", frames=40))
    next(video.frames(chunk_frames=8))
    assert sum(len(frames) for frames in video.frames(chunk_frames=8)) == 40
    assert video.decodes == 2
    assert not video.info.truncated


@pytest.fixture(params=[1, 2])
def opencv_threads(request):
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield request.param
    cv2.setNumThreads(before)


def test_a_thread_decodes_ahead_unless_the_process_may_use_one_only(tmp_path, opencv_threads):
    path = write_clip(tmp_path / "clip.mp4", frames=40)
    before = set(threading.enumerate())
    video = VideoReader(path, budget_bytes=0)
    chunks = video.frames(chunk_frames=8)
    first = next(chunks)
    started = [thread for thread in threading.enumerate() if thread not in before]
    assert len([thread for thread in started if thread.name.startswith("decode")]) == opencv_threads - 1
    assert [number_of(image) for chunk in (first, *chunks) for image in chunk.rgb] == list(range(40))
    assert sum(len(frames) for frames in video.frames(chunk_frames=8)) == 40
    next(video.frames(chunk_frames=8))  # left halfway
    path.write_bytes(b"")
    with pytest.raises(MediaError):
        list(VideoReader(path).frames())


PEAK = """
import resource, sys
from pathlib import Path
from tlbench.media.video_reader import VideoReader
video = VideoReader(Path(sys.argv[1]), budget_bytes=16 * 2**20)
print(sum(len(frames.rgb) for frames in video.frames()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read in Linux's unit")
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    peaks_mib = []
    for count in (50, 500):
        path = tmp_path / f"{count}.mp4"
        write_video(path, (np.full((480, 640, 3), n % 200, np.uint8) for n in range(count)), crf=40)
        printed = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        frames, peak_mib = map(int, printed.stdout.split())
        assert frames == count
        peaks_mib.append(peak_mib)
    assert peaks_mib[1] - peaks_mib[0] < 50  # the 450 frames more are 590 MiB


def test_probe_recognises_a_rewrapped_copy_by_its_packets(tmp_path):
    original = write_clip(tmp_path / "original.mp4", audio_codec="aac")
    with av.open(str(original)) as source, av.open(str(tmp_path / "copy.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    other = write_clip(tmp_path / "other.mp4", codec_options={"crf": "30"})
    assert probe(tmp_path / "copy.mkv").video_packets_sha256 == probe(original).video_packets_sha256
    assert probe(other).video_packets_sha256 != probe(original).video_packets_sha256


def test_probe_tells_sound_that_starts_late(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=25, audio_codec="aac", audio_start_seconds=0.2)
    audio = probe(path).audio
    assert audio is not None
    assert (audio.codec, audio.channels) == ("aac", 1)
    assert audio.start_seconds == pytest.approx(0.2, abs=0.07)  # the encoder's own delay of 1024 samples is in it
    assert probe(write_clip(tmp_path / "mute.mp4")).audio is None


@pytest.mark.parametrize(
    "name", ["with space.mp4", 'quote\'s "both".mp4', "唇読み-é.mp4", "100%d.mp4", "concat:a|b.mp4"]
)
def test_any_file_name_works(tmp_path, monkeypatch, name):
    plain = write_clip(tmp_path / "plain.mp4", frames=3, audio_codec="aac")
    shutil.copy(plain, tmp_path / name)
    assert numbers_in(VideoReader(tmp_path / name)) == [0, 1, 2]
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)) == probe(plain)


@pytest.mark.skipif(os.name != "posix", reason="file names are not bytes here")
def test_a_file_name_that_is_not_unicode_is_read_or_refused_in_one_line(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    try:
        shutil.copy(write_clip(tmp_path / "plain.mp4", frames=3), path)
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    assert numbers_in(VideoReader(path)) == [0, 1, 2]


def test_missing_and_empty_files(tmp_path):
    assert code_of(tmp_path / "nowhere.mp4") == "missing"
    assert code_of(tmp_path / "nowhere" / "clip.mp4") == "missing"
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone.mp4")
    assert code_of(tmp_path / "dangling.mp4") == "missing"
    (tmp_path / "empty.mp4").touch()
    assert code_of(tmp_path / "empty.mp4") == "empty-file"


def test_things_that_are_no_video_files(tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("text.mp4", "noise.mp4", "loop.mp4", "folder.mp4", "pipe.mp4"):
        assert code_of(tmp_path / name) == "unreadable", name
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile clip.mkv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_named_mp4_opens_no_other_file(tmp_path, playlist):
    write_clip(tmp_path / "clip.mkv")
    (tmp_path / "list.mp4").write_text(playlist)
    assert code_of(tmp_path / "list.mp4") == "unreadable"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = write_clip(tmp_path / "clip.mp4")
    path.chmod(0)
    assert code_of(path) == "unreadable"


def test_sound_alone_is_no_video(tmp_path):
    write_sound(tmp_path / "sound.wav", tone(0.2))
    shutil.copy(tmp_path / "sound.wav", tmp_path / "sound.mp4")
    assert code_of(tmp_path / "sound.wav") == "no-video"
    assert code_of(tmp_path / "sound.mp4") == "no-video"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_an_mp4_cut_before_its_index_is_truncated(tmp_path, share):
    path = write_clip(tmp_path / "clip.mp4", frames=30)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert code_of(path) == "truncated"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.mp4", "libx264"), ("clip.mov", "mjpeg"), ("clip.mkv", "libx264"), ("clip.avi", "mpeg4")],
)
def test_a_file_cut_among_its_pictures_gives_those_it_has_and_says_truncated(tmp_path, capfd, name, codec):
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {"movflags": "faststart"} if name.endswith(("mp4", "mov")) else {}
    path = write_clip(
        tmp_path / name, frames=60, codec=codec, pixel_format=pixel_format, container_options=options, width=160
    )
    assert not VideoReader(path).info.truncated
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    capfd.readouterr()
    video = VideoReader(path)
    count = sum(len(frames) for frames in video.frames())
    assert 5 < count < 60
    assert video.info.truncated
    assert capfd.readouterr().err == ""
    # OpenCV leaves the pictures that the decoder still holds (up to three, to put them in order) at the cut.
    assert 0 <= count - len(through_opencv(path)) <= 3


def test_a_file_cut_before_its_first_picture_is_truncated(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=30, container_options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    assert code_of(path) == "truncated"


def test_decoding_goes_on_after_damage_as_in_opencv(tmp_path):
    path = write_clip(
        tmp_path / "clip.mpg", frames=40, width=160, height=128, codec="mpeg1video", codec_options={"g": "8"}
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100] = np.random.default_rng(1).bytes(100)
    path.write_bytes(data)
    video = VideoReader(path, every_frame=True)
    count = sum(len(frames) for frames in video.frames())
    assert count == len(through_opencv(path))
    assert 30 <= count <= 40
    assert video.damaged_packets > 0


def test_the_naturally_damaged_corpus_clip(shared):
    path = shared / "data/grid-original/s4/bbaf2a.mpg"
    as_stored = VideoReader(path, every_frame=True)
    assert sum(len(frames) for frames in as_stored.frames()) == len(through_opencv(path)) == 71
    assert as_stored.damaged_packets > 0
    # Its timestamps say that 4 of 75 pictures are lost; the conversion puts the neighbours there.
    paced = VideoReader(path)
    assert sum(len(frames) for frames in paced.frames()) == 75
    assert paced.info.variable_frame_rate


def test_pictures_that_cannot_be_decoded_are_no_frames(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=5, container_options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    body = data.index(b"mdat") + 4
    data[body:] = b"\xff" * (len(data) - body)
    path.write_bytes(data)
    with pytest.raises(MediaError) as refusal:
        list(VideoReader(path).frames())
    assert refusal.value.code == "no-frames"


@pytest.mark.parametrize("turn", [0, 90])
@pytest.mark.parametrize("colorspace", [8, 10, 14])  # YCgCo, BT.2020 with constant luminance, ICtCp
def test_colours_that_ffmpeg_can_not_convert_are_named(tmp_path, colorspace, turn):
    path = write_clip(tmp_path / "odd.mp4", colorspace=colorspace, rotation_degrees=turn, width=62, height=46)
    with pytest.raises(
        MediaError, match=r"odd\.mp4: FFmpeg can't convert its colours to RGB .*; re-encode the file"
    ) as refused:
        list(VideoReader(path).frames())
    assert refused.value.code == "unreadable"


def test_pictures_that_change_size_are_refused(tmp_path):
    small = write_clip(tmp_path / "small.ts", codec="mpeg2video", frames=5)
    large = write_clip(tmp_path / "large.ts", codec="mpeg2video", frames=5, width=96)
    (tmp_path / "both.ts").write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(MediaError) as refusal:
        list(VideoReader(tmp_path / "both.ts", every_frame=True).frames())
    assert refusal.value.code == "size-changes"
    assert "96x48 after 64x48" in refusal.value.message


def test_the_tag_of_another_angle_is_ignored(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=2)
    turn_by_header(path, 90)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    half = int(0.5**0.5 * 65536)  # 45 degrees
    for place, value in ((0, half), (4, half), (12, -half), (16, half)):
        data[matrix + place : matrix + place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    assert VideoReader(path).conversions == ()
    np.testing.assert_array_equal(read_video(path), through_opencv(path))


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 49), (64, 49)])
def test_written_video_reads_back_in_size_rate_and_picture(tmp_path, width, height):
    frames = [picture(n, width, height) for n in range(12)]
    write_video(tmp_path / "clip.mp4", frames, samples=tone(0.48)[:, 0])
    video = VideoReader(tmp_path / "clip.mp4")
    assert (video.info.width, video.info.height, video.info.frame_count) == (width, height, 12)
    assert video.info.audio is not None
    assert video.info.audio.duration_seconds == pytest.approx(0.48, abs=0.07)
    error = read_video(video.path).astype(int) - np.stack(frames)
    assert np.abs(error).mean() < 6
    assert numbers_in(video) == list(range(12))


def test_written_video_is_the_same_to_the_byte_each_time_and_leaves_no_other_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        frames = (picture(n) for n in range(8))
        write_video(tmp_path / name / "clip.mp4", frames, 29.97, samples=tone(0.3)[:, 0])
        assert os.listdir(tmp_path / name) == ["clip.mp4"]
    assert (tmp_path / "a/clip.mp4").read_bytes() == (tmp_path / "b/clip.mp4").read_bytes()
    assert probe(tmp_path / "a/clip.mp4").frames_per_second == pytest.approx(29.97, abs=0.005)


def test_what_lay_in_memory_before_does_not_show_in_a_written_video(tmp_path):
    """x264's AVX-512 code read what nothing had written; on machines without it this can't fail."""
    chance = np.random.default_rng(0)
    noise = chance.normal(0, 12, (13, 128, 160, 3))
    frames = np.clip([picture(index, 160, 128) for index in range(13)] + noise, 0, 255).astype(np.uint8)
    written = set()
    for turn in range(12):
        dirt = [np.full(chance.integers(1_000, 3_000_000), turn * 13 % 251, np.uint8) for _ in range(50)]
        del dirt
        write_video(tmp_path / "a.mp4", frames, crf=23)
        written.add((tmp_path / "a.mp4").read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize(
    ("name", "codec", "sound"), [("c.webm", "libvpx-vp9", "libopus"), ("c.mkv", "libx265", "flac")]
)
def test_video_can_be_written_with_other_codecs(tmp_path, capfd, name, codec, sound):
    need_encoder(codec)
    write_video(
        tmp_path / name,
        [picture(n) for n in range(4)],
        samples=tone(0.16, 48000)[:, 0],
        sample_rate=48000,
        codec=codec,
        audio_codec=sound,
    )
    assert numbers_in(VideoReader(tmp_path / name)) == [0, 1, 2, 3]
    assert capfd.readouterr().err == ""


def test_what_cannot_be_written_is_said_in_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(MediaError) as refusal:
        write_video(tmp_path / "none.mp4", [])
    assert refusal.value.code == "no-frames"
    with pytest.raises(ValueError, match=r"frame 1 is \(48, 66, 3\)"):
        write_video(tmp_path / "mixed.mp4", [picture(0), picture(1, width=66)])
    with pytest.raises(TlbenchError, match="can't write"):
        write_video(tmp_path / "nowhere" / "clip.mp4", [picture(0)])
    with pytest.raises(TlbenchError, match=r"'\.suffix' is no video container"):
        write_video(tmp_path / "clip.suffix", [picture(0)])
    with pytest.raises(TlbenchError, match=r"bare: '' is no video container"):
        write_video(tmp_path / "bare", [picture(0)])
    assert os.listdir(tmp_path) == []


def test_errors_cross_process_borders(tmp_path):
    import pickle

    error = MediaError("missing", "clip.mp4: no such file")
    again = pickle.load(io.BytesIO(pickle.dumps(error)))
    assert (type(again), again.code, str(again)) == (MediaError, "missing", "clip.mp4: no such file")


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f\nsize 1\n"
NO_VIDEOS = {
    "a Git LFS pointer": LFS.encode(),
    "a web page (HTML)": b"\n<!DOCTYPE html>\n<html lang='de'><head><title>Anmelden \xe2\x80\x93 Login</title></head>",
    "a web page (HTML) ": b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><body>404</body></html>",
    "text in JSON": b'{"error": {"code": 403, "message": "quota exceeded"}}',
    "text in XML": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a playlist": b"#EXTM3U\n#EXTINF:10,\nhttp://example.org/a.ts\n",
    "a text file that begins 'Not Found'": b"Not Found\n",
    "a text file that begins 'wide'": "wide".encode("utf-16"),
    "a zip archive": b"PK\x03\x04" + bytes(60),
    "a gzip archive": b"\x1f\x8b\x08" + bytes(60),
    "a NumPy array": b"\x93NUMPY\x01\x00v\x00{'descr'" + bytes(60),
    "a RealMedia file": b".RMF\x00\x00\x00\x12" + bytes(60),
    "nothing but zero bytes": bytes(4096),
}


@pytest.mark.parametrize("kind", NO_VIDEOS)
def test_what_is_no_video_is_named_as_what_it_is(tmp_path, kind):
    path = tmp_path / "clip.mp4"
    path.write_bytes(NO_VIDEOS[kind])
    for read in (probe, read_video, read_audio):
        with pytest.raises(MediaError) as refusal:
            read(path)
        assert refusal.value.code == "unreadable"
        assert kind.strip() in refusal.value.message
        assert "\n" not in refusal.value.message
        assert refusal.value.message.count("; ") == 1  # what it is; the way out

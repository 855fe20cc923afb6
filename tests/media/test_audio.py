"""Any sound becomes 16 kHz mono int16 on the file's clock; MFCCs are python_speech_features' own."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.media_factory import tone, write_clip, write_sound
from tlbench.media.audio import mfcc, read_audio
from tlbench.media.container import MediaError, packets
from tlbench.media.rates import SAMPLE_RATE

RATES = [8000, 16000, 22050, 44100, 48000]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    length = min(len(a), len(b))
    return float(np.corrcoef(a[:length].astype(float), b[:length].astype(float))[0, 1])


def sweep(rate: int) -> np.ndarray:
    """A second of a sine that climbs from 200 to 1200 Hz, so that it fits itself at one place only."""
    time = np.arange(rate) / rate
    return (8000 * np.sin(2 * np.pi * (200 * time + 500 * time**2))).astype(np.int16)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_of_any_rate_and_layout_keeps_its_length_and_wave(tmp_path, rate, channels):
    path = write_sound(tmp_path / "sound.wav", tone(1.0, rate, channels), rate)
    samples = read_audio(path)
    assert samples.dtype == np.int16
    assert samples.shape == (16000,) if rate == 16000 else abs(len(samples) - 16000) <= 1
    expected = tone(1.0, 16000, channels).mean(axis=1)
    assert correlation(samples, expected) > 0.999
    assert samples.astype(float).std() == pytest.approx(expected.std(), rel=0.02)


def test_16_khz_mono_wav_passes_untouched(tmp_path):
    noise = np.random.default_rng(0).integers(-32768, 32768, (12345, 1)).astype(np.int16)
    assert np.array_equal(read_audio(write_sound(tmp_path / "sound.wav", noise)), noise[:, 0])


@pytest.mark.parametrize(
    ("name", "codec", "audio_codec", "rate"),
    [
        ("clip.mp4", "libx264", "aac", 44100),
        ("clip.mov", "libx264", "pcm_s16le", 22050),
        ("clip.mkv", "libx264", "flac", 48000),
        ("clip.webm", "libvpx-vp9", "libopus", 48000),
        ("clip.avi", "mpeg4", "libmp3lame", 44100),
        ("clip.mpg", "mpeg1video", "mp2", 44100),
        ("clip.ts", "libx264", "aac", 48000),
    ],
)
def test_sound_of_every_container(tmp_path, capfd, name, codec, audio_codec, rate):
    path = write_clip(
        tmp_path / name,
        frames=25,
        codec=codec,
        audio_codec=audio_codec,
        sample_rate=rate,
        channels=2,
        samples=np.stack([sweep(rate), sweep(rate)], axis=-1),
    )
    samples = read_audio(path)
    assert abs(len(samples) - 16000) <= 1700  # coded blocks are whole, and some containers keep the encoder's lead-in
    expected = sweep(16000).astype(float)
    shift = int(np.correlate(samples.astype(float), expected[:12000], "valid").argmax())
    assert shift < 1700
    assert correlation(samples[shift:], expected) > 0.97
    assert capfd.readouterr().err == ""


def test_another_rate_can_be_asked_for(tmp_path):
    path = write_sound(tmp_path / "sound.wav", tone(0.5, 16000), 16000)
    assert abs(len(read_audio(path, rate=48000)) - 24000) <= 1


def test_sound_that_begins_late_is_led_by_silence(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", frames=25, audio_codec="pcm_s16le", audio_start_seconds=0.3)
    samples = read_audio(path)
    assert len(samples) == pytest.approx(16000 * 1.3, abs=20)
    assert not samples[: int(0.299 * 16000)].any()
    assert np.array_equal(samples[4800:20800], tone(1.0)[:, 0])


def test_a_hole_in_the_sound_is_filled_with_silence(tmp_path):
    path = tmp_path / "hole.mkv"
    wave = tone(1.0)[:, 0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for begin in [*range(0, 4000, 800), *range(12000, 16000, 800)]:
            frame = av.AudioFrame.from_ndarray(wave[None, begin : begin + 800], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, begin, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    samples = read_audio(path)
    assert len(samples) == 16000
    assert np.array_equal(samples[:4000], wave[:4000])
    assert not samples[4000:12000].any()
    assert np.array_equal(samples[12000:], wave[12000:])


def test_a_hole_of_hours_is_refused_not_filled(tmp_path):
    path = tmp_path / "jump.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for begin in (0, 16000 * 7200):
            frame = av.AudioFrame.from_ndarray(tone(0.1)[:, 0][None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, begin, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="a hole of 7200 s") as refusal:
        read_audio(path)
    assert refusal.value.code == "timestamps"


def test_damaged_sound_keeps_its_length(tmp_path):
    path = write_clip(tmp_path / "clip.mpg", frames=50, codec="mpeg1video", audio_codec="mp2", sample_rate=44100)
    whole = read_audio(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    path.write_bytes(data)
    assert abs(len(read_audio(path)) - len(whole)) <= 0.1 * SAMPLE_RATE  # shorter holes are not filled, as in ffmpeg


class ContainerWithAnUnknownStream:
    """As PyAV where damage makes a stream appear: its packet is lost, IndexError comes, reading can go on."""

    format = av.ContainerFormat("mp4")

    def __init__(self) -> None:
        self.unread = [b"first", None, b"", b"second"]

    def demux(self, *streams: object) -> Iterator[av.Packet]:
        while self.unread:
            data = self.unread.pop(0)
            if data is None:
                raise IndexError("list index out of range")
            yield av.Packet(data)


def test_a_stream_that_appears_midway_is_passed_over():
    assert [bytes(packet) for packet in packets(ContainerWithAnUnknownStream())] == [b"first", b"second"]


def test_video_without_sound_and_files_that_are_none(tmp_path):
    codes = {}
    (tmp_path / "text.mp4").write_text("not a video\n" * 20)
    (tmp_path / "empty.mp4").touch()
    write_clip(tmp_path / "mute.mp4")
    for name in ("mute.mp4", "text.mp4", "empty.mp4", "nowhere.mp4"):
        with pytest.raises(MediaError) as refusal:
            read_audio(tmp_path / name)
        codes[name] = refusal.value.code
        assert name in refusal.value.message
    assert codes == {
        "mute.mp4": "no-audio",
        "text.mp4": "unreadable",
        "empty.mp4": "empty-file",
        "nowhere.mp4": "missing",
    }


def test_sound_under_any_file_name(tmp_path):
    plain = write_sound(tmp_path / "plain.wav", tone(0.1))
    shutil.copy(plain, tmp_path / 'it\'s "a" 声.wav')
    assert np.array_equal(read_audio(tmp_path / 'it\'s "a" 声.wav'), read_audio(plain))


def reference_mfcc(samples: np.ndarray, rate: int = 16000) -> np.ndarray:
    package = pytest.importorskip("python_speech_features", reason="python_speech_features is not installed")
    fft_size = 1 << (int(0.025 * rate + 0.5) - 1).bit_length()
    return package.mfcc(samples, rate, nfft=fft_size)


@pytest.mark.parametrize("count", [1, 2, 399, 400, 401, 559, 560, 561, 16000, 160 * 4096 + 401, 160 * 8192 + 777])
def test_mfcc_equals_the_package_at_every_edge_of_windows_and_blocks(count):
    samples = np.random.default_rng(count).integers(-9000, 9000, count).astype(np.int16)
    expected = reference_mfcc(samples)
    computed = mfcc(samples)
    assert computed.shape == expected.shape
    np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", RATES)
def test_mfcc_equals_the_package_at_every_rate(rate):
    samples = tone(0.3, rate)[:, 0]
    np.testing.assert_allclose(mfcc(samples, rate), reference_mfcc(samples, rate), rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=1500))
def test_mfcc_equals_the_package_for_any_samples(values):
    samples = np.array(values, np.int16)
    np.testing.assert_allclose(mfcc(samples), reference_mfcc(samples), rtol=1e-9, atol=1e-9)


def test_mfcc_of_silence_is_finite_and_its_energy_that_of_epsilon():
    features = mfcc(np.zeros(8000, np.int16))
    assert features.shape == (49, 13)
    np.testing.assert_allclose(features[:, 0], np.log(np.finfo(float).eps))
    np.testing.assert_allclose(features, reference_mfcc(np.zeros(8000, np.int16)), atol=1e-9)


def test_mfcc_of_nothing_is_refused():
    with pytest.raises(MediaError, match="no samples") as refusal:
        mfcc(np.zeros(0, np.int16))
    assert refusal.value.code == "no-audio"
    with pytest.raises(ValueError, match="mix the channels"):
        mfcc(np.zeros((100, 2), np.int16))


def test_mfcc_of_ten_minutes_takes_little_memory():
    samples = np.random.default_rng(0).integers(-9000, 9000, 600 * SAMPLE_RATE).astype(np.int16)
    tracemalloc.start()
    features = mfcc(samples)
    peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert features.shape == (59999, 13)
    assert peak_mib < 100  # windows of all of it would be 183 MiB, their spectra 235 MiB more


@pytest.mark.skipif(os.name != "posix", reason="peak memory is read from the system")
def test_reading_long_sound_holds_little_beyond_its_samples(tmp_path: Path):
    path = write_sound(tmp_path / "long.wav", tone(120.0, 48000, 2), 48000)
    tracemalloc.start()
    samples = read_audio(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * samples.nbytes  # the file itself is six times that

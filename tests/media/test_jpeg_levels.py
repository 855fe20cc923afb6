"""Levels of the frames that the JPEG encoder gets: those of ffmpeg 5.1.9, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given
from hypothesis import strategies as st

from tlbench.media.jpeg import JpegRoundTrip, jpeg_layout
from tlbench.media.jpeg_levels import planar_levels
from tlbench.media.video_reader import VideoReader

GOLDEN = Path(__file__).parents[1] / "golden" / "jpeg" / "levels.npz"
WIDTH, HEIGHT = 48, 20
PLANAR = ["yuv420p", "yuv422p", "yuv444p", "yuv420p9le", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le"]
PLANAR += ["yuv444p14le", "yuv420p16le"]
UNPACKED = ["nv12", "yuyv422", "uyvy422", "yuva420p", "yuva444p10le", "p010le", "yuv420p10be", "gray", "gray10le"]
UNPACKED += ["rgb24", "bgr0", "gbrp", "rgb565le", "rgb48le", "gbrp10le"]
SCALED = ["yuv411p", "yuv410p", "yuv440p"]
ODD_WIDTH, ODD_HEIGHT = 53, 37


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    return dict(np.load(GOLDEN))


def of_samples(layout: str, samples: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> av.VideoFrame:
    """A frame of raw samples, as ffmpeg reads them: plane after plane, without padding."""
    decoder = av.CodecContext.create("rawvideo", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.width, decoder.height, decoder.pix_fmt = width, height, layout
    (frame,) = decoder.decode(av.Packet(samples.tobytes()))
    return frame


def levels(frame: av.VideoFrame) -> np.ndarray:
    """What the encoder gets: all samples of Y, then of U and V."""
    dump = JpegRoundTrip()
    encoder = dump._open(frame.width, frame.height, jpeg_layout(frame.format), None)
    return np.concatenate(
        [
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width].ravel()
            for plane in dump._picture(frame, encoder).planes
        ]
    )


@pytest.mark.parametrize("layout", PLANAR + UNPACKED + SCALED)
def test_every_sample_is_that_of_ffmpeg(golden: Mapping[str, np.ndarray], layout: str) -> None:
    np.testing.assert_array_equal(levels(of_samples(layout, golden[layout])), golden[f"{layout}/jpeg"])


@pytest.mark.parametrize("layout", ["yuv420p10le", "nv12", "gbrp10le"])
def test_every_sample_of_a_frame_that_says_it_has_the_full_range_too(
    golden: Mapping[str, np.ndarray], layout: str
) -> None:
    frame = of_samples(layout, golden[layout])
    frame.color_range = ColorRange.JPEG
    np.testing.assert_array_equal(levels(frame), golden[f"{layout}/jpeg_of_full"])


@pytest.mark.parametrize("layout", [*SCALED, "yuv440p10le", "yuvj440p"])
def test_every_sample_of_scaled_chroma_in_an_odd_size(golden: Mapping[str, np.ndarray], layout: str) -> None:
    frame = of_samples(layout, golden[f"{layout}/odd"], ODD_WIDTH, ODD_HEIGHT)
    np.testing.assert_array_equal(levels(frame), golden[f"{layout}/odd/jpeg"])


def test_a_picture_whose_last_row_comes_first_is_that_picture(tmp_path: Path) -> None:
    """Uncompressed AVI files of Windows are so: FFmpeg gives their planes a negative length of a row."""
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = tmp_path / "raw.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))
    written = path.read_bytes()
    top_down, bottom_up = (np.array([WIDTH, height], "<i4").tobytes() for height in (-HEIGHT, HEIGHT))
    assert written.count(top_down) == 1  # the header's width and height
    path.write_bytes(written.replace(top_down, bottom_up))
    (run,) = VideoReader(path).frames()
    (frame,) = run.native
    stored = frame.to_ndarray(format="bgr24")  # the rows in the order in which a viewer sees them
    assert frame.planes[0].line_size < 0
    np.testing.assert_array_equal(levels(frame), levels(av.VideoFrame.from_ndarray(stored, "bgr24")))


def test_field_order_and_the_place_of_the_chroma_change_nothing() -> None:
    """DV video has both; FFmpeg 5.1's scaler knows neither."""
    encoder = av.CodecContext.create("dvvideo", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 720, 480, "yuv411p"
    encoder.framerate, encoder.time_base = Fraction(30000, 1001), Fraction(1001, 30000)
    noise = np.random.RandomState(0).randint(70, 180, (480, 720, 3)).astype(np.uint8)
    sent = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv411p")
    sent.pts = 0
    packets = [*encoder.encode(sent), *encoder.encode(None)]
    (decoded,) = av.CodecContext.create("dvvideo", "r").decode(packets[0])
    assert isinstance(decoded, av.VideoFrame)
    assert decoded.interlaced_frame
    bare = av.VideoFrame(720, 480, "yuv411p")
    for there, here in zip(decoded.planes, bare.planes, strict=True):
        rows = np.frombuffer(memoryview(there), np.uint8).reshape(there.height, -1)[:, : there.width]
        np.frombuffer(memoryview(here), np.uint8).reshape(here.height, -1)[:, : here.width] = rows
    np.testing.assert_array_equal(levels(decoded), levels(bare))


@given(level=st.integers(0, 255), plane=st.integers(0, 2), bits=st.sampled_from([8, 10, 12, 16]))
def test_a_limited_range_is_stretched(level: int, plane: int, bits: int) -> None:
    samples = np.full((8, 8), level << (bits - 8), np.uint8 if bits == 8 else np.uint16)
    stretched = planar_levels(samples, plane, bits, (8, 8), limited=True, dithered=bits > 8).astype(float).mean()
    low, high, middle = (16, 235, 0) if plane == 0 else (16, 240, 128)
    wanted = (level - (low if plane == 0 else 128)) * 255 / (high - low) + middle
    assert stretched == pytest.approx(np.clip(wanted, 0, 255), abs=1)

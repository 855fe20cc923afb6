"""The JPEG round trip: ffmpeg's image dump at its default rate control."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.media.jpeg import JpegRoundTrip
from tlbench.media.jpeg_length import in_ffmpegs_order, length_in_ffmpeg_5
from tlbench.media.jpeg_rate import JpegRate, variance
from tlbench.media.video_reader import VideoReader

GOLDEN = Path(__file__).parents[1] / "golden" / "syncnet"


@pytest.fixture(scope="module")
def pictures() -> list[av.VideoFrame]:
    return [frame for run in VideoReader(GOLDEN / "clip_a.mp4").frames() for frame in run.native]


@pytest.fixture(scope="module")
def files(pictures: list[av.VideoFrame]) -> list[bytes]:
    dump = JpegRoundTrip()
    return [dump.encode(picture) for picture in pictures]


def test_the_files_have_the_quantisers_and_lengths_of_the_ffmpeg_programs(files: list[bytes]) -> None:
    assert_as_recorded(files, "clip_a")


def test_those_of_a_shorter_clip_too() -> None:
    dump = JpegRoundTrip()
    assert_as_recorded(
        [dump.encode(frame) for run in VideoReader(GOLDEN / "clip_c.mp4").frames() for frame in run.native], "clip_c"
    )


def test_those_of_noise_grey_and_noise_too_with_an_odd_size_and_an_aspect_ratio() -> None:
    noise, dump, files = np.random.RandomState(0), JpegRoundTrip(), []
    for index in range(36):
        levels = noise.randint(16, 236, 2 * 53 * 37) if index % 24 < 12 else np.full(2 * 53 * 37, 100)
        files.append(dump.encode(frame_of(levels.astype(np.uint8)), Fraction(16, 15)))
    assert_as_recorded(files, "noise_and_grey")


def assert_as_recorded(files: list[bytes], clip: str) -> None:
    recorded = json.loads((GOLDEN.parent / "jpeg" / "files.json").read_text())[clip]
    assert [quantiser(file) for file in files] == recorded["quantisers"]
    assert [length_in_ffmpeg_5(file) for file in files] == recorded["lengths"]


def quantiser(file: bytes) -> int:
    """The scale of MPEG's matrix, of which the second entry is 16 (libavcodec/mpegvideodata.c)."""
    return file[file.index(b"\xff\xdb") + 6] * 8 // 16


def frame_of(levels: np.ndarray) -> av.VideoFrame:
    """53x37 in 4:2:0 of the first levels: the rows of Y, U and V."""
    frame = av.VideoFrame(53, 37, "yuv420p")
    at = 0
    for plane in frame.planes:
        here = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
        here[:] = levels[at : at + here.size].reshape(here.shape)
        at += here.size
    return frame


def test_each_frame_gives_one_jpeg_file(files: list[bytes]) -> None:
    assert len(files) == 50
    assert all(file.startswith(b"\xff\xd8") and file.endswith(b"\xff\xd9") for file in files)


def test_quality_falls_along_the_clip(files: list[bytes]) -> None:
    assert np.mean([len(file) for file in files[-10:]]) < 0.5 * np.mean([len(file) for file in files[:5]])


def test_a_second_dump_of_the_same_clip_is_identical(pictures: list[av.VideoFrame], files: list[bytes]) -> None:
    dump = JpegRoundTrip()
    assert [dump.encode(picture) for picture in pictures[:12]] == files[:12]


def test_pictures_come_back_as_bgr_of_the_same_size(pictures: list[av.VideoFrame]) -> None:
    bgr = pictures[0].to_ndarray(format="bgr24").astype(float)
    back = JpegRoundTrip().bgr(pictures[0]).astype(float)
    assert back.shape == bgr.shape
    assert np.abs(back - bgr).mean() < 4
    assert np.abs(back[..., ::-1] - bgr).mean() > 8  # the test would see swapped colours


def test_the_decoders_time_stamps_stay_as_they_are() -> None:
    grey = np.full((24, 16), 90, np.uint8)
    frame = av.VideoFrame.from_ndarray(grey, format="yuvj420p")
    frame.pts, frame.time_base = 77, Fraction(1, 90000)
    JpegRoundTrip().bgr(frame)
    assert (frame.pts, frame.time_base) == (77, Fraction(1, 90000))


def test_a_frame_given_twice_is_dumped_twice(pictures: list[av.VideoFrame]) -> None:
    dump = JpegRoundTrip()
    assert len(dump.encode(pictures[0])) > 0
    assert len(dump.encode(pictures[0])) > 0


def test_frames_of_another_size_are_scaled_to_the_first(pictures: list[av.VideoFrame]) -> None:
    dump = JpegRoundTrip()
    assert dump.bgr(pictures[0]).shape == (160, 160, 3)
    assert dump.bgr(pictures[1].reformat(96, 64)).shape == (160, 160, 3)


HALVED = ["yuv420p", "yuvj420p", "yuv420p10le", "yuv410p", "nv12", "yuva420p"]
HALF_AS_WIDE = ["yuv422p", "yuvj422p", "yuv411p", "yuv422p10le", "uyvy422"]
WHOLE = ["yuv444p", "yuvj444p", "yuv440p", "yuv444p10le", "rgb24", "bgr24", "bgr0", "rgba", "gbrp", "gbrp10le"]
WHOLE += ["gray", "gray10le", "ya8", "monow", "pal8", "rgb565le"]
# Sampling factors a component, seen in the files that ffmpeg 9.0 dumps (`ffmpeg -i FILE -threads 1 -f image2 %03d.jpg`)
SAMPLINGS = [
    *((layout, [0x22, 0x11, 0x11]) for layout in HALVED),
    *((layout, [0x22, 0x12, 0x12]) for layout in HALF_AS_WIDE),
    *((layout, [0x12, 0x12, 0x12]) for layout in WHOLE),
]


@pytest.mark.parametrize(("layout", "sampling"), SAMPLINGS)
def test_colour_is_kept_as_finely_as_ffmpeg_keeps_it(layout: str, sampling: list[int]) -> None:
    frame = av.VideoFrame(64, 48, layout)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    file = JpegRoundTrip().encode(frame)
    at = file.index(b"\xff\xc0")  # the frame's header: ITU-T T.81, B.2.2
    assert [file[at + 11 + 3 * component] for component in range(file[at + 9])] == sampling


def test_fine_colour_survives_the_round_trip() -> None:
    stripes = np.zeros((48, 64, 3), np.uint8)
    stripes[:, ::2] = (200, 40, 40)
    stripes[:, 1::2] = (40, 40, 200)
    back = JpegRoundTrip(10_000_000).bgr(av.VideoFrame.from_ndarray(stripes, format="rgb24"))
    assert np.abs(back[..., ::-1].astype(int) - stripes).mean() < 6


@given(st.dictionaries(st.integers(0, 255), st.integers(1, 16)))
def test_symbols_are_sorted_by_the_length_of_their_code(lengths: dict[int, int]) -> None:
    ordered = in_ffmpegs_order(lengths)
    assert sorted(ordered) == sorted(lengths)
    assert [lengths[symbol] for symbol in ordered] == sorted(lengths.values())


def test_the_variance_of_a_picture_is_that_of_its_blocks() -> None:
    luma = np.random.RandomState(0).randint(0, 256, (32, 48)).astype(np.uint8)
    of_blocks = luma.reshape(2, 16, 3, 16).astype(float).var((1, 3)).sum()
    assert variance(luma) == pytest.approx(of_blocks, abs=6 * (1 + 628 / 256))
    assert variance(luma[:20, :40]) == variance(np.pad(luma[:20, :40], ((0, 12), (0, 8)), mode="edge"))


def test_longer_files_give_a_coarser_quantiser() -> None:
    luma = np.random.RandomState(0).randint(0, 256, (64, 64)).astype(np.uint8)
    short, long = JpegRate(200_000, 25), JpegRate(200_000, 25)
    for _ in range(20):
        short.quantiser(luma), long.quantiser(luma)
        short.wrote(1000)
        long.wrote(4000)
    assert 2 <= short.quantiser(luma) < long.quantiser(luma) <= 31

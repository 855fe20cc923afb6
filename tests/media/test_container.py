"""Which files count as media: a stream without a container has to begin as one, and pictures of no size are refused."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.factories.media_factory import tone, write_clip, write_sound
from tlbench.media.container import BARE_STREAMS, FORMATS, MediaError, opened
from tlbench.media.probe import probe

HEAD_BYTES = (4, 16, 64, 512, 2048)  # how much of the beginning is lost
BARE = [("clip.h264", "libx264"), ("clip.hevc", "libx265"), ("clip.m4v", "mpeg4"), ("clip.m2v", "mpeg2video")]


def ffmpeg_takes_it_for(path: Path) -> str:
    try:
        with av.open(str(path), options={"format_whitelist": FORMATS}) as container:
            return container.format.name
    except av.error.FFmpegError:
        return "nothing"


@pytest.mark.parametrize(("name", "codec"), BARE)
def test_a_bare_stream_is_read(tmp_path: Path, name: str, codec: str) -> None:
    path = write_clip(tmp_path / name, codec=codec)
    with opened(path) as container:
        assert len(container.streams.video) == 1


@pytest.mark.parametrize("lost", HEAD_BYTES)
@pytest.mark.parametrize("damage", ["zeroed", "cut off"])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.avi", "mpeg4"), ("clip.avi", "libx264"), ("clip.mp4", "mpeg4"), ("clip.mpg", "mpeg2video")],
)
def test_a_container_without_its_head_is_never_taken_for_a_bare_stream(
    tmp_path: Path, name: str, codec: str, damage: str, lost: int
) -> None:
    whole = write_clip(tmp_path / name, codec=codec, frames=50).read_bytes()
    path = tmp_path / f"damaged{Path(name).suffix}"
    path.write_bytes((bytes(lost) if damage == "zeroed" else b"") + whole[lost:])
    if ffmpeg_takes_it_for(path) not in BARE_STREAMS:
        return  # what is left has a container, or nothing that FFmpeg knows
    with pytest.raises(MediaError) as refused, opened(path):
        pass
    assert refused.value.code in ("unreadable", "truncated")


@pytest.mark.parametrize("lost", HEAD_BYTES)
@pytest.mark.parametrize("damage", ["zeroed", "cut off"])
def test_a_flac_without_its_head_is_refused(tmp_path: Path, damage: str, lost: int) -> None:
    whole = write_sound(tmp_path / "whole.flac", tone(3.0), codec="flac")
    with opened(whole) as container:
        assert len(container.streams.audio) == 1
    path = tmp_path / "damaged.flac"
    path.write_bytes((bytes(lost) if damage == "zeroed" else b"") + whole.read_bytes()[lost:])
    with pytest.raises(MediaError) as refused, opened(path):
        pass
    assert refused.value.code == "unreadable"


def test_pictures_of_no_size_are_a_damaged_header(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    head = data.index(b"strf") + 8  # BITMAPINFOHEADER: its size, then width and height
    data[head + 4 : head + 12] = bytes(8)
    for found in (at for at in range(len(data) - 4) if data[at : at + 4] == b"\x00\x00\x01\x20"):
        data[found : found + 40] = bytes(40)  # the stream's own header says the size too
    path.write_bytes(bytes(data))
    with pytest.raises(MediaError) as refused:
        probe(path)
    assert refused.value.code in ("unreadable", "no-frames")

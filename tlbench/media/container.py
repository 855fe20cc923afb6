"""Opening untrusted media files: accepted formats, packets, and one-line errors."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from tlbench.errors import ClipError
from tlbench.files import MEDIA, open_outside
from tlbench.media.id3 import id3_bytes

# Only formats that contain pictures and sound. With FFmpeg's playlists (hls, concat, dash, sdp) a text file named .mp4
# could make this program open other files and addresses.
FORMATS = (
    "mov,mp4,avi,mpeg,mpegts,mpegvideo,matroska,webm,asf,flv,h264,hevc,m4v,mjpeg,ivf,ogg,nut,dv,mxf,yuv4mpegpipe,gif,"
    "wav,w64,aiff,au,flac,mp3,aac,ac3,caf"
)
# Signatures of containers. A file that begins with one but can't be opened was truncated or never finished.
BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # ISO/IEC 14496-12, at byte 4
HEADS = (b"RIFF", b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba")  # AVI or WAV, Matroska, MPEG program stream
HEAD_BYTES = 1024
# Streams without a container, and how they begin, after tags (id3.py): pictures with a start code, FLAC with its marker
# (RFC 9639, 6), MP3 and AAC with the sync bits of a frame (ISO/IEC 11172-3, 2.4.1.3; ISO/IEC 13818-7, 6.2), AC-3 with
# its sync word (ETSI TS 102 366, 4.4.1.1). FFmpeg also takes a file for one if it finds some in it, such as an AVI with
# a damaged header, or a FLAC without its own; its pictures or sound are then the wrong ones, or not all.
START_CODES = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
BARE_STREAMS = {
    "h264": START_CODES,
    "hevc": START_CODES,
    "m4v": START_CODES,
    "mpegvideo": START_CODES,
    "flac": (b"fLaC",),
    "mp3": tuple(bytes((0xFF, second)) for second in range(0xE0, 0x100)),
    "aac": (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9", b"ADIF"),
    "ac3": (b"\x0b\x77", b"\x77\x0b"),
}
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive, not a video", "unpack it"),
    (b"\x1f\x8b", "a gzip archive, not a video", "unpack it"),
    (b"Rar!", "a rar archive, not a video", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, not a video", "unpack it"),
    (b"%PDF", "a PDF document, not a video", "write or download the video again"),
    (b"\x89PNG", "a PNG picture, not a video", "write all frames as one video"),
    (b"\xff\xd8\xff", "a JPEG picture, not a video", "write all frames as one video"),
    (b"\x93NUMPY", "a NumPy array, not a video", "write its frames with tlbench.write_video"),
    (b".RMF", "a RealMedia file, which is not read", "re-encode it as mp4"),
    (b"FWS", "a Flash animation, which is not read", "re-encode it as mp4"),
    (b"CWS", "a Flash animation, which is not read", "re-encode it as mp4"),
)
PLAYLISTS = ("#extm3u", "ffconcat", "v=0\n", "v=0\r", "[playlist]")
SAID_LETTERS = 40  # characters of a text file's beginning in a message
# PyAV before 19 refuses a file with a title that is not UTF-8, unless metadata_errors="replace". PyAV 19 has no such
# argument and always keeps the bytes as surrogate escapes.
METADATA_ERRORS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
# A larger picture means a damaged header or an attack: scoring two videos of such pictures takes about 40 bytes for
# each pixel. No talking face is larger; 8K video (7680x4320) may be read where somebody asks for it.
MOST_PIXELS, LARGE_PIXELS = 4096 * 4096, 8192 * 8192
LARGE_VARIABLE = "TLBENCH_LARGE_PICTURES"  # of the environment, so that worker processes have it too


class MediaError(ClipError):
    """A file can't be read as video or audio; ``code`` says why.

    Codes: ``missing``, ``empty-file``, ``unreadable``, ``truncated``, ``no-video``, ``no-audio``, ``no-frames``,
    ``size-changes``, ``too-large``, ``timestamps``.
    """


def allow_large_pictures() -> None:
    """Read pictures of up to 8192x8192 from now on, in this process and those that it starts."""
    os.environ[LARGE_VARIABLE] = "1"


def most_pixels() -> int:
    """How many pixels a picture may have: 4096x4096, or 8192x8192 where ``TLBENCH_LARGE_PICTURES`` is 1."""
    return LARGE_PIXELS if os.environ.get(LARGE_VARIABLE) == "1" else MOST_PIXELS


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The file's container, closed at the end of the block. Its streams can't be used after that.

    Raises
    ------
    MediaError
        ``missing``, ``empty-file``, ``unreadable`` or ``truncated``.
    """
    _check_file(path)
    try:
        container = av.open(
            "file:" + os.path.abspath(path),
            options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
            **METADATA_ERRORS,
        )
    except (av.error.FFmpegError, UnicodeError) as error:
        raise _why_not(path, error) from None
    with container:
        begins = BARE_STREAMS.get(container.format.name)
        if begins is not None and not _head(path, after_tags=True).startswith(begins):
            raise _why_not(path, ValueError("no container, and not the beginning of a bare stream"))
        yield container


def packets(container: InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet[Any]]:
    """The packets with data, in file order, up to the end of the file or to an unreadable part.

    A file with an unreadable end gives the packets before it, as in the ffmpeg program. Empty packets are left out,
    because they mean the end of the stream to a decoder.
    """
    padded = container.format.name.startswith("mov")
    while True:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    if padded and packet.stream.type == "audio":
                        _keep_padding(packet)
                    yield packet
        except av.error.FFmpegError:
            return
        except IndexError:  # a damaged file with a stream that PyAV doesn't know; reading goes on
            continue
        return


def picture_stream(container: InputContainer) -> av.VideoStream | None:
    """The video stream that is read: the one marked as default, else the one with the largest pictures.

    Of equals the first, as the ffmpeg program chooses (``map_auto_video`` in fftools/ffmpeg_mux_init.c). A cover
    picture of a sound file doesn't count.
    """
    streams = [stream for stream in container.streams.video if not _has(stream, av.stream.Disposition.attached_pic)]
    return max(streams, key=lambda stream: (_is_default(stream), _pixels(stream)), default=None)


def sound_stream(container: InputContainer) -> av.AudioStream | None:
    """The sound stream that is read: the one marked as default, else the one with the most channels.

    Of equals the first, as the ffmpeg program chooses (``map_auto_audio`` in fftools/ffmpeg_mux_init.c). Streams
    without a decoder don't count.
    """
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return max(streams, key=lambda stream: (_is_default(stream), stream.codec_context.channels), default=None)


def _is_default(stream: av.stream.Stream) -> bool:
    return _has(stream, av.stream.Disposition.default)


def _has(stream: av.stream.Stream, mark: av.stream.Disposition) -> bool:
    return bool(stream.disposition & mark)


def _pixels(stream: av.VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height if stream.codec_context is not None else 0


def _keep_padding(packet: av.Packet[Any]) -> None:
    """Make the last packet of a sound in mov or mp4 give all its samples, in every version of FFmpeg.

    Since libavformat 63 (PyAV 19) the decoder cuts off the samples beyond the edit list; before, and in ffmpeg 5.1,
    which the recorded values come from, they were kept. Bytes 4 to 8 of the side data hold their number
    (libavcodec/packet.h, AV_PKT_DATA_SKIP_SAMPLES).
    """
    if packet.has_sidedata("skip_samples"):
        side_data = packet.get_sidedata("skip_samples")
        marked = bytes(side_data)
        if any(marked[4:8]):
            side_data.update(marked[:4] + bytes(4) + marked[8:])
            packet.set_sidedata(side_data)


def _check_file(path: Path) -> None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise MediaError("missing", f"{path}: no such file; check the path or the list that names it") from None
    except OSError as error:
        reason = "its symbolic links run in a circle" if error.errno == errno.ELOOP else error.strerror
        raise MediaError("unreadable", f"{path}: {reason}; mend the link or the permissions") from None
    except ValueError:  # a zero byte in the name
        raise MediaError(
            "missing", f"{str(path)!r}: no file can have this name; check the list that names it"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise MediaError("unreadable", f"{path}: not a regular file; give the path of a video file")
    if found.st_size == 0:
        raise MediaError("empty-file", f"{path}: 0 bytes; write or copy the file again")


def _head(path: Path, *, after_tags: bool = False) -> bytes:
    """The first bytes of a file, or of what follows its ID3 tags. Raises MediaError if it can't be read."""
    try:
        with open_outside(path, MEDIA) as file:
            file.seek(id3_bytes(file) if after_tags else 0)
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise MediaError("unreadable", f"{path}: {error.strerror}; check the file and its disk") from None


def _why_not(path: Path, error: Exception) -> MediaError:
    if isinstance(error, PermissionError):
        return MediaError("unreadable", f"{path}: no permission to read it; change its mode or run as its owner")
    head = _head(path)
    if head[4:8] in BOXES or head[:4] in HEADS:
        return MediaError(
            "truncated",
            f"{path}: cut short or damaged, its index can't be read; write or copy the file again",
        )
    return MediaError("unreadable", f"{path}: {_what_it_is(head)}")


def _what_it_is(head: bytes) -> str:
    """What kind of file it is by its first bytes, if it is not video or sound, and what to do."""
    if head.startswith(LFS_POINTER):
        return "a Git LFS pointer, not the video itself; run `git lfs pull` where it was cloned"
    for signature, kind, way_out in SIGNATURES:
        if head.startswith(signature):
            return f"{kind}; {way_out}"
    if not head.strip(b"\x00"):
        return "begins with nothing but zero bytes, as an interrupted download leaves them; copy the file again"
    text = _as_text(head)
    if text is None:
        return "not a video or audio file FFmpeg knows; re-encode it as mp4"
    start = text.lstrip().lower()
    if start.startswith(PLAYLISTS):
        return "a playlist that names other files, not a video; give the files that it names"
    if re.search(r"<!doctype html|<html|<head|<body|<script", start):
        return "a web page (HTML) saved under this name, such as a log-in or error page; download the video again"
    if start.startswith(("{", "[")):
        return "text in JSON, not a video or sound, such as a server's error message; download the video again"
    if start.startswith("<"):
        return "text in XML, not a video or sound, such as a server's error message; download the video again"
    said = " ".join(text.split())[:SAID_LETTERS]
    return f"a text file that begins {said!r}, not a video or sound; write or download the video again"


def _as_text(head: bytes) -> str | None:
    """The first bytes of a file as text, or None if they are not text. They may end within a character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore")
    text = head.decode("utf-8", "ignore").removeprefix("\ufeff")
    lost = len(head) - len(text.encode())
    unprintable = sum(not (letter.isprintable() or letter.isspace()) for letter in text)
    return text if text.strip() and lost <= 6 and not unprintable else None

"""Opening a media file that nobody vouches for: the errors, the formats, the packets."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from tlbench.errors import ClipError

# Only files that hold pictures and sound themselves. FFmpeg's playlists (hls, concat, dash, sdp) would let a text file
# named .mp4 make this program open other files and addresses.
FORMATS = (
    "mov,mp4,avi,mpeg,mpegts,mpegvideo,matroska,webm,asf,flv,h264,hevc,m4v,mjpeg,ivf,ogg,nut,dv,mxf,yuv4mpegpipe,gif,"
    "wav,w64,aiff,au,flac,mp3,aac,ac3,caf"
)
# Signatures of containers; a file that begins with one and still can't be opened was cut off or never finished.
BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # ISO/IEC 14496-12, at byte 4
HEADS = (b"RIFF", b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba")  # AVI or WAV, Matroska, MPEG program stream
# PyAV before 19 refuses a file whose title is not UTF-8, unless it is told to replace what can't be decoded. PyAV 19
# takes no such argument: it always keeps such bytes as surrogate escapes.
METADATA_ERRORS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
MOST_PIXELS = 8192 * 8192  # a picture larger than this is a damaged header or an attack, not a face


class MediaError(ClipError):
    """A file can't be read as video or audio; ``code`` says in which way.

    Codes: ``missing``, ``empty-file``, ``unreadable``, ``truncated``, ``no-video``, ``no-audio``, ``no-frames``,
    ``size-changes``, ``too-large``, ``timestamps``.
    """


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The file's container, closed at the end. Streams must not be touched after that.

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
        yield container


def packets(container: InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet[Any]]:
    """The packets that hold data, in file order, up to the end of the file or to where it can't be read on.

    A file whose tail is unreadable gives what comes before, as the ffmpeg program does. Empty packets are left out,
    because a decoder takes one for the end of the stream.
    """
    while True:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    _keep_padding(container, packet)
                    yield packet
        except av.error.FFmpegError:
            return
        except IndexError:  # damage made a stream appear that PyAV doesn't know; what follows is read on
            continue
        return


def _keep_padding(container: InputContainer, packet: av.Packet[Any]) -> None:
    """Let the last packet of a sound in mov or mp4 give all of its samples, in every release of FFmpeg.

    From libavformat 63 (PyAV 19) on, its end beyond the edit list is marked for the decoder to cut off; up to then, and
    in the ffmpeg 5.1 that the recorded values come from, it was kept. Bytes 4 to 8 of the side data hold the number of
    samples (libavcodec/packet.h, AV_PKT_DATA_SKIP_SAMPLES).
    """
    if container.format.name.startswith("mov") and packet.has_sidedata("skip_samples"):
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


def _why_not(path: Path, error: Exception) -> MediaError:
    if isinstance(error, PermissionError):
        return MediaError("unreadable", f"{path}: no permission to read it; change its mode or run as its owner")
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as trouble:
        return MediaError("unreadable", f"{path}: {trouble.strerror}; check the file and its disk")
    if head[4:8] in BOXES or head[:4] in HEADS:
        return MediaError(
            "truncated",
            f"{path}: cut short or damaged, its index can't be read; write or copy the file again",
        )
    return MediaError("unreadable", f"{path}: not a video or audio file FFmpeg knows; re-encode it as mp4")

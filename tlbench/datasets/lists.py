"""Readers of the file lists that lip-sync projects publish.

Every reader takes UTF-8 with or without a byte order mark, LF or CRLF line ends, and a last line without a line end.
Errors are a :class:`TlbenchError` that begins with ``file:line``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import TEXT, read_outside
from tlbench.names import why_no_clip_id


@dataclass(frozen=True)
class ListedClip:
    """A clip of a list, and its line number (from 1)."""

    id: str
    line: int


@dataclass(frozen=True)
class TalkLipClip:
    """One line of TalkLip's tsv: the clip, its video frames at 25 frames/s and its audio samples at 16 kHz."""

    id: str
    line: int
    frames: int
    samples: int


@dataclass(frozen=True)
class AudioVideoPair:
    """A pair of a clip's speech and another clip's face.

    Attributes
    ----------
    number : int
        Line number **from 0**, which Wav2Lip's scripts use as file name: ``<number>.mp4``.
    audio, video : str
        Relative to the data root, without extension.
    """

    number: int
    audio: str
    video: str


_AnyListed = TypeVar("_AnyListed", ListedClip, TalkLipClip)


def check_clip_id(text: str, where: str) -> str:
    """The id itself if it can be one (:func:`tlbench.names.why_no_clip_id`), else TlbenchError."""
    why = why_no_clip_id(text)
    if why is not None:
        raise TlbenchError(f"{where}: clip id {quoted(text)} {why}; rename it")
    return text


def read_text(path: Path, what: str) -> str:
    """A whole text file, byte order mark removed. TlbenchError if it can't be read or is not UTF-8."""
    try:
        raw = read_outside(path, TEXT)
    except OSError as error:
        raise TlbenchError(f"{what} {path} can't be read ({error.strerror}); check the path") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TlbenchError(
            f"{path}:{line}: not UTF-8 (byte {raw[error.start]:#04x}); save the file as UTF-8"
        ) from error


def read_lines(path: Path, what: str = "list") -> Iterator[tuple[int, str]]:
    """Line number (from 1) and stripped text of each line that is not blank."""
    # Not str.splitlines, which also splits at characters that a file name may hold, such as form feeds.
    for number, line in enumerate(read_text(path, what).split("\n"), start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def read_id_list(path: Path) -> list[ListedClip]:
    """One id per line, which may contain spaces; blank lines and lines that begin with ``#`` are skipped."""
    return _unique(
        path, (ListedClip(check_clip_id(t, f"{path}:{n}"), n) for n, t in read_lines(path) if not t.startswith("#"))
    )


def read_lrs2_list(path: Path) -> list[ListedClip]:
    """LRS2's ``test.txt``: ``VIDEO/CLIP NF`` (or ``MV``) on each line, or the id alone.

    Text after the id is dropped, as in the published scripts: ``line.split()[0]`` in ``sync_eval.py`` and
    ``bbx_extract.py`` of Sxjdwang/TalkLip.
    """
    clips = []
    for number, text in read_lines(path):
        clip_id = check_clip_id(text.split()[0], f"{path}:{number}")
        if clip_id.count("/") != 1:
            raise TlbenchError(
                f"{path}:{number}: {quoted(clip_id)} is not VIDEO/CLIP, as in '6331559613336179781/00002 NF'"
            )
        clips.append(ListedClip(clip_id, number))
    return _unique(path, clips)


def read_talklip_tsv(path: Path) -> list[TalkLipClip]:
    """TalkLip's ``datalist/test_partial.tsv`` (name, frames, samples), or the ``test.tsv`` made from it.

    The latter is AV-HuBERT's manifest, written by TalkLip's ``toavhform.py``: name, video path, audio path, frames,
    samples. The paths belong to another machine and are not used. The first line is ``/`` (the root), with or without
    tabs.
    """
    lines = read_lines(path)
    header = next(lines, (1, ""))
    if header[1] != "/":
        raise TlbenchError(f"{path}:{header[0]}: a TalkLip tsv begins with a line '/', not {quoted(header[1])}")
    clips = []
    for number, text in lines:
        cells = text.split("\t")
        if len(cells) not in (3, 5):
            raise TlbenchError(
                f"{path}:{number}: {len(cells)} tab-separated columns; expected 3 (name, frames, samples) or 5"
            )
        frames, samples = (_count(cell, f"{path}:{number}") for cell in cells[-2:])
        clips.append(TalkLipClip(check_clip_id(cells[0], f"{path}:{number}"), number, frames, samples))
    return _unique(path, clips)


def read_wav2lip_pairs(path: Path) -> list[AudioVideoPair]:
    """Wav2Lip's ``evaluation/test_filelists/{lrs2,lrs3,lrw}.txt``: ``AUDIO VIDEO`` on each line, without extensions.

    The audio comes **first** (``gen_videos_from_filelist.py`` of Rudrabha/Wav2Lip). A blank line is an error here, so
    that line numbers and files stay in step; it also stops that script.
    """
    return [AudioVideoPair(number, first, second) for number, first, second in _two_columns(path)]


def read_subset(path: Path) -> list[ListedClip]:
    """A list of clips in any of the forms above for single clips.

    A first line ``/`` means TalkLip's tsv; if every line ends in ``NF`` or ``MV`` it is LRS2's list; else a list of
    ids.
    """
    texts = [text for _, text in read_lines(path)]
    if texts and texts[0] == "/":
        return [ListedClip(clip.id, clip.line) for clip in read_talklip_tsv(path)]
    if texts and all(re.fullmatch(r"\S+\s+(NF|MV)", text) for text in texts):
        return read_lrs2_list(path)
    return read_id_list(path)


def _two_columns(path: Path) -> Iterator[tuple[int, str, str]]:
    lines = read_text(path, "list").rstrip().split("\n")
    for number, line in enumerate(lines):
        names = line.split()
        if len(names) != 2:
            raise TlbenchError(
                f"{path}:{number + 1}: {counted(len(names), 'name')}; expected two, separated by a space"
            )
        first, second = (check_clip_id(name, f"{path}:{number + 1}") for name in names)
        yield number, first, second


def _count(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise TlbenchError(f"{where}: {quoted(text)} is not a count")
    return int(text)


def _unique(path: Path, clips: Iterable[_AnyListed]) -> list[_AnyListed]:
    first: dict[str, int] = {}
    unique = []
    for clip in clips:
        if clip.id in first:
            raise TlbenchError(
                f"{path}:{clip.line}: {shortened(clip.id)} is already in line {first[clip.id]}; remove one"
            )
        first[clip.id] = clip.line
        unique.append(clip)
    return unique

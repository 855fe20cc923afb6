"""File lists as the projects around lip synchronisation ship them, read as they are.

Every reader takes UTF-8 with or without a byte order mark, LF or CRLF line ends, and a last line without an end.
Trouble is a :class:`TlbenchError` that begins with ``file:line``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from unicodedata import category

from tlbench.errors import TlbenchError
from tlbench.files import TEXT, read_outside


@dataclass(frozen=True)
class ListedClip:
    """A clip a list names, and the line (from 1) it stands in."""

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
class LrwClip:
    """One line of an LRW list: ``ABOUT/test/ABOUT_00001``."""

    id: str
    line: int
    word: str
    split: str


@dataclass(frozen=True)
class AudioVideoPair:
    """Whose speech and whose face are put together.

    Attributes
    ----------
    number : int
        Line number **from 0**: Wav2Lip's scripts name what they generate ``<number>.mp4``.
    audio, video : str
        Relative to the data root; with extension in ReSyncED's lists, without in the others.
    """

    number: int
    audio: str
    video: str


_AnyListed = TypeVar("_AnyListed", ListedClip, TalkLipClip, LrwClip)


def check_clip_id(text: str, where: str) -> str:
    """The id itself if files may be named after it, else TlbenchError.

    Ids name files that are read below the data root and written below the results folder, so a list from elsewhere
    must not lead out of them.
    """
    why = None
    if not text:
        why = "is empty"
    elif any(part in ("", ".", "..") for part in text.split("/")):
        why = "must be a relative name without '.', '..' or empty parts"
    elif "\\" in text or (not text.isprintable() and any(category(letter) in ("Cc", "Cs") for letter in text)):
        why = "has a backslash, a control character or bytes that are not UTF-8"
    if why is not None:
        raise TlbenchError(f"{where}: clip id {text!r} {why}; rename it")
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
    """Line number (from 1) and text without surrounding white space, of each line that is not blank."""
    # Not str.splitlines: it also cuts at form feeds and the like, which a file name may hold.
    for number, line in enumerate(read_text(path, what).split("\n"), start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def read_id_list(path: Path) -> list[ListedClip]:
    """One id a line, spaces inside allowed; blank lines and lines that begin with ``#`` are skipped."""
    return _unique(
        path, (ListedClip(check_clip_id(t, f"{path}:{n}"), n) for n, t in read_lines(path) if not t.startswith("#"))
    )


def read_lrs2_list(path: Path) -> list[ListedClip]:
    """LRS2's ``test.txt``: ``VIDEO/CLIP NF`` (or ``MV``) a line, or the id alone.

    What follows the id is dropped, as by the readers of the published numbers: ``line.split()[0]`` in ``sync_eval.py``
    and ``bbx_extract.py`` of Sxjdwang/TalkLip.
    """
    clips = []
    for number, text in read_lines(path):
        clip_id = check_clip_id(text.split()[0], f"{path}:{number}")
        if clip_id.count("/") != 1:
            raise TlbenchError(f"{path}:{number}: {clip_id!r} is not VIDEO/CLIP, as in '6331559613336179781/00002 NF'")
        clips.append(ListedClip(clip_id, number))
    return _unique(path, clips)


def read_talklip_tsv(path: Path) -> list[TalkLipClip]:
    """TalkLip's ``datalist/test_partial.tsv`` (name, frames, samples), or the ``test.tsv`` made of it.

    The latter, written by TalkLip's ``toavhform.py``, is AV-HuBERT's manifest: name, video path, audio path, frames,
    samples; the paths are of the machine it was made on and are not used. The first line is ``/`` (the root), padded
    with tabs or not.
    """
    lines = read_lines(path)
    header = next(lines, (1, ""))
    if header[1] != "/":
        raise TlbenchError(f"{path}:{header[0]}: a TalkLip tsv begins with a line '/', not {header[1]!r}")
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


def read_lrw_list(path: Path) -> list[LrwClip]:
    """An LRW list such as TalkLip's ``datalist/lrw_test.txt``: ``WORD/test/WORD_NNNNN`` a line, in any order."""
    clips = []
    for number, text in read_lines(path):
        clip_id = check_clip_id(text, f"{path}:{number}")
        found = re.fullmatch(r"([A-Z]+)/([a-z]+)/\1_[0-9]+", clip_id)
        if found is None:
            raise TlbenchError(f"{path}:{number}: {clip_id!r} is not WORD/SPLIT/WORD_NNNNN")
        clips.append(LrwClip(clip_id, number, found[1], found[2]))
    return _unique(path, clips)


def read_wav2lip_pairs(path: Path) -> list[AudioVideoPair]:
    """Wav2Lip's ``evaluation/test_filelists/{lrs2,lrs3,lrw}.txt``: ``AUDIO VIDEO`` a line, without extensions.

    The audio comes **first** (``gen_videos_from_filelist.py`` of Rudrabha/Wav2Lip). A blank line has a number too,
    and stops that script; here it is an error, so that numbers and files can't slip apart.
    """
    return [AudioVideoPair(number, first, second) for number, first, second in _two_columns(path)]


def read_resynced_pairs(path: Path) -> list[AudioVideoPair]:
    """ReSyncED's ``random_pairs.txt`` and ``tts_pairs.txt``: ``VIDEO AUDIO`` a line, with extensions.

    The video comes **first** here, the other way round than in the lists beside it (``real_videos_inference.py`` of
    Rudrabha/Wav2Lip).
    """
    return [AudioVideoPair(number, second, first) for number, first, second in _two_columns(path)]


def read_subset(path: Path) -> list[ListedClip]:
    """A list of clips in any of the forms above that name single clips, told apart by the whole file.

    ``/`` in the first line is TalkLip's tsv; if every line ends in ``NF`` or ``MV`` it is LRS2's; all else are ids.
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
            raise TlbenchError(f"{path}:{number + 1}: {len(names)} names; expected two, separated by a space")
        first, second = (check_clip_id(name, f"{path}:{number + 1}") for name in names)
        yield number, first, second


def _count(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise TlbenchError(f"{where}: {text!r} is not a count")
    return int(text)


def _unique(path: Path, clips: Iterable[_AnyListed]) -> list[_AnyListed]:
    first: dict[str, int] = {}
    unique = []
    for clip in clips:
        if clip.id in first:
            raise TlbenchError(f"{path}:{clip.line}: {clip.id} stands already in line {first[clip.id]}; remove one")
        first[clip.id] = clip.line
        unique.append(clip)
    return unique

"""GRID: six-word sentences read to a camera, 75 frames, open licence (CC BY 4.0, Zenodo record 3625687)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source, Span
from tlbench.datasets.lists import read_id_list, read_lines
from tlbench.datasets.matching import find_files
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import WORD_TIMES, read_outside
from tlbench.media.rates import FRAMES_PER_SECOND

SILENCES = frozenset({"sil", "sp"})
TICKS_PER_FRAME = 1000  # alignment files count thousandths of a frame of 1/25 s

# The sentence is spelled in the id's six letters: Cooke, Barker, Cunningham, Shao, JASA 120(5), 2006, table I.
_COMMAND = {"b": "bin", "l": "lay", "p": "place", "s": "set"}
_COLOUR = {"b": "blue", "g": "green", "r": "red", "w": "white"}
_PREPOSITION = {"a": "at", "b": "by", "i": "in", "w": "with"}
_LETTER = {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"}  # no w: its name has three syllables
_DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGIT = dict(zip("z123456789", _DIGIT_WORDS, strict=True))
_ADVERB = {"a": "again", "n": "now", "p": "please", "s": "soon"}
_CODE = (_COMMAND, _COLOUR, _PREPOSITION, _LETTER, _DIGIT, _ADVERB)

Alignment = list[tuple[float, float, str]]


class Grid(Dataset):
    """``sN/<clip>.mpg`` as the corpus ships it, or re-encoded in any container.

    The transcript is what the id spells; of other names it is the alignment's. Word times are in ``<clip>.align``
    beside the video or in ``alignments/sN/``; those that contradict the id, or are another
    speaker's as well, are not used. Splits are
    ``split_<name>.txt`` in the root, one ``sN/<clip>`` a line; ``all`` is always there.
    """

    name = "grid"
    title = "GRID"
    layout = "s1/*.mpg (or .mp4) and optionally alignments/s1/*.align, split_test.txt"
    licence = "CC BY 4.0"
    cite = "Cooke, Barker, Cunningham, Shao: An audio-visual corpus for speech perception and ASR, JASA 2006"
    cluster = "speaker"

    def splits(self, source: Source) -> tuple[str, ...]:
        assert source.root is not None  # needs_root
        _speakers(source.root)
        lists = sorted(path.stem.removeprefix("split_") for path in source.root.glob("split_*.txt"))
        return (*lists, "all")

    def clips(self, source: Source, split: str) -> list[Clip]:
        root = source.root
        assert root is not None  # needs_root
        there: dict[str, Path] = {}
        for folder in _speakers(root):
            for file in find_files(folder):
                if "/" in file.name:
                    continue
                clip_id = f"{folder.name}/{file.name}"
                if clip_id in there:
                    raise TlbenchError(
                        f"grid: {there[clip_id]} and {file.path} are both clip {shortened(clip_id)}; remove one"
                    )
                there[clip_id] = file.path
        listing = root / f"split_{split}.txt"
        ids = list(there)
        if split != "all":
            listed = read_id_list(listing)
            for entry in listed:
                if entry.id not in there:
                    raise TlbenchError(
                        f"{listing}:{entry.line}: no video {shortened(entry.id)}.* under {root}; add it, or take it "
                        "off the list"
                    )
            ids = [entry.id for entry in listed]
        return [_clip(root, clip_id, there[clip_id]) for clip_id in ids]

    def spans(self, source: Source, clip: Clip) -> tuple[Span, ...]:
        """Words and silences of the clip's alignment; ``sp``, between words, is silence too."""
        assert source.root is not None  # needs_root
        assert clip.reference is not None  # set by clips
        alignment = _readable(_alignment(source.root, clip.id, clip.reference))
        if contradiction(clip.id, alignment) is not None or shared_alignment(source.root, clip) is not None:
            return ()
        return tuple(
            Span(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND, "sil" if word.lower() in SILENCES else word)
            for start, end, word in alignment
        )

    def contradictions(self, source: Source, clip: Clip) -> tuple[tuple[str, str], ...]:
        """An alignment that says another sentence than the id, is another speaker's too, can't be read, or is not there
        though others are.

        Folders of the public archive are known to be mixed up: reported in lhotse-speech/lhotse, issues 1501 and 1502.
        """
        assert source.root is not None  # needs_root
        assert clip.reference is not None  # set by clips
        path = _alignment(source.root, clip.id, clip.reference)
        if path is None:
            aligned = _has_alignments(source.root / "alignments") or _has_alignments(clip.reference.parent)
            return (("no-word-times", f"no alignment {clip.id}.align, though other clips have one"),) if aligned else ()
        try:
            told = contradiction(clip.id, parse_alignment(path))
        except TlbenchError as error:
            return (("bad-alignment", str(error).replace(str(path), path.name)),)
        if told is not None:
            return (("alignment-contradicts-id", told),)
        other = shared_alignment(source.root, clip)
        return () if other is None else (("alignment-shared", f"byte for byte, it is that of {other} as well"),)


def transcript_of_id(name: str) -> str | None:
    """``bbaf2n`` -> ``bin blue at f two now``; None if the six letters are none of GRID's."""
    if len(name) != len(_CODE) or any(letter not in words for letter, words in zip(name, _CODE, strict=True)):
        return None
    return " ".join(words[letter] for letter, words in zip(name, _CODE, strict=True))


def parse_alignment(path: Path) -> Alignment:
    """Word times of an ``.align`` file: (start_frame, end_frame, word), silences included.

    Frames are fractional, counted from 0 at 25 frames/s; the file has ``start end word`` in thousandths of a frame.

    Raises
    ------
    TlbenchError
        ``file:line`` and what is wrong: not three columns, no numbers, times that run backwards.
    """
    words: Alignment = []
    end_before = 0
    for number, text in read_lines(path, "alignment"):
        cells = text.split()
        if len(cells) != 3 or not all(cell.isascii() and cell.isdigit() for cell in cells[:2]):
            raise TlbenchError(f"{path}:{number}: {quoted(text)} is not 'START END WORD' with whole numbers")
        start, end = int(cells[0]), int(cells[1])
        if not end_before <= start <= end:
            raise TlbenchError(f"{path}:{number}: {quoted(text)} runs backwards (the word before ends at {end_before})")
        words.append((start / TICKS_PER_FRAME, end / TICKS_PER_FRAME, cells[2]))
        end_before = end
    return words


def words_of(alignment: Alignment) -> str:
    """The words of an alignment without its silences, in lower case."""
    return " ".join(word.lower() for _, _, word in alignment if word.lower() not in SILENCES)


def contradiction(clip_id: str, alignment: Alignment) -> str | None:
    """How the words of an alignment and the sentence of a clip's id disagree; None if they agree or either is unknown.

    A digit stands for its word.
    """
    spelled = transcript_of_id(clip_id.rpartition("/")[2])
    aligned = words_of(alignment)
    digits = {str(number): word for number, word in enumerate(_DIGIT_WORDS)}
    same = " ".join(digits.get(word, word) for word in aligned.split())
    if spelled is None or not aligned or same == spelled:
        return None
    differ = f"its alignment says {quoted(aligned)}, its id spells {quoted(spelled)}"
    return f"{differ}; the id is the transcript, word times are unused"


def shared_alignment(root: Path, clip: Clip) -> str | None:
    """The id of another speaker's clip whose alignment has the same bytes; None if there is none.

    All speakers read the same sentences, but no two at the same times to a thousandth of a frame in every word: one of
    the two has the other's file. Which one nobody can tell, so neither's word times are used.
    """
    assert clip.reference is not None  # set by Grid.clips
    path = _alignment(root, clip.id, clip.reference)
    if path is None or not words_of(_readable(path)):
        return None
    content = read_outside(path, WORD_TIMES)
    for folder in (*_speakers(root), *_speaker_folders(root / "alignments")):
        other = folder / path.name
        if folder.name != clip.speaker and other.is_file() and read_outside(other, WORD_TIMES) == content:
            return f"{folder.name}/{path.stem}"
    return None


def _speaker_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    folders = (folder for folder in root.iterdir() if re.fullmatch(r"s[0-9]+", folder.name) and folder.is_dir())
    return sorted(folders, key=lambda folder: int(folder.name[1:]))


def _speakers(root: Path) -> list[Path]:
    folders = _speaker_folders(root)
    if not folders:
        raise TlbenchError(
            f"grid: root {root} holds no speaker folder s1, s2, ...; pass the folder with {Grid.layout} (--data-root)"
        )
    return folders


def _clip(root: Path, clip_id: str, video: Path) -> Clip:
    speaker, _, name = clip_id.partition("/")
    transcript = transcript_of_id(name)
    if transcript is None:
        transcript = words_of(_readable(_alignment(root, clip_id, video))) or None
    return Clip(clip_id, reference=video, transcript=transcript, speaker=speaker)


def _readable(path: Path | None) -> Alignment:
    """What an alignment says; nothing if there is none, or if it can't be read, which is a finding of its own."""
    try:
        return [] if path is None else parse_alignment(path)
    except TlbenchError:
        return []


@cache
def _has_alignments(folder: Path) -> bool:
    return next(folder.rglob("*.align"), None) is not None if folder.is_dir() else False


def _alignment(root: Path, clip_id: str, video: Path) -> Path | None:
    beside = video.with_name(f"{clip_id.partition('/')[2]}.align")
    return next((path for path in (beside, root / "alignments" / f"{clip_id}.align") if path.is_file()), None)

"""When what is said: phonemes and words with begin and end, in files that people can read."""

from __future__ import annotations

from pathlib import Path

from tlbench.datasets.lists import read_lines, read_text
from tlbench.errors import TlbenchError

Times = list[tuple[float, float, str]]  # begin and end in seconds of the video, and what is said

_TABLE = "WORD START END ASDSCORE"  # as in the text files of LRS2's pretrain part


def read_phones(path: Path) -> Times:
    """The phonemes of a clip: (begin, end, symbol) in seconds of the video, silences included, in order.

    The file has ``begin<TAB>end<TAB>symbol`` a line.

    Raises
    ------
    TlbenchError
        ``file:line`` and what is wrong.
    """
    return [_row(path, number, text.split("\t"), text) for number, text in read_lines(path, "phoneme times")]


def read_words(path: Path) -> Times:
    """The words of a clip: (begin, end, word) in seconds of the video, from the table in its text file.

    Raises
    ------
    TlbenchError
        ``file:line`` and what is wrong, or that there is no table.
    """
    lines = read_text(path, "transcript").split("\n")
    if _TABLE not in lines:
        raise TlbenchError(f"{path}: no line {_TABLE!r}, so no word times; render the corpus again")
    start = lines.index(_TABLE) + 1
    words = []
    for number, text in enumerate(lines[start:], start=start + 1):
        cells = text.split()
        if cells:
            words.append(_row(path, number, [*cells[1:3], cells[0]], text))
    return words


def phones_text(times: Times) -> str:
    """What :func:`read_phones` reads; times to the millisecond, which is what espeak-ng counts in."""
    return "".join(f"{begin:.3f}\t{end:.3f}\t{symbol}\n" for begin, end, symbol in times)


def transcript_text(words: Times) -> str:
    """A text file of LRS2's form: the sentence in capitals, and when each word is said.

    ``Conf`` and ``ASDSCORE`` rate how sure LRS2's makers are; here all is known, and the numbers stand for the form.
    """
    said = " ".join(word.upper() for _, _, word in words)
    rows = "".join(f"{word.upper()} {begin:.3f} {end:.3f} 10.0\n" for begin, end, word in words)
    return f"Text:  {said}\nConf:  10\n\n{_TABLE}\n{rows}"


def _row(path: Path, number: int, cells: list[str], text: str) -> tuple[float, float, str]:
    try:
        begin, end, label = cells
        row = float(begin), float(end), label
    except ValueError:
        raise TlbenchError(
            f"{path}:{number}: {text!r} has not a begin, an end and a label; render the corpus again"
        ) from None
    if not 0 <= row[0] <= row[1]:
        raise TlbenchError(f"{path}:{number}: {text!r} runs backwards; render the corpus again")
    return row

"""Phonemes and words with times, and the text files that hold them."""

from __future__ import annotations

from pathlib import Path

from tlbench.datasets.lists import read_lines
from tlbench.errors import TlbenchError, quoted

Times = list[tuple[float, float, str]]  # begin and end in seconds of the video, and the phoneme or word

_TABLE = "WORD START END ASDSCORE"  # as in the text files of LRS2's pretrain part


def read_phones(path: Path) -> Times:
    """The phonemes and silences of a clip: (begin, end, symbol) in seconds of the video, in order.

    The file has ``begin<TAB>end<TAB>symbol`` on each line.

    Raises
    ------
    TlbenchError
        With ``file:line``, for a malformed line.
    """
    return [_row(path, number, text.split("\t"), text) for number, text in read_lines(path, "phoneme times")]


def phones_text(times: Times) -> str:
    """The text that :func:`read_phones` reads; times to the millisecond, espeak-ng's resolution."""
    return "".join(f"{begin:.3f}\t{end:.3f}\t{symbol}\n" for begin, end, symbol in times)


def transcript_text(words: Times) -> str:
    """A text file in LRS2's form: the sentence in upper case, and the time of each word.

    ``Conf`` and ``ASDSCORE`` are confidences in LRS2; here they are constants that fill the form.
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
            f"{path}:{number}: {quoted(text)} has not a begin, an end and a label; render the corpus again"
        ) from None
    if not 0 <= row[0] <= row[1]:
        raise TlbenchError(f"{path}:{number}: {quoted(text)} runs backwards; render the corpus again")
    return row

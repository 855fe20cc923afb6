"""Errors for users: one line that names the offending value and what to do.

The command line prints their text without a traceback.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable

LONGEST_NAME = 200  # characters that are compared; a longer name is nobody's slip
QUOTED_CHARACTERS = 120  # of a value in a message
MESSAGE_CHARACTERS = 1_500  # of a whole message; the longest of ours list all metrics, with about 1,000

# No name of a file (255 bytes) with signs around it is longer, so such a run is a value, which a library put into the
# error that is passed on.
_LONG_RUN = re.compile(r"[^\s/]{265,}")
_short_repr = reprlib.Repr()
_short_repr.maxstring = _short_repr.maxother = _short_repr.maxlong = 2 * QUOTED_CHARACTERS


def one_line(text: str) -> str:
    """``text`` with unprintable characters escaped, so that a file name can't control the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The part of a message that names the nearest of the known names: ``; did you mean 'psnr'?``, or an empty text."""
    from difflib import get_close_matches

    word, names = word[:LONGEST_NAME], list(known)
    same = [name for name in names if _letters(word) == _letters(name) != ""]
    near = same or get_close_matches(word, names, n=1) or get_close_matches(word.lower(), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _letters(name: str) -> str:
    """A name's letters and digits alone, in lower case: tables spell LSE-C what options call lse_c."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def listed(word: str, known: Iterable[str]) -> str:
    """The part of a message that names all that may be chosen, and the nearest of them: ``; there are a, b``."""
    names = list(known)
    hint = did_you_mean(word, names)
    return f"{hint} (there are {', '.join(names)})" if hint else f"; there are {', '.join(names)}"


def shortened(text: str, characters: int = QUOTED_CHARACTERS) -> str:
    """``text``, or its beginning and its end with `` ... `` between them, of at most so many characters."""
    if len(text) <= characters:
        return text
    end = characters // 3
    return f"{text[: characters - end - 5]} ... {text[-end:]}"


def quoted(value: object) -> str:
    """A value for a message: its ``repr`` of at most 120 characters, however large the value is."""
    if isinstance(value, str):
        return shortened(repr(shortened(value)))
    if isinstance(value, int) and value.bit_length() > 4 * QUOTED_CHARACTERS:
        return f"a number of {value.bit_length():,} bits"  # Python refuses to write very long ones
    return shortened(_short_repr.repr(value))


def bounded(message: str) -> str:
    """A message of at most 1,500 characters, without its middle if it was longer.

    Of a run of 265 characters or more without a space or a slash its ends are left, as of a quoted value.
    """
    short = shortened(message, MESSAGE_CHARACTERS)
    return _LONG_RUN.sub(lambda run: shortened(run[0]), short)


class TlbenchError(Exception):
    """An error that the user can fix. The message is one line: what is wrong and what to do, :func:`bounded`."""

    def __init__(self, message: str = "") -> None:
        super().__init__(bounded(message))


class ClipError(TlbenchError):
    """One clip can't be scored. The run records the reason and goes on with the other clips.

    Parameters
    ----------
    code : str
        Stable short reason in kebab case: ``no-audio``, ``unreadable``, ``too-short``.
    message : str
        One line for the user.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = bounded(message)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # errors are sent between processes
        return type(self), (self.code, self.message)

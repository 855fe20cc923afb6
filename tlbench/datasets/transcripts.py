"""Normalising transcripts: removing invisible characters, splitting into spoken words, spelling in an alphabet.

All normalising of texts is here. Invisible characters are removed from every transcript (:func:`visible`), for both
arithmetics; everything else is done for ``sound`` only (:func:`spoken`, :func:`spelled`).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable

# The characters the Conformer observer can write: its table of 40 symbols (char_list of
# evaluation/teacher_force_wer.py in Sxjdwang/TalkLip) without blank and end. Transcripts are converted to upper case.
ALPHABET = frozenset(string.ascii_uppercase + string.digits + " '")

# Invisible characters without a meaning: the property Default_Ignorable_Code_Point of DerivedCoreProperties.txt
# (Unicode 15.1): soft hyphen, zero-width space and joiners, byte order mark, direction marks, variation selectors,
# tags, Hangul fillers.
_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_INVISIBLE = dict.fromkeys(
    (
        *(code for first, last in _IGNORABLE for code in range(first, last + 1)),
        *(code for code in (*range(0x20), *range(0x7F, 0xA0)) if not chr(code).isspace()),  # control characters
        *range(0xFFF9, 0xFFFC),  # marks of annotations between lines
    )
)
_APOSTROPHES = dict.fromkeys(map(ord, "’‘‛ʼʻʽˈʹ´`′‵՚"), "'")
# Annotations in brackets: [music], (laughs), <noise>, {NS}. Matched innermost first, so that nested ones are found.
_ANNOTATION = re.compile(r"\[[^][]*\]|\([^()]*\)|\{[^{}]*\}|<[^<>]*>|【[^【】]*】|〔[^〔〕]*〕")


def visible(text: str) -> str:
    """``text`` without invisible characters, which do not separate words. White space stays."""
    return text.translate(_INVISIBLE) if not text.isascii() or not text.isprintable() else text


def bracketed(text: str) -> list[str]:
    """The parts in brackets, innermost first: ``["[music]"]``."""
    found: list[str] = []
    rest = unicodedata.normalize("NFKC", visible(text))
    while marks := _ANNOTATION.findall(rest):
        found += marks
        rest = _ANNOTATION.sub(" ", rest)
    return found


def spoken(text: str) -> list[str]:
    """The spoken words: in lower case, with one form of letters and apostrophes, without other punctuation.

    A hyphen or slash separates words, an invisible character does not. Digits are kept as written, since it is not
    known how they are spoken.
    """
    text = visible(text)
    # Before and after NFKC, which decomposes the acute accent (sometimes typed as an apostrophe) and U+0149.
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).translate(_APOSTROPHES).lower()
    kept = "".join(char if _is_spoken(char) else " " for char in plain)
    words = (part.strip("'") for part in kept.split())
    return [word for word in words if any(char.isalnum() for char in word)]


def has_words(transcript: str) -> bool:
    """Whether there is a word outside brackets.

    ``...``, ``[music]`` and ``(laughs)`` have none. If there are other words, words in brackets count as spoken too
    (:func:`bracketed` lists them).
    """
    bare = unicodedata.normalize("NFKC", visible(transcript))
    while _ANNOTATION.search(bare):
        bare = _ANNOTATION.sub(" ", bare)
    return bool(spoken(bare))


def spelled(text: str) -> str:
    """The words in upper case, with single spaces and without accents, for an alphabet of plain letters.

    ``É`` becomes ``E`` (Unicode's canonical decomposition without marks); ``Ø``, which has no decomposition, stays.
    """
    apart = unicodedata.normalize("NFD", " ".join(spoken(text)).upper())
    return "".join(char for char in apart if not unicodedata.category(char).startswith("M"))


def strange_characters(text: str, alphabet: Iterable[str] = ALPHABET) -> list[str]:
    """The characters of a text, in upper case, that are not in an alphabet, sorted."""
    return sorted(set(text.upper()) - set(alphabet))


def _is_spoken(char: str) -> bool:
    """Whether it is a letter, a digit, a combining mark, or an apostrophe."""
    return char.isalnum() or char == "'" or unicodedata.category(char).startswith("M")

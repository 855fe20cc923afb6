"""Names that become text in tables, pages and paths: of systems, clips, speakers and data sets.

The same rule holds where a name comes in (folders, lists, ``--name``) and where it is read back from a file, so that
nothing is written that can't be read.
"""

from __future__ import annotations

from unicodedata import category

NAME_CHARACTERS = 500  # a folder's name has at most 255 bytes, a clip's id two or three of them
# Of Unicode: control characters, invisible ones (zero width, direction of reading), halves of a surrogate pair (bytes
# that are not UTF-8 in a file name), and separators of lines and paragraphs.
_REFUSED = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half a surrogate pair",
    "Zl": "a line break",
    "Zp": "a line break",
}


def why_no_name(text: str) -> str | None:
    """Why a text can't be a name, as ``has a control character (U+001B)``; None if it can."""
    if not text:
        return "is empty"
    if len(text) > NAME_CHARACTERS:
        return f"has {len(text):,} characters, more than {NAME_CHARACTERS}"
    if text.isprintable():  # most names; unprintable are those refused, other blanks, and some that are no letters yet
        return None
    for letter in text:
        if category(letter) in _REFUSED:
            return f"has {_REFUSED[category(letter)]} (U+{ord(letter):04X})"
    return None


def why_no_clip_id(text: str) -> str | None:
    """Why a text can't be the id of a clip; None if it can.

    Files named by ids are read below the data root and written below the results folder, so an id must not lead out of
    these folders.
    """
    why = why_no_name(text)
    if why is None and any(part in ("", ".", "..") for part in text.split("/")):
        return "must be a relative name without '.', '..' or empty parts"
    if why is None and "\\" in text:
        return "has a backslash"
    return why

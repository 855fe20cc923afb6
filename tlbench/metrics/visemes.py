"""Words to phonemes to visemes: which errors could be seen on the lips, and which could not.

Sounds that look alike are one viseme: nobody tells "pat" from "bat" without hearing it. An error inside a viseme is the
limit of lip reading; an error across visemes is the video's or the reader's.
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

# For a word that the dictionary lacks: each letter by the sound it most often has. Rough, but the same for the
# reference and for what was read of it.
_COMMONEST = "AE B K D EH F G HH IH JH K L M N AA P K R S T AH V W K IY Z"
_LETTERS = dict(zip("abcdefghijklmnopqrstuvwxyz", _COMMONEST.split(), strict=True))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def _dictionary() -> dict[str, tuple[str, ...]]:
    """Sounds of each word: ``cmudict.dict`` of CMU's dictionary, the first pronunciation, without stress.

    The file is CMU's (``pronunciations_licence.txt`` beside it), cut to what is used here. The package of that name on
    PyPI is not asked for: its code is under the GPL.
    """
    packed = files("tlbench.metrics").joinpath("pronunciations.gz").read_bytes()
    entries = (line.split() for line in gzip.decompress(packed).decode("utf-8").splitlines())
    return {word: tuple(sounds) for word, *sounds in entries}


def phonemes(words: Sequence[str]) -> list[str]:
    """The sounds of some words in lower case, without stress: the dictionary's first pronunciation of each.

    A word that it lacks is spelt letter by letter by the sound each most often has, a digit is said.
    """
    return [sound for word in words for sound in _sounds(word)]


def visemes(sounds: Sequence[str]) -> list[str]:
    """What is seen of some phonemes, one viseme each. Raises KeyError for what is no phoneme of the dictionary."""
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

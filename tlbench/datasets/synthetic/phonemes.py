"""The phonemes of the synthetic talker, and the mapping from espeak-ng's mnemonics."""

from __future__ import annotations

from types import MappingProxyType

from tlbench.errors import TlbenchError

SILENCE = "SIL"

# The 39 sounds of CMU's dictionary (ARPAbet without stress), as in tlbench.metrics.visemes, and silence. The order is
# fixed: it gives the label's number.
PHONEMES: tuple[str, ...] = (
    SILENCE,
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)

# espeak-ng 1.52, phsource/phonemes, ph_english, ph_english_us: the mnemonics of its English voices. A sound that is two
# of CMU's is split in half.
_MNEMONICS = {
    "AA": "A: A A#",
    "AE": "a aa a#",
    "AH": "V @ @2 @5 @- a2 0# 3 _^_",
    "AO": "O: O O2 0",
    "AW": "aU",
    "AY": "aI",
    "B": "b",
    "CH": "tS",
    "D": "d d#",
    "DH": "D",
    "EH": "E e E2",
    "ER": "3:",
    "EY": "eI",
    "F": "f",
    "G": "g",
    "HH": "h",
    "IH": "I I2 I#",
    "IY": "i: i",
    "JH": "dZ",
    "K": "k x",
    "L": "l l# L",
    "M": "m m-",
    "N": "n n-",
    "NG": "N",
    "OW": "oU",
    "OY": "OI",
    "P": "p",
    "R": "r r- r/",
    "S": "s",
    "SH": "S",
    "T": "t t# t2 ? *",
    "TH": "T",
    "UH": "U",
    "UW": "u: u",
    "V": "v v#",
    "W": "w",
    "Y": "j",
    "Z": "z z#",
    "ZH": "Z",
    "AH L": "@L",
    "AY AH": "aI@",
    "AY ER": "aI3",
    "AW AH": "aU@",
    "AW ER": "aU3",
    "Y UW": "ju:",
    "W AH": "w#",
}
_BOTH: dict[str, tuple[str, ...]] = {
    mnemonic: tuple(sounds.split()) for sounds, mnemonics in _MNEMONICS.items() for mnemonic in mnemonics.split()
}
# A written r after a vowel is spoken in American English, not in British English.
_AMERICAN = {
    "3": ("ER",),
    "A@": ("AA", "R"),
    "O@": ("AO", "R"),
    "o@": ("AO", "R"),
    "e@": ("EH", "R"),
    "i@": ("IY", "AH"),
    "i@3": ("IH", "R"),
    "i3": ("IH", "R"),
    "U@": ("UH", "R"),
}
_BRITISH = {
    "3": ("AH",),
    "A@": ("AA",),
    "O@": ("AO",),
    "o@": ("AO",),
    "e@": ("EH", "AH"),
    "i@": ("IH", "AH"),
    "i@3": ("IH", "AH"),
    "i3": ("IH", "AH"),
    "U@": ("UH", "AH"),
}
MNEMONICS = MappingProxyType(
    {"american": MappingProxyType(_BOTH | _AMERICAN), "british": MappingProxyType(_BOTH | _BRITISH)}
)
_STRESS = "',%="
_PAUSES = "_:;!|"


def sounds_of(mnemonic: str, accent: str) -> tuple[str, ...]:
    """The one or two :data:`PHONEMES` of an espeak-ng mnemonic; ``SIL`` for a pause.

    Parameters
    ----------
    mnemonic : str
        From espeak-ng's phoneme events, with stress marks; empty at the end of a sentence.
    accent : str
        ``american`` or ``british``.

    Raises
    ------
    TlbenchError
        If no English voice uses the mnemonic.
    """
    plain = mnemonic.lstrip(_STRESS)
    if plain in MNEMONICS[accent]:
        return MNEMONICS[accent][plain]
    if not plain or plain[0] in _PAUSES:
        return (SILENCE,)
    raise TlbenchError(
        f"espeak-ng says {mnemonic!r}, which no English voice did when this was written; install espeakng-loader 0.2"
    )

"""Tokens of auto_avsr: a text to ids, and ids to a text.

After mpc001/auto_avsr at 182b628 (``datamodule/transforms.py``, ``TextTransform``; ``lightning.py``). A token list is
the blank, the lines of a units file in order, and the mark of both ends; its ids are not sentencepiece's. A text is cut
into pieces by the sentencepiece model, and a piece that is no unit is ``<unk>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

BLANK_MARK, UNKNOWN_MARK, END_MARK = "<blank>", "<unk>", "<eos>"
UNKNOWN = 1  # the first unit
WORD_MARK = "\u2581"  # sentencepiece: the start of a word
SPACE_MARK = "<space>"  # in lists that have it
UNITS_FILE, PIECES_FILE = "unigram5000_units.txt", "unigram5000.model"


class Tokens:
    """The tokens of a network, in order.

    Parameters
    ----------
    units : sequence of str
        The pieces; the first is ``<unk>``.
    pieces : bytes
        The sentencepiece model that cuts texts.

    Raises
    ------
    TlbenchError
        If the first unit is not ``<unk>``, a unit is there twice, or the sentencepiece model is damaged.
    """

    def __init__(self, units: Sequence[str], pieces: bytes) -> None:
        if not units or units[0] != UNKNOWN_MARK or len(set(units)) != len(units):
            raise TlbenchError(
                f"the checkpoint's units begin with {units[0] if units else 'nothing'!r} or repeat one; they begin "
                f"with {UNKNOWN_MARK} and have every piece once"
            )
        self.units = tuple(units)
        self.symbols = (BLANK_MARK, *self.units, END_MARK)
        self.end = len(self.symbols) - 1
        self.pieces = pieces
        self._index = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._processor = _open_pieces(pieces)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, as it is written, without the end mark. A piece that is no unit is ``<unk>``, 1."""
        return [self._index.get(piece, UNKNOWN) for piece in self._processor.encode(text, out_type=str)]

    def text(self, ids: Iterable[int]) -> str:
        """The text of ids, as the original writes it.

        -1 is padding. The end mark is removed last, after spaces at the ends: "THE", a lone word mark and the end mark
        give "THE " with a space. ``<unk>`` and ``<blank>`` stay.
        """
        joined = "".join(self.symbols[number] for number in ids if number != -1)
        return joined.replace(SPACE_MARK, " ").replace(WORD_MARK, " ").strip().replace(END_MARK, "")

    def unspelled(self, text: str) -> list[str]:
        """The pieces of a text that are no unit."""
        return [piece for piece in self._processor.encode(text, out_type=str) if piece not in self._index]


@cache
def published_tokens() -> Tokens:
    """The 5,049 tokens of the published networks (``spm/unigram`` of that repository, Apache-2.0)."""
    folder = files(__package__)
    units = [line.split()[0] for line in (folder / UNITS_FILE).read_text("utf-8").splitlines()]
    return Tokens(units, (folder / PIECES_FILE).read_bytes())


def _open_pieces(model: bytes) -> SentencePieceProcessor:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError as error:
        raise TlbenchError("the checkpoint's sentencepiece model is damaged; download the checkpoint again") from error
    return processor

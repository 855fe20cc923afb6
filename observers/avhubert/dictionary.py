"""The dictionary of an AV-HuBERT checkpoint: token numbers to text, and text to the numbers it is trained on.

After fairseq ``data/dictionary.py`` and ``data/encoders/sentencepiece_bpe.py``, and av_hubert ``hubert_pretraining.py``
(``LabelEncoderS2SToken``) and ``infer_s2s.py`` (``decode_fn``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

BOS, PAD, EOS, UNK = 0, 1, 2, 3
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # fairseq's, in this order
WORD_MARK = "\u2581"  # sentencepiece: a word begins here
WORD_BORDER = "|"  # of dictionaries of letters


class Dictionary:
    """Symbols in the order of the network's outputs.

    Parameters
    ----------
    symbols : sequence of str
        The four special ones first; none at all for a checkpoint that was only pre-trained.
    tokenizer : bytes or None
        The sentencepiece model that cuts text into these symbols, for :meth:`encode`. Symbols of none of which
        sentencepiece's word mark is a part are letters, and ``|`` stands between words.

    Raises
    ------
    TlbenchError
        If the special symbols are not where fairseq puts them, or the tokenizer is damaged.
    """

    def __init__(self, symbols: Sequence[str], tokenizer: bytes | None = None) -> None:
        if symbols and tuple(symbols[: len(SPECIAL)]) != SPECIAL:
            raise TlbenchError(
                f"the checkpoint's dictionary begins with {' '.join(symbols[: len(SPECIAL)])} instead of "
                f"{' '.join(SPECIAL)}; it is of another model"
            )
        self.symbols = tuple(symbols)
        self._index = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._of_pieces = any(symbol.startswith(WORD_MARK) for symbol in self.symbols)
        self._processor = None if tokenizer is None else _open_tokenizer(tokenizer)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def encodes(self) -> bool:
        """Whether :meth:`encode` has a sentencepiece model to cut text with."""
        return self._processor is not None

    def text(self, ids: Iterable[int]) -> str:
        """What the tokens say: begin, end and padding marks anywhere are dropped, unknown ones read ``<unk>``."""
        spoken = [self._symbol(number) for number in ids if number not in (BOS, PAD, EOS)]
        if self._of_pieces:
            return "".join(spoken).replace(" ", "").replace(WORD_MARK, " ").strip()
        return " ".join("".join(spoken).replace(WORD_BORDER, " ").split())

    def encode(self, text: str) -> list[int]:
        """Lower-cased text as tokens, with the end mark.

        As in the original, a piece outside the vocabulary (``é``, ``?``, mostly of characters that the training texts
        did not have) silently becomes the unknown token; :meth:`text` gives it back as ``<unk>``.

        Raises
        ------
        TlbenchError
            If the checkpoint has no sentencepiece model.
        """
        if self._processor is None:
            raise TlbenchError("the checkpoint has no sentencepiece model, so text can't be cut into its tokens")
        pieces = " ".join(self._processor.encode(text.lower(), out_type=str)).split()
        return [self._index.get(piece, UNK) for piece in pieces] + [EOS]

    def _symbol(self, number: int) -> str:
        return self.symbols[number] if 0 <= number < len(self.symbols) else SPECIAL[UNK]


def _open_tokenizer(model: bytes) -> SentencePieceProcessor:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError as error:
        raise TlbenchError("the checkpoint's sentencepiece model is damaged; download the checkpoint again") from error
    return processor

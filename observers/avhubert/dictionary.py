"""The dictionary of an AV-HuBERT checkpoint: token ids to text, and text to token ids.

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
WORD_MARK = "\u2581"  # sentencepiece: the start of a word
WORD_BORDER = "|"  # between words, in dictionaries of letters


class Dictionary:
    """The symbols of a network's outputs, in order.

    Parameters
    ----------
    symbols : sequence of str
        The four special symbols first; empty for a checkpoint that was only pre-trained.
    tokenizer : bytes or None
        The sentencepiece model for :meth:`encode`. If no symbol has sentencepiece's word mark, symbols are letters,
        with ``|`` between words.

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
        """Whether there is a sentencepiece model, so that :meth:`encode` works."""
        return self._processor is not None

    def text(self, ids: Iterable[int]) -> str:
        """The text of tokens. Begin, end and padding tokens are dropped; unknown tokens become ``<unk>``."""
        symbols = [self._symbol(number) for number in ids if number not in (BOS, PAD, EOS)]
        if self._of_pieces:
            return "".join(symbols).replace(" ", "").replace(WORD_MARK, " ").strip()
        return " ".join("".join(symbols).replace(WORD_BORDER, " ").split())

    def encode(self, text: str) -> list[int]:
        """The tokens of a text in lower case, with the end token.

        As in the original, a piece outside the vocabulary (such as ``é`` or ``?``, if the training texts did not have
        it) becomes the unknown token without a warning; :meth:`text` writes it as ``<unk>``.

        Raises
        ------
        TlbenchError
            If the checkpoint has no sentencepiece model.
        """
        if self._processor is None:
            raise TlbenchError("the checkpoint has no sentencepiece model, so text can't be tokenized")
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

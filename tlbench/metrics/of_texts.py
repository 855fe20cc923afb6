"""Word error rate of texts, as the metric WER1 counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlbench.datasets.transcripts import has_words
from tlbench.errors import TlbenchError, quoted
from tlbench.metrics.metric import Arithmetic
from tlbench.metrics.text import as_published, count_word_errors, spoken


def wer(
    transcripts: str | Sequence[str], hypotheses: str | Sequence[str], *, arithmetic: Arithmetic = "sound"
) -> float:
    """Word error rate: the fewest word edits that turn the transcripts into the hypotheses, over all their words.

    Parameters
    ----------
    transcripts, hypotheses : str, or sequences of str of the same length
        What is said, and what was read.
    arithmetic : "sound" or "paper"
        ``sound``: punctuation, case and the spelling of apostrophes do not count. ``paper``: only case does not count,
        as in AV-HuBERT's ``infer_s2s.py``.

    Returns
    -------
    float
        A ratio, not percent; above 1 if there are more errors than words.

    Raises
    ------
    TlbenchError
        If the two differ in length, or a transcript has no word.

    Examples
    --------
    >>> import tlbench
    >>> tlbench.wer(["place red at c two now", "Bin blue, please."], ["place red at b two", "bin blue please"])
    0.2222222222222222
    >>> tlbench.wer("Bin blue, please.", "bin blue please", arithmetic="paper")
    0.6666666666666666
    """
    for texts in (transcripts, hypotheses):
        if isinstance(texts, Mapping):
            raise TlbenchError("texts are given in a list, not in a dict; pass lists of the same order")
    said, read = ([texts] if isinstance(texts, str) else list(texts) for texts in (transcripts, hypotheses))
    if len(said) != len(read):
        raise TlbenchError(f"{len(said)} transcripts, but {len(read)} hypotheses; give one for each")
    for number, text in enumerate(said):
        if not has_words(text):
            raise TlbenchError(f"transcript {number} ({quoted(text)}) has no word; leave it out")
    if not said:
        raise TlbenchError("no transcript was given; a rate over no words does not exist")
    words = as_published if arithmetic == "paper" else spoken
    counts = [count_word_errors(words(transcript), words(text)) for transcript, text in zip(said, read, strict=True)]
    return sum(count.numerator for count in counts) / sum(count.denominator for count in counts)

"""WER1, WER2 and related error rates: how much of the speech a lip reader recognises from the video."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tlbench.datasets.transcripts import has_words, strange_characters, visible
from tlbench.errors import ClipError, quoted
from tlbench.metrics.metric import Arithmetic, Metric, Reads
from tlbench.metrics.tally import ErrorTally, HitTally, MeanTally, Tally
from tlbench.metrics.text import (
    as_published,
    count_character_errors,
    count_errors,
    count_word_errors,
    distance,
    spoken,
)
from tlbench.metrics.visemes import phonemes, visemes
from tlbench.observing.evidence import Evidence, Value

# The Conformer's ids of symbols that are not characters of a word (char_to_index in TalkLip's teacher_force_wer.py).
BLANK, SPACE, END = 0, 1, 39

_UNKNOWN = "<unk>"  # what auto_avsr writes for a piece that is no unit

Words = Callable[[str], list[str]]


def _text(evidence: Evidence, name: str) -> str:
    value: Value = evidence.values[name]
    return str(value)


def _transcript(evidence: Evidence, name: str = "reference") -> str:
    """The transcript. Raises ClipError ``empty-transcript`` if it has no word, since there is no rate over no words."""
    text = _text(evidence, name)
    if not has_words(text):
        shown = f"{quoted(text)} has no word in it" if text.strip() else "is empty"
        raise ClipError("empty-transcript", f"the transcript {shown}; word error rates leave the clip out")
    return text


def _check_published(evidence: Evidence) -> None:
    """Raises ClipError ``characters`` for a text on which the published script stops with a KeyError.

    Its table has 38 characters (``teacher_force_wer.py`` of Sxjdwang/TalkLip). ``sound`` uses another spelling.
    """
    text = str(evidence.values.get("reference", ""))
    strange = strange_characters(visible(text))
    if strange:
        raise ClipError(
            "characters",
            f"the transcript has {', '.join(map(repr, strange))}, on which the published script stops; "
            "spell it with letters, digits, spaces and '",
        )


def _check_spelled(evidence: Evidence) -> None:
    """Raises ClipError ``characters`` for a transcript of which auto_avsr's units spell nothing."""
    spelled = _text(evidence, "reference_spelled").replace(_UNKNOWN, "")
    if not spelled.strip() and _text(evidence, "reference").strip():
        raise ClipError(
            "characters",
            f"no piece of the transcript {quoted(_text(evidence, 'reference'))} is a unit of auto_avsr; spell it with "
            "letters A to Z, digits and '",
        )


def _spelled_word_errors(evidence: Evidence) -> ErrorTally:
    """Word errors as ``lightning.py`` (mpc001/auto_avsr) counts them: the transcript is written in the units."""
    _check_spelled(evidence)
    _transcript(evidence)
    return count_word_errors(
        *(_text(evidence, name).lower().split() for name in ("reference_spelled", "hypothesis")),
    )


def _word_errors(words: Words, hypothesis: str) -> Callable[[Evidence], ErrorTally]:
    def tally(evidence: Evidence) -> ErrorTally:
        return count_word_errors(words(_transcript(evidence)), words(_text(evidence, hypothesis)))

    return tally


def spoken_word_errors(transcript: str, hypothesis: str) -> Callable[[Evidence], ErrorTally]:
    """The tally of ``wer1/sound``, between two texts of the evidence with these names."""

    def tally(evidence: Evidence) -> ErrorTally:
        return count_word_errors(spoken(_transcript(evidence, transcript)), spoken(_text(evidence, hypothesis)))

    return tally


def _character_errors(evidence: Evidence) -> ErrorTally:
    said, read = (" ".join(spoken(text)) for text in (_transcript(evidence), _text(evidence, "hypothesis")))
    return count_character_errors(said, read)


def _phonemes(evidence: Evidence) -> tuple[list[str], list[str]]:
    """The phonemes of the transcript and of the hypothesis."""
    return phonemes(spoken(_transcript(evidence))), phonemes(spoken(_text(evidence, "hypothesis")))


def _viseme_errors(evidence: Evidence) -> ErrorTally:
    said, read = _phonemes(evidence)
    return count_errors(visemes(said), visemes(read))


def _within_viseme(evidence: Evidence) -> HitTally:
    """The phoneme errors that vanish if sounds that look alike count as one.

    The difference of two edit distances, so that it does not depend on the choice among equally good alignments.
    """
    said, read = _phonemes(evidence)
    phoneme_errors = distance(said, read)
    return HitTally(phoneme_errors - distance(visemes(said), visemes(read)), phoneme_errors)


def _split(ids: Sequence[int]) -> list[tuple[int, ...]]:
    """Character ids, split at spaces; two spaces in a row give an empty word."""
    words: list[tuple[int, ...]] = []
    begin = 0
    for place in [*(i for i, number in enumerate(ids) if number == SPACE), len(ids)]:
        words.append(tuple(ids[begin:place]))
        begin = place + 1
    return words


def published_word_errors(forced: Sequence[int], reference: Sequence[int]) -> tuple[int, int]:
    """Edits and words of one utterance as ``utils/metrics.py`` (Sxjdwang/TalkLip) counts them.

    One end symbol at the end of the hypothesis is dropped; any other counts as a character. Empty words are dropped
    from the hypothesis, except the first, but not from the reference, so that a double space in a transcript is a word
    that is always wrong. The ids are those of the Conformer's alphabet.
    """
    read = _split(_without_end(forced))
    read = [word for place, word in enumerate(read) if word or place == 0]
    said = _split(reference)
    return distance(said, read), len(said)


def published_character_errors(forced: Sequence[int], reference: Sequence[int]) -> tuple[int, int]:
    """Edits and characters of one utterance, spaces counted, as ``utils/metrics.py`` (Sxjdwang/TalkLip) counts them."""
    return distance(list(reference), _without_end(forced)), len(reference)


def _without_end(forced: Sequence[int]) -> list[int]:
    ids = list(forced)
    return ids[:-1] if ids and ids[-1] == END else ids


def _rate_of(errors: Callable[[Sequence[int], Sequence[int]], tuple[int, int]]) -> Callable[[Evidence], MeanTally]:
    """The published mean: each utterance counts with its own rate, regardless of its length, and none without text."""

    def tally(evidence: Evidence) -> MeanTally:
        _check_published(evidence)
        said = _ids(evidence, "reference_ids")
        if not said:
            return MeanTally()
        edits, length = errors(_ids(evidence, "forced_ids"), said)
        return MeanTally(edits / length, 1)

    return tally


def _forced_word_errors(evidence: Evidence) -> ErrorTally:
    said, read = (
        [word for word in _split([i for i in _ids(evidence, name) if i not in (BLANK, END)]) if word]
        for name in ("reference_ids", "forced_ids")
    )
    return count_errors(said, read)


def _ids(evidence: Evidence, name: str) -> list[int]:
    ids: list[int] = evidence.array(name).astype(np.int64).tolist()
    return ids


def _metric(
    name: str,
    label: str,
    observer: str,
    arithmetic: Arithmetic,
    tally: Callable[[Evidence], Tally],
    description: str,
    *,
    aggregation: str = "pooled",
    headline: bool = False,
    mode: str = "",
    reads: Reads = "sentence",
) -> Metric:
    return Metric(
        name=name,
        arithmetic=arithmetic,
        label=label,
        observer=observer,
        view="",
        unit="%",
        better="lower",
        version=1,
        tally=tally,
        description=description,
        aggregation=aggregation,
        scale=100.0,
        headline=headline,
        digits=2,
        mode=mode,
        lowest=0,
        reads=reads,
    )


METRICS: tuple[Metric, ...] = (
    _metric(
        "wer1",
        "WER1",
        "avhubert",
        "paper",
        _word_errors(as_published, "hypothesis"),
        "word errors of AV-HuBERT reading the lips by beam search, over all words of the corpus; texts differ from the "
        "data set's in their case only (av_hubert infer_s2s.py; TalkLip table 1)",
        headline=True,
    ),
    _metric(
        "wer2",
        "WER2",
        "conformer",
        "paper",
        _rate_of(published_word_errors),
        "word errors of the Conformer, which is told all characters before the one it writes; mean over utterances of "
        "each one's rate, whatever its length (TalkLip teacher_force_wer.py)",
        aggregation="utterances",
        headline=True,
        reads="forced",
    ),
    _metric(
        "cer2",
        "CER2",
        "conformer",
        "paper",
        _rate_of(published_character_errors),
        "character errors of the Conformer under the true prefix, spaces counted, mean over utterances of each one's "
        "rate (TalkLip teacher_force_wer.py)",
        aggregation="utterances",
        reads="forced",
    ),
    _metric(
        "wer1",
        "WER1",
        "avhubert",
        "sound",
        _word_errors(spoken, "hypothesis"),
        "word errors of AV-HuBERT reading the lips by beam search, over all words of the corpus; punctuation and the "
        "spelling of apostrophes do not count",
        headline=True,
    ),
    _metric(
        "wer2",
        "WER2",
        "conformer",
        "sound",
        _forced_word_errors,
        "word errors of the Conformer under the true prefix, over all words of the corpus; empty words do not count. "
        "Being told the truth is not reading: see wer2_free",
        headline=True,
        reads="forced",
    ),
    _metric(
        "wer3",
        "WER3",
        "autoavsr",
        "paper",
        _spelled_word_errors,
        "word errors of auto_avsr reading the lips by beam search, over all words of the corpus; lower case, and the "
        "transcript as its units spell it, <unk> included (auto_avsr lightning.py)",
        headline=True,
        mode="beam",
    ),
    _metric(
        "wer3",
        "WER3",
        "autoavsr",
        "sound",
        _word_errors(spoken, "hypothesis"),
        "word errors of auto_avsr reading the lips by beam search, over all words of the corpus; punctuation and the "
        "spelling of apostrophes do not count",
        headline=True,
        mode="beam",
    ),
    _metric(
        "cer3",
        "CER3",
        "autoavsr",
        "sound",
        _character_errors,
        "character errors of auto_avsr reading the lips, spaces counted, over all characters of the corpus",
        mode="beam",
    ),
    _metric(
        "ver3",
        "VER3",
        "autoavsr",
        "sound",
        _viseme_errors,
        "viseme errors of auto_avsr's reading, over all visemes of the corpus, counted as for ver",
        mode="beam",
    ),
    _metric(
        "wer3_ctc",
        "WER3 CTC",
        "autoavsr",
        "sound",
        _word_errors(spoken, "ctc_hypothesis"),
        "word errors of auto_avsr's CTC output, the best token of each frame, over all words of the corpus",
        mode="ctc",
    ),
    _metric(
        "cer1",
        "CER1",
        "avhubert",
        "sound",
        _character_errors,
        "character errors of AV-HuBERT reading the lips, spaces counted, over all characters of the corpus",
    ),
    _metric(
        "wer2_free",
        "WER2 free",
        "conformer",
        "sound",
        _word_errors(spoken, "free_hypothesis"),
        "word errors of the Conformer reading by itself, attention with beam search, over all words of the corpus",
        mode="free",
    ),
    _metric(
        "wer2_ctc",
        "WER2 CTC",
        "conformer",
        "sound",
        _word_errors(spoken, "ctc_hypothesis"),
        "word errors of the Conformer's CTC output, the best symbol of each frame, over all words of the corpus",
        mode="free",
    ),
    _metric(
        "ver",
        "VER",
        "avhubert",
        "sound",
        _viseme_errors,
        "viseme errors of AV-HuBERT's reading, over all visemes of the corpus: words to phonemes by the CMU "
        "dictionary, phonemes to twelve classes that look alike (Potamianos et al. 2003)",
    ),
    Metric(
        name="within_viseme",
        arithmetic="sound",
        label="within viseme",
        observer="avhubert",
        view="",
        unit="%",
        better="none",
        version=1,
        tally=_within_viseme,
        description="share of AV-HuBERT's phoneme errors that stay inside a viseme, so that no lip reader could avoid "
        "them; over all phoneme errors of the corpus",
        aggregation="pooled",
        scale=100.0,
        headline=False,
        digits=1,
        lowest=0,
        highest=100,
        scores_empty=True,  # a clip without an error was read, too
    ),
)

"""Texts to words, and words to error counts.

``paper`` changes only the case, as the published scripts do, so a comma in a transcript is part of its word. ``sound``
keeps only what is spoken, see :func:`~tlbench.datasets.transcripts.spoken`. Both remove invisible characters.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import jiwer
from rapidfuzz.distance import Levenshtein

from tlbench.datasets.transcripts import spoken as spoken  # exported, for modules that count words
from tlbench.datasets.transcripts import visible
from tlbench.metrics.tally import ErrorTally

Operation = Literal["equal", "substitute", "delete", "insert"]


def as_published(text: str) -> list[str]:
    """Words in lower case, split at white space: AV-HuBERT's ``infer_s2s.py`` on LRS2's transcripts."""
    return visible(text).lower().split()


def count_word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorTally:
    """jiwer's counts of the words of two texts. No word may have white space in it."""
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    return ErrorTally(found.substitutions, found.deletions, found.insertions, len(reference))


def count_character_errors(reference: str, hypothesis: str) -> ErrorTally:
    """jiwer's counts of the characters of two texts, single spaces between words counted."""
    found = jiwer.process_characters(reference, hypothesis)
    return ErrorTally(found.substitutions, found.deletions, found.insertions, len(reference))


def count_errors(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> ErrorTally:
    """The fewest substitutions, deletions and insertions from the reference to the hypothesis.

    Their sum is unique. If there are several alignments with this sum, the one of rapidfuzz is taken, as jiwer does.

    Parameters
    ----------
    reference, hypothesis : sequence
        Of phonemes, visemes or tokens. Of words and characters see :func:`count_word_errors` and
        :func:`count_character_errors`.
    """
    kinds = [edit.tag for edit in Levenshtein.editops(reference, hypothesis)]
    return ErrorTally(kinds.count("replace"), kinds.count("delete"), kinds.count("insert"), len(reference))


def distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """The edit distance: the sum of :func:`count_errors`."""
    return int(Levenshtein.distance(reference, hypothesis))


@dataclass(frozen=True)
class AlignmentStep:
    """One step of an alignment. ``reference`` is None for an insertion, ``hypothesis`` None for a deletion."""

    operation: Operation
    reference: str | None
    hypothesis: str | None


def align_words(reference: Sequence[str], hypothesis: Sequence[str]) -> list[AlignmentStep]:
    """jiwer's alignment of two texts' words, for display. The steps that are not ``equal`` are the errors counted."""
    steps: list[AlignmentStep] = []
    for chunk in jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]:
        said, read = slice(chunk.ref_start_idx, chunk.ref_end_idx), slice(chunk.hyp_start_idx, chunk.hyp_end_idx)
        steps += _steps(chunk.type, reference[said], hypothesis[read])
    return steps


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[AlignmentStep]:
    """As :func:`align_words`, of phonemes or visemes."""
    steps: list[AlignmentStep] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        said, read = slice(block.src_start, block.src_end), slice(block.dest_start, block.dest_end)
        steps += _steps(block.tag, reference[said], hypothesis[read])
    return steps


def _steps(tag: str, said: Sequence[str], read: Sequence[str]) -> list[AlignmentStep]:
    """The steps of a run of edits of one kind."""
    if tag == "delete":
        return [AlignmentStep("delete", word, None) for word in said]
    if tag == "insert":
        return [AlignmentStep("insert", None, word) for word in read]
    operation: Operation = "equal" if tag == "equal" else "substitute"
    return [AlignmentStep(operation, one, other) for one, other in zip(said, read, strict=True)]

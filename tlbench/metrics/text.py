"""Texts to words, and words to error counts.

``paper`` changes only the case, as the published scripts do, so a comma in a transcript is part of its word. ``sound``
keeps only what is spoken, see :func:`~tlbench.datasets.transcripts.spoken`. Both remove invisible characters.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

from tlbench.datasets.transcripts import spoken as spoken  # exported, for modules that count words
from tlbench.datasets.transcripts import visible
from tlbench.metrics.tally import ErrorTally

Operation = Literal["equal", "substitute", "delete", "insert"]


def as_published(text: str) -> list[str]:
    """Words in lower case, split at white space: AV-HuBERT's ``infer_s2s.py`` on LRS2's transcripts."""
    return visible(text).lower().split()


def count_errors(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> ErrorTally:
    """The fewest substitutions, deletions and insertions from the reference to the hypothesis.

    Their sum is unique. If there are several alignments with this sum, the one of rapidfuzz is taken.

    Parameters
    ----------
    reference, hypothesis : sequence
        Of words, characters, phonemes or numbers.
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


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[AlignmentStep]:
    """An alignment of both word sequences, for display. The steps that are not ``equal`` are the errors counted."""
    steps: list[AlignmentStep] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        said = reference[block.src_start : block.src_end]
        read = hypothesis[block.dest_start : block.dest_end]
        if block.tag == "delete":
            steps += [AlignmentStep("delete", word, None) for word in said]
        elif block.tag == "insert":
            steps += [AlignmentStep("insert", None, word) for word in read]
        else:
            operation: Operation = "equal" if block.tag == "equal" else "substitute"
            steps += [AlignmentStep(operation, one, other) for one, other in zip(said, read, strict=True)]
    return steps

"""Observers outside their training: what a checkpoint learned from beside the clips it is to look at.

A small network reads the faces, words and speakers it was trained on. Of others it says no more than a reader who does
not look, and says it as firmly: the bundled ``avhubert-grid``, trained on speaker s1, has three quarters of the words
of other speakers of the same corpus wrong. Pure functions over cards and clips; nothing is decoded here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tlbench.checkpoints.card import Card, Domain
from tlbench.checkpoints.weights import Weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset
from tlbench.datasets.transcripts import spoken
from tlbench.preflight.findings import Finding, finding

# What is found of the checkpoints of a run, not of its clips.
OF_CHECKPOINTS = frozenset(
    {"other-dataset", "other-speakers", "other-vocabulary", "unverified-checkpoint", "damaged-checkpoint"}
)
NAMED = 3  # speakers and words that a message names
FEW_SPEAKERS = 50  # up to so many in its training, a speaker who is none of them is news to a network
FEW_WORDS = 1_000  # up to so many different words in its training, a network has learned a list and not to spell


def origin(dataset: Dataset) -> str:
    """The name of the data set whose clips these are."""
    return dataset.origin or dataset.name


def check_domain(name: str, domain: Domain, dataset: Dataset, clips: Sequence[Clip]) -> Iterator[Finding]:
    """Where the clips are none that the checkpoint ``name`` was trained on; about the run as a whole.

    Speakers and vocabulary are compared where the domain lists them. Clips of one's own (``folder``) may come from
    anywhere: they count as another data set only for a checkpoint that knows few speakers or few words.
    """
    narrow = not (isinstance(domain.speakers, str) and isinstance(domain.vocabulary, str))
    if origin(dataset) not in domain.datasets and (narrow or not dataset.anonymous):
        yield finding(
            "other-dataset",
            None,
            f"checkpoint {name!r} was trained on clips of {', '.join(domain.datasets)}, and these are of "
            f"{dataset.name!r}",
        )
    if not isinstance(domain.speakers, str):
        yield from _check_speakers(name, domain.speakers, clips)
    if not isinstance(domain.vocabulary, str):
        yield from _check_vocabulary(name, domain.vocabulary, clips)


def _check_speakers(name: str, known: Sequence[str], clips: Sequence[Clip]) -> Iterator[Finding]:
    named = [clip.speaker for clip in clips if clip.speaker is not None]
    others = Counter(speaker for speaker in named if speaker not in known)
    if others:
        trained = f"speaker {known[0]} alone" if len(known) == 1 else f"{len(known)} speakers ({_some(known)})"
        yield finding(
            "other-speakers",
            None,
            f"checkpoint {name!r} was trained on {trained}; clips of others: {others.total():,} of {len(clips):,} "
            f"({len(others):,} speaker{'' if len(others) == 1 else 's'}: {_some(sorted(others, key=_natural))})",
        )


def _check_vocabulary(name: str, vocabulary: Sequence[str], clips: Sequence[Clip]) -> Iterator[Finding]:
    known = {word.lower() for word in vocabulary}
    said = [word for clip in clips for word in words_of_clip(clip)]
    others = Counter(word for word in said if word not in known)
    if others:
        common = [word for word, _ in sorted(others.items(), key=lambda item: (-item[1], item[0]))]
        yield finding(
            "other-vocabulary",
            None,
            f"checkpoint {name!r} knows {len(known):,} word{'' if len(known) == 1 else 's'}; "
            f"{100 * others.total() / len(said):.1f} % of the words of these clips are others ({others.total():,} of "
            f"{len(said):,}: {_some(common)})",
        )


def words_of_clip(clip: Clip) -> list[str]:
    """What is to be read in a clip, in lower case: its word label, else the words of its transcript."""
    return [clip.word.lower()] if clip.word is not None else spoken(clip.transcript or "")


def domain_of(dataset: Dataset, clips: Iterable[Clip], framing: str, *, reads: bool) -> Domain:
    """The domain of a network that is trained on these clips; ``reads``: to read words.

    More than :data:`FEW_SPEAKERS` speakers are ``many``, more than :data:`FEW_WORDS` words are ``open``; where no clip
    names a speaker or a word, ``not stated`` is there instead.
    """
    found = list(clips)
    speakers = sorted({clip.speaker for clip in found if clip.speaker is not None}, key=_natural)
    words = sorted({word for clip in found for word in words_of_clip(clip)})
    return Domain(
        datasets=(origin(dataset),),
        speakers=_listed(speakers, FEW_SPEAKERS, "many"),
        vocabulary=_listed(words, FEW_WORDS, "open") if reads else "not read",
        framing=framing,
    )


def published_on(cards: Iterable[Card]) -> frozenset[str]:
    """Names of the data sets for which cards state a published value: ``lrs2_wer1`` is one for ``lrs2``."""
    return frozenset(key.partition("_")[0] for card in cards for key in card.published_values)


def check_checkpoint(weights: Weights) -> Iterator[Finding]:
    """``unverified-checkpoint`` where nothing shows that a file is the published one; about the run as a whole.

    A package that tlbench trained is no published file and never shown as one: nothing is found of it.
    """
    if weights.trained is not None or weights.as_published:
        return
    card, seen = weights.card, weights.sha256[:12]
    said = f"is not the published {card.sha256[:12]}" if card.sha256 else "can't be compared: its publisher states none"
    yield finding("unverified-checkpoint", None, f"checkpoint {card.name!r}: SHA-256 {seen} {said}")


def _listed(names: Sequence[str], most: int, otherwise: str) -> str | tuple[str, ...]:
    if not names:
        return "not stated"
    return tuple(names) if len(names) <= most else otherwise


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _natural(name: str) -> tuple[int, str]:
    """s2 before s10."""
    return len(name), name

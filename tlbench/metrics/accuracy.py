"""ACC: how often a word classifier recognises the word of a clip."""

from __future__ import annotations

from collections.abc import Callable

from tlbench.metrics.metric import Arithmetic, Metric
from tlbench.metrics.tally import HitTally
from tlbench.observing.evidence import Evidence


def _within(rank: str, places: int) -> Callable[[Evidence], HitTally]:
    def tally(evidence: Evidence) -> HitTally:
        return HitTally(int(evidence.number(rank) < places), 1)

    return tally


def _metric(
    name: str,
    label: str,
    arithmetic: Arithmetic,
    tally: Callable[[Evidence], HitTally],
    description: str,
    *,
    headline: bool,
) -> Metric:
    """``sound`` resamples words, because the difficulty of a word is shared by its clips; ``paper`` resamples clips."""
    return Metric(
        name=name,
        arithmetic=arithmetic,
        label=label,
        observer="mvm",
        view="",
        unit="%",
        better="higher",
        version=1,
        tally=tally,
        description=description,
        aggregation="clips",
        scale=100.0,
        headline=headline,
        digits=2,
        cluster="word" if arithmetic == "sound" else "",
        lowest=0,
        highest=100,
        reads="word",
    )


_MIRRORED = "logits of the clip and of its mirror image added, as published (MVM test.py, --test_aug)"
_FIRST = f"share of clips whose word MVM names; {_MIRRORED}"


def _named_words(evidence: Evidence) -> HitTally:
    ranks = evidence.array("ranks")
    return HitTally(int((ranks == 0).sum()), len(ranks))


_ALIGNED = Metric(
    name="acc_aligned",
    arithmetic="sound",
    label="ACC aligned",
    observer="mvm-aligned",
    view="",
    unit="%",
    better="higher",
    version=1,
    tally=_named_words,
    description="share of the words of sentences that MVM names, each from the 29 frames around it in the data set's "
    "word times; logits of the frames and of their mirror image added, as in ACC",
    aggregation="words",
    scale=100.0,
    digits=2,
    lowest=0,
    highest=100,
    reads="words",
)

METRICS: tuple[Metric, ...] = (
    _metric("acc", "ACC", "paper", _within("rank", 1), _FIRST, headline=True),
    _metric("acc", "ACC", "sound", _within("rank", 1), _FIRST, headline=True),
    _metric(
        "acc5",
        "ACC top 5",
        "sound",
        _within("rank", 5),
        f"share of clips whose word is among MVM's first five of 500; {_MIRRORED}",
        headline=False,
    ),
    _metric(
        "acc_plain",
        "ACC plain",
        "sound",
        _within("rank_plain", 1),
        "share of clips whose word MVM names from the clip alone, without its mirror image",
        headline=False,
    ),
    _ALIGNED,
)

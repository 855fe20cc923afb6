"""What WER a reader gets who does not look: the floors beside which a lip reader's figure means something.

Three of them, all learned from the training part's transcripts alone: the sentence that occurs most often, at every
place of the sentence the word that occurs there most often, and another training sentence by chance for each clip.

    python -m benchmarks.blind_readers --dataset grid --data-root GRID --split test
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from tlbench.datasets.selection import load_dataset
from tlbench.metrics.tally import ErrorTally
from tlbench.metrics.text import count_errors, spoken

CHANCES = 100  # draws of a sentence for each clip


def most_frequent_sentence(train: Sequence[list[str]]) -> list[str]:
    """The commonest; of several, the one that comes first."""
    return list(Counter(map(tuple, train)).most_common(1)[0][0])


def most_frequent_words(train: Sequence[list[str]]) -> list[str]:
    """Of every place, its commonest word (or none, where most sentences have ended)."""
    places = zip_longest(*train, fillvalue="")
    chosen = [Counter(words).most_common(1)[0][0] for words in places]
    return [word for word in chosen if word]


def errors(clips: Sequence[list[str]], read: Callable[[], list[str]]) -> ErrorTally:
    """Of all clips together, each read anew."""
    return sum((count_errors(words, read()) for words in clips[1:]), count_errors(clips[0], read()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--train-split", default="train")
    parser.add_argument("--split", default="test")
    given = parser.parse_args()
    train, test = (
        [
            spoken(clip.transcript)
            for clip in load_dataset(given.dataset, given.data_root, split=split).clips
            if clip.transcript
        ]
        for split in (given.train_split, given.split)
    )
    rng = np.random.default_rng(0)
    sentence, words = most_frequent_sentence(train), most_frequent_words(train)
    readers: dict[str, tuple[Sequence[list[str]], Callable[[], list[str]]]] = {
        f"most frequent sentence ({' '.join(sentence)})": (test, lambda: sentence),
        f"most frequent word at each place ({' '.join(words)})": (test, lambda: words),
        f"a training sentence by chance ({CHANCES} draws a clip)": (
            test * CHANCES,
            lambda: train[int(rng.integers(len(train)))],
        ),
    }
    print(f"{given.dataset}, split {given.split}: {len(test)} clips, learned from {len(train)} of {given.train_split}")
    for name, (clips, read) in readers.items():
        value = errors(clips, read).value
        print(f"WER {100 * value:6.2f} %  {name}" if value is not None else f"no words  {name}")


if __name__ == "__main__":
    main()

"""The two data sets of the synthetic corpus: sentences in LRS2's layout, words in LRW's."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source, Span
from tlbench.datasets.lists import read_lrs2_list
from tlbench.datasets.lrs2 import read_transcript
from tlbench.datasets.synthetic.corpus import check_present, corpus_seed
from tlbench.datasets.synthetic.grammar import SPLITS
from tlbench.datasets.synthetic.timings import read_phones
from tlbench.errors import TlbenchError

FRAME_SIZE = (160, 160)


class _Synthetic(Dataset):
    """The common part. Loading checks that the corpus is finished and that no file is missing."""

    layout = "corpus.json, main/ and words/, as `tlbench data synth` writes them"
    licence = "made on the spot by tlbench (Apache-2.0); the voices are espeak-ng's (GPL-3 program)"
    cite = "tlbench"
    frame_size = FRAME_SIZE
    cluster: ClassVar[str | None] = "speaker"

    def spans(self, source: Source, clip: Clip) -> tuple[Span, ...]:
        """Phonemes and silences, to the millisecond."""
        assert clip.reference is not None  # set by clips
        return tuple(Span(*row) for row in read_phones(clip.reference.with_suffix(".phones")))


class Synthetic(_Synthetic):
    """Sentences of three to seven words; ``speaker`` is the face, and no face is in two splits."""

    name = "synthetic"
    title = "Synthetic talker, sentences"

    def splits(self, source: Source) -> tuple[str, ...]:
        root = _corpus(source)
        there = tuple(split for split in SPLITS if (root / f"{split}.txt").is_file())
        if not there:
            raise TlbenchError(
                f"synthetic: {root} holds no sentences; run `tlbench data synth {root} --part sentences`"
            )
        return there

    def clips(self, source: Source, split: str) -> list[Clip]:
        root = _root(source)
        return [
            _sentence(root / "main" / f"{entry.id}.mp4", entry.id) for entry in read_lrs2_list(root / f"{split}.txt")
        ]


class SyntheticWords(_Synthetic):
    """Clips of 29 frames with a word in the middle. The speaker is not known, so clips count as independent."""

    name = "synthetic-words"
    title = "Synthetic talker, words"
    frame_count = 29
    cluster = None
    own_words = True

    def splits(self, source: Source) -> tuple[str, ...]:
        folders = _word_folders(_corpus(source))
        return tuple(split for split in SPLITS if any((folder / split).is_dir() for folder in folders))

    def clips(self, source: Source, split: str) -> list[Clip]:
        return [
            Clip(
                f"{folder.name}/{split}/{video.stem}",
                reference=video,
                word=folder.name,
                boxes=video.with_suffix(".npy"),
            )
            for folder in _word_folders(_root(source))
            for video in sorted((folder / split).glob(f"{folder.name}_*.mp4"))
        ]

    def aliases(self, clip_id: str) -> tuple[str, ...]:
        word, _, stem = clip_id.split("/")
        return (f"{word}/{stem}",)


def _corpus(source: Source) -> Path:
    """The corpus folder. Raises TlbenchError if it holds no corpus."""
    assert source.root is not None  # needs_root
    corpus_seed(source.root)
    return source.root


def _root(source: Source) -> Path:
    """The corpus folder, after a check that all its files exist."""
    root = _corpus(source)
    check_present(root)
    return root


def _word_folders(root: Path) -> list[Path]:
    folders = sorted(folder for folder in (root / "words").glob("*") if folder.is_dir())
    if not folders:
        raise TlbenchError(f"synthetic-words: {root} holds no words; run `tlbench data synth {root} --part words`")
    return folders


def _sentence(video: Path, clip_id: str) -> Clip:
    return Clip(
        clip_id,
        reference=video,
        transcript=read_transcript(video.with_suffix(".txt")),
        speaker=clip_id.partition("/")[0],
        boxes=video.with_suffix(".npy"),
    )

"""LRW: single words from BBC programmes, 29 frames of 256x256 with the word in the middle."""

from __future__ import annotations

import re
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source
from tlbench.datasets.matching import find_files
from tlbench.errors import TlbenchError, quoted

# The labels of a word classifier are indices into this fixed list. MVM takes sorted(os.listdir(lrw)) instead
# (vid_aud_lrw.py of ms-dot-k/Multi-head-Visual-Audio-Memory), where a missing word shifts all labels after it.
LRW_WORDS: tuple[str, ...] = tuple(
    files("tlbench.datasets").joinpath("lrw_words.txt").read_text(encoding="utf-8").split()
)
_LABELS = MappingProxyType({word: label for label, word in enumerate(LRW_WORDS)})
_SPLITS = ("train", "val", "test")


def lrw_label(word: str) -> int:
    """Index of a word in :data:`LRW_WORDS`. Raises TlbenchError if it is not one of the 500."""
    if word not in _LABELS:
        near = get_close_matches(word.upper(), LRW_WORDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise TlbenchError(f"lrw: {quoted(word)} is none of the 500 words{hint}")
    return _LABELS[word]


class Lrw(Dataset):
    """Files ``WORD/<split>/WORD_00001.mp4`` in the folder ``lipread_mp4``; the root is that folder or the one above."""

    name = "lrw"
    title = "LRW"
    layout = "WORD/test/WORD_00001.mp4 (lipread_mp4)"
    licence = "BBC and University of Oxford agreement, academic research only; not redistributable"
    cite = "Chung, Zisserman: Lip Reading in the Wild, ACCV 2016"
    frame_size = (256, 256)
    frame_count = 29
    expected_clips = MappingProxyType({"test": 25_000})

    def splits(self, source: Source) -> tuple[str, ...]:
        folders = _word_folders(source)
        there = tuple(split for split in _SPLITS if any((folder / split).is_dir() for folder in folders))
        if not there:
            raise TlbenchError(
                f"lrw: no test, val or train folder in {folders[0]}; pass the folder with {Lrw.layout} (--data-root)"
            )
        return there

    def clips(self, source: Source, split: str) -> list[Clip]:
        clips = []
        for folder in _word_folders(source):
            if not (folder / split).is_dir():
                continue
            word = folder.name
            for file in find_files(folder / split):
                if re.fullmatch(rf"{re.escape(word)}_[0-9]+", file.name) is None:
                    raise TlbenchError(f"lrw: {file.path} is not named {word}_NNNNN; move it out of the data set")
                clips.append(Clip(f"{word}/{split}/{file.name}", reference=file.path, word=word))
        return clips

    def aliases(self, clip_id: str) -> tuple[str, ...]:
        word, _, stem = clip_id.split("/")
        return (f"{word}/{stem}",)


def _word_folders(source: Source) -> list[Path]:
    """The existing word folders, in the order of :data:`LRW_WORDS`.

    Raises TlbenchError if there are none, or if there is one that is not a word of the list.
    """
    assert source.root is not None  # needs_root
    for base in (source.root, source.root / "lipread_mp4"):
        there = [base / word for word in LRW_WORDS if (base / word).is_dir()]
        if there:
            _check_spelling(base)
            return there
    raise TlbenchError(
        f"lrw: root {source.root} holds none of the 500 word folders; pass the folder with {Lrw.layout} (--data-root)"
    )


def _check_spelling(base: Path) -> None:
    """Raises TlbenchError for a folder with splits that is not a word of the list, which would be left out."""
    for folder in sorted(base.iterdir()):
        if folder.name not in _LABELS and any((folder / split).is_dir() for split in _SPLITS):
            try:
                lrw_label(folder.name)
            except TlbenchError as error:
                raise TlbenchError(f"{error} (folder {folder}); rename it or move it away") from None

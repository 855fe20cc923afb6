"""Wav2Lip's lists of random pairs: the face of one clip with the speech of another. For lip sync only.

These are not the test sets of the same names: "LRS2" here is 14,239 pairs, while ``lrs2`` is 1,243 clips with their own
speech.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source
from tlbench.datasets.lists import read_wav2lip_pairs
from tlbench.errors import TlbenchError


class Wav2LipPairs(Dataset):
    """A pair's id is its line number from 0, the name that Wav2Lip's script gives the video: ``0.mp4``.

    There is no reference, because no real video shows that face with that speech. The speech is taken from the
    generated file, as published.
    """

    list_name: ClassVar[str]
    licence = "the list: Rudrabha/Wav2Lip, non-commercial research; the clips: those of the data set they come from"
    cite = "Prajwal, Mukhopadhyay, Namboodiri, Jawahar: A Lip Sync Expert Is All You Need, ACM Multimedia 2020"
    manifest = "the list of pairs, AUDIO VIDEO a line (evaluation/test_filelists of Rudrabha/Wav2Lip)"
    needs_root = False
    metrics = ("lse_c", "lse_d")

    def splits(self, source: Source) -> tuple[str, ...]:
        return ("test",)

    def clips(self, source: Source, split: str) -> list[Clip]:
        return [Clip(str(pair.number)) for pair in read_wav2lip_pairs(self._list(source))]

    def _list(self, source: Source) -> Path:
        if source.manifest is not None:
            return source.manifest
        if source.root is not None and (source.root / self.list_name).is_file():
            return source.root / self.list_name
        raise TlbenchError(
            f"{self.name}: needs its list of pairs; pass evaluation/test_filelists/{self.list_name} of "
            "github.com/Rudrabha/Wav2Lip as manifest (--manifest)"
        )


class Lrs2Pairs(Wav2LipPairs):
    """14,239 pairs of LRS2's test clips; the root is ``mvlrs_v1/main``."""

    name = "lrs2-wav2lip-pairs"
    origin = "lrs2"
    title = "LRS2, Wav2Lip's pairs"
    layout = "VIDEO/CLIP.mp4 (mvlrs_v1/main)"
    list_name = "lrs2.txt"
    frame_size = (160, 160)
    expected_clips = MappingProxyType({"test": 14_239})


class Lrs3Pairs(Wav2LipPairs):
    """14,000 pairs of LRS3's test clips."""

    name = "lrs3-wav2lip-pairs"
    origin = "lrs3"
    title = "LRS3, Wav2Lip's pairs"
    layout = "VIDEO/CLIP.mp4 (lrs3/test)"
    list_name = "lrs3.txt"
    frame_size = (224, 224)
    expected_clips = MappingProxyType({"test": 14_000})


class LrwPairs(Wav2LipPairs):
    """28,000 pairs of LRW's test clips. The list names ``BRING_00018`` without folders, so the root is flat."""

    name = "lrw-wav2lip-pairs"
    origin = "lrw"
    title = "LRW, Wav2Lip's pairs"
    layout = "WORD_00001.mp4, all test clips in one folder"
    list_name = "lrw.txt"
    frame_size = (256, 256)
    expected_clips = MappingProxyType({"test": 28_000})

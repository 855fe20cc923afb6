"""LRS2-BBC: sentences from BBC programmes, 160x160 at 25 frames/s."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source
from tlbench.datasets.lists import ListedClip, read_lrs2_list, read_subset, read_text
from tlbench.errors import TlbenchError, quoted

_PREFIX = (
    "Text:  "  # the published scripts cut off 7 characters without a check (teacher_force_wer.py of Sxjdwang/TalkLip)
)
_SPLITS = ("train", "val", "test")


class Lrs2(Dataset):
    """``main/<video>/<clip>.mp4`` and ``main/<video>/<clip>.txt``, and ``test.txt`` next to ``main``.

    The root is that folder (``mvlrs_v1``), the one above it, or ``main`` itself. ``speaker`` is the first part of the
    id, the programme, because clips of the same programme are not independent.
    """

    name = "lrs2"
    title = "LRS2-BBC"
    layout = "main/VIDEO/CLIP.mp4 and test.txt (mvlrs_v1)"
    manifest = "a list of clips used in place of <split>.txt: LRS2's own form, TalkLip's tsv, or one id a line"
    licence = "BBC and University of Oxford agreement, academic research only; not redistributable"
    cite = "Afouras, Chung, Senior, Vinyals, Zisserman: Deep Audio-Visual Speech Recognition, TPAMI 2018"
    frame_size = (160, 160)
    expected_clips = MappingProxyType({"test": 1243})
    refused_splits = MappingProxyType(
        {"pretrain": "has transcripts of another form and no place in the protocol; use test, val or train (--split)"}
    )
    cluster = "programme"

    def splits(self, source: Source) -> tuple[str, ...]:
        if source.manifest is not None:
            return _SPLITS
        base = _base(source)
        there = tuple(split for split in _SPLITS if (base / f"{split}.txt").is_file())
        if not there:
            raise TlbenchError(
                f"lrs2: no test.txt beside {base / 'main'}; put LRS2's lists there, or pass one (--manifest)"
            )
        return there

    def clips(self, source: Source, split: str) -> list[Clip]:
        base = _base(source)
        listed = _manifest(source.manifest) if source.manifest is not None else read_lrs2_list(base / f"{split}.txt")
        clips = []
        for entry in listed:
            video = base / "main" / f"{entry.id}.mp4"
            text = read_transcript(video.with_suffix(".txt"))
            clips.append(Clip(entry.id, reference=video, transcript=text, speaker=entry.id.partition("/")[0]))
        return clips


def read_transcript(path: Path) -> str | None:
    """The first line of an LRS2 text file without the 7 characters ``Text:  `` and its line end; None without a file.

    An empty file gives an empty transcript. A first line of another form is an error; the original scripts would cut
    off its first letters.
    """
    try:
        text = read_text(path, "transcript")
    except TlbenchError as error:
        if isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
            return None
        raise
    first = text.partition("\n")[0].removesuffix("\r")
    if first and not first.startswith(_PREFIX):
        raise TlbenchError(f"{path}:1: {quoted(first)} does not begin with {_PREFIX!r} as LRS2's transcripts do")
    return first.removeprefix(_PREFIX)


def _base(source: Source) -> Path:
    root = source.root
    assert root is not None  # needs_root
    for base in (root, root / "mvlrs_v1"):
        if (base / "main").is_dir():
            return base
    if root.resolve().name == "main":
        return root.resolve().parent
    raise TlbenchError(f"lrs2: root {root} holds no folder main; pass the folder with {Lrs2.layout} (--data-root)")


def _manifest(path: Path) -> list[ListedClip]:
    listed = read_subset(path)
    for entry in listed:
        if entry.id.count("/") != 1:
            raise TlbenchError(f"{path}:{entry.line}: {quoted(entry.id)} is not VIDEO/CLIP (--manifest)")
    return listed

"""The synthetic corpus on disk: rendered by several processes, resumable, checked by hashes.

::

    main/test003/00004.mp4     a sentence: 160x160, 25 frames/s, H.264 and AAC
                      .txt     the transcript in LRS2's form, with word times
                      .phones  phoneme times
                      .npy     face boxes, (T, 4) int64
    words/BAKER/test/BAKER_00001.mp4 ...   the same for words of 29 frames, in LRW's layout
    train.txt val.txt test.txt             lists of the sentence part, as LRS2 has them
    corpus.json hashes.txt                 the settings, and the hashes of all files

A clip depends only on the seed, its part, its split and its number. On one installation the same seed gives the same
bytes. On others texts, times, boxes and samples are the same; frames may differ by rounding with the version of OpenCV,
and encoded bytes with that of FFmpeg.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.synthetic.clips import ClipKey, make_take
from tlbench.datasets.synthetic.grammar import MIDDLE_WORDS, SPLITS
from tlbench.datasets.synthetic.speech import SAMPLE_RATE, SpeechSynthesizer
from tlbench.datasets.synthetic.timings import phones_text, transcript_text
from tlbench.document import counted
from tlbench.errors import TlbenchError, listed
from tlbench.files import JSON, TEXT, file_sha256, read_outside, write_bytes_atomically
from tlbench.json_input import parse_json
from tlbench.litter import is_temporary, remove_litter
from tlbench.media.video_writer import write_video
from tlbench.owner import owned, owner_path
from tlbench.worker_processes import worker_processes

FORM = 1  # raise it when the same seed gives another corpus
ABOUT_NAME, HASHES_NAME = "corpus.json", "hashes.txt"
NEXT = "next_sha256"  # in corpus.json while hashes.txt is replaced: the hash of the new one
CRF = 20
CLIP_BYTES = 80_000  # approximate size of a clip's four files
CHUNK = 16  # clips given to a process at once
SUFFIXES = (".txt", ".phones", ".npy", ".mp4")  # in the order of writing: a clip with a video is complete


@dataclass(frozen=True)
class Sizes:
    """Number of clips in each split: of sentences, and of each word."""

    train: int = 4000
    val: int = 120
    test: int = 120
    word_train: int = 30
    word_val: int = 2
    word_test: int = 2

    def keys(self, seed: int, parts: Iterable[str]) -> list[ClipKey]:
        """All clips of these parts."""
        keys = []
        for part in parts:
            for split in SPLITS:
                count = getattr(self, split if part == "sentences" else f"word_{split}")
                count *= 1 if part == "sentences" else len(MIDDLE_WORDS)
                keys += [ClipKey(seed, part, split, number) for number in range(count)]
        return keys


PARTS = ("sentences", "words")


def render_corpus(
    out: Path,
    *,
    seed: int = 0,
    sizes: Sizes | None = None,
    parts: Sequence[str] = PARTS,
    workers: int | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> int:
    """Render the clips that do not exist yet.

    Parameters
    ----------
    out : Path
        The corpus folder. An interrupted or smaller corpus is continued; missing or changed clips of a finished one are
        rendered again.
    seed : int
    sizes : Sizes or None
        None for the default size.
    parts : sequence of str
        ``sentences``, ``words``.
    workers : int or None
        Number of processes; None for one per core.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    progress : callable or None

    Returns
    -------
    int
        Number of clips rendered.

    Raises
    ------
    TlbenchError
        If espeak-ng is not installed, the folder holds a corpus with another seed or other files, or the disk is full.
    """
    sizes = sizes or Sizes()
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise TlbenchError(f"no part {unknown[0]!r} of the synthetic corpus{listed(unknown[0], PARTS)}")
    SpeechSynthesizer().close()  # raises the error now if it can't start
    with owned(out, take_over=take_over):
        remove_litter(out, deep=True)
        _claim(out, seed)
        keys = sizes.keys(seed, parts)
        before = _read_hashes(out) if _about(out).get("finished") else {}
        changed = _changed(out, before)
        missing = [key for key in keys if changed & _names(key) or not _is_whole(out, key)]
        _check_room(out, len(missing))
        done = len(keys) - len(missing)
        if progress is not None:
            progress(done, len(keys))
        # Sorted by person, because a person's head is drawn only once.
        missing.sort(key=lambda key: (key.split, key.person, key.part, key.number))
        chunks = [missing[begin : begin + CHUNK] for begin in range(0, len(missing), CHUNK)]
        for count in _rendered(out, chunks, workers or os.cpu_count() or 1):
            done += count
            if progress is not None:
                progress(done, len(keys))
        made = {name for key in missing for name in _names(key)}
        _finish(out, seed, {name: before[name] for name in changed - made})
        return len(missing)


def _changed(out: Path, hashes: Mapping[str, str]) -> set[str]:
    """The files of clips with another hash than before. The lists are left out: they are always written again."""
    return {
        name
        for name, digest in hashes.items()
        if "/" in name and (out / name).is_file() and _sha256(out / name) != digest
    }


def corpus_seed(root: Path) -> int:
    """The seed of the corpus in a folder. Raises TlbenchError if there is no corpus of a known form."""
    return int(_about(root)["seed"])


def check_corpus(root: Path, progress: CountCallback | None = None) -> list[str]:
    """A line for each file that is missing, changed, or was not rendered.

    Raises TlbenchError if the folder holds no finished corpus.
    """
    _about(root)
    kept = _read_hashes(root)
    there = {path.relative_to(root).as_posix() for path in _files(root)}
    problems = [f"{name}: is missing" for name in sorted(set(kept) - there)]
    problems += [f"{name}: was not rendered" for name in sorted(there - set(kept))]
    names = sorted(there & set(kept))
    for done, name in enumerate(names, start=1):
        if _sha256(root / name) != kept[name]:
            problems.append(f"{name}: has changed")
        if progress is not None:
            progress(done, len(names))
    return problems


def check_present(root: Path) -> None:
    """A quick check that the corpus is finished and every file exists. Raises TlbenchError if not."""
    _about(root)
    lost = [name for name in _read_hashes(root) if not (root / name).is_file()]
    if lost:
        raise TlbenchError(
            f"synthetic: {root} has changed since it was rendered: "
            f"{counted(len(lost), 'file is', 'files are')} missing, the first {lost[0]}; "
            "run `tlbench data synth` for the same folder again"
        )


def _rendered(out: Path, chunks: Sequence[Sequence[ClipKey]], workers: int) -> Iterator[int]:
    """The number of clips of each chunk, as the chunks are finished."""
    if not chunks:
        return
    if_killed = (
        f"{out}: a process that renders was killed, perhaps for want of memory; run the same command again to go "
        "on, with --workers 1 if it happens again"
    )
    with worker_processes(min(workers, len(chunks)), _start_worker, if_killed=if_killed) as pool:
        for future in as_completed([pool.submit(_render, out, chunk) for chunk in chunks]):
            yield future.result()


def _start_worker() -> None:
    """Runs first in each worker process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once without a message: whole clips are kept


def _render(out: Path, keys: Sequence[ClipKey]) -> int:
    """Render clips in a worker process, including clips that an earlier process left unfinished."""
    import cv2

    cv2.setNumThreads(1)
    with SpeechSynthesizer() as speaker:
        for key in keys:
            take = make_take(key, speaker)
            base = out / key.name
            _make_folder(base.parent)
            write_bytes_atomically(base.with_suffix(".txt"), transcript_text(take.words).encode())
            write_bytes_atomically(base.with_suffix(".phones"), phones_text(take.phonemes).encode())
            _write_boxes(base.with_suffix(".npy"), take.boxes)
            video = base.with_suffix(".mp4")
            write_video(video, take.frames(), samples=take.samples, sample_rate=SAMPLE_RATE, crf=CRF)
    return len(keys)


def _names(key: ClipKey) -> set[str]:
    """A clip's files, as paths inside the corpus."""
    return {key.name + suffix for suffix in SUFFIXES}


def _is_whole(out: Path, key: ClipKey) -> bool:
    return all((out / name).is_file() for name in _names(key))


def _claim(out: Path, seed: int) -> None:
    """Start a corpus with this seed in the folder, or check that there is one."""
    if (out / ABOUT_NAME).is_file():
        there = corpus_seed(out)
        if there != seed:
            raise TlbenchError(f"{out} holds a corpus of seed {there}, not {seed}; choose another folder")
        return
    if out.is_dir() and not all(path == owner_path(out) or is_temporary(path.name) for path in out.iterdir()):
        raise TlbenchError(f"{out} is not empty and holds no {ABOUT_NAME}; choose another folder")
    _make_folder(out)
    _write_about(out, {"form": FORM, "seed": seed, "finished": False})


def _finish(out: Path, seed: int, changed: dict[str, str]) -> None:
    """Write the lists, and the hashes of all files; a changed file that was not rendered again keeps its old hash."""
    for split in SPLITS:
        ids = sorted(
            path.relative_to(out / "main").with_suffix("").as_posix()
            for path in (out / "main").glob(f"{split}[0-9]*/*.mp4")
        )
        if ids:
            ids.sort(key=lambda name: name.rpartition("/")[2])
            write_bytes_atomically(out / f"{split}.txt", "".join(f"{name}\n" for name in ids).encode())
    names = [path.relative_to(out).as_posix() for path in _files(out)]
    rows = "".join(f"{changed.get(name) or _sha256(out / name)}  {name}\n" for name in names)
    digest = sha256(rows.encode()).hexdigest()
    # Of two files only one can be replaced at a time: in between, the hashes may be the old ones or the new ones.
    _write_about(out, {**_about(out), NEXT: digest})
    write_bytes_atomically(out / HASHES_NAME, rows.encode())
    clips = sum(name.endswith(".mp4") for name in rows.splitlines())
    _write_about(out, {"form": FORM, "seed": seed, "finished": True, "clips": clips, "sha256": digest})


def _files(out: Path) -> list[Path]:
    """All files of the corpus except ``corpus.json`` and ``hashes.txt``, sorted by name."""
    found = [
        path
        for folder in (out / "main", out / "words")
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES and not path.name.startswith(".")
    ]
    found += [out / f"{split}.txt" for split in SPLITS if (out / f"{split}.txt").is_file()]
    return sorted(found, key=lambda path: path.relative_to(out).as_posix())


def _about(root: Path) -> dict[str, Any]:
    path = root / ABOUT_NAME
    try:
        about = parse_json(read_outside(path, JSON))
    except FileNotFoundError as error:
        raise TlbenchError(
            f"{root} holds no {ABOUT_NAME}; render a corpus with `tlbench data synth {root}`, or pass the folder of "
            "one (--data-root)"
        ) from error
    except (OSError, ValueError) as error:
        raise TlbenchError(f"{path}: can't be read ({error}); render the corpus into another folder") from error
    if not isinstance(about, dict) or about.get("form") != FORM or not isinstance(about.get("seed"), int):
        raise TlbenchError(f"{path}: is of no form that this version knows; render the corpus into another folder")
    return about


def _read_hashes(root: Path) -> dict[str, str]:
    about = _about(root)
    if not about.get("finished"):
        raise TlbenchError(f"{root}: its rendering was interrupted; run `tlbench data synth` for it again")
    try:
        text = read_outside(root / HASHES_NAME, TEXT)
    except OSError as error:
        raise TlbenchError(
            f"{root / HASHES_NAME}: can't be read ({error.strerror}); render the corpus again"
        ) from error
    if sha256(text).hexdigest() not in (about.get("sha256"), about.get(NEXT)):
        raise TlbenchError(f"{root / HASHES_NAME}: has changed since the corpus was rendered; render it again")
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.decode().splitlines())}


def _check_room(out: Path, clips: int) -> None:
    needed, free = clips * CLIP_BYTES, shutil.disk_usage(out).free
    if needed > free:
        raise TlbenchError(
            f"{out}: {counted(clips, 'clip needs', 'clips need')} about {needed / 1e6:.0f} MB, "
            f"{free / 1e6:.0f} MB are free; make room or fewer"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TlbenchError(f"{folder}: can't be made ({error.strerror})") from error


def _write_boxes(path: Path, boxes: np.ndarray) -> None:
    from io import BytesIO

    content = BytesIO()
    np.save(content, boxes)
    write_bytes_atomically(path, content.getvalue())


def _write_about(out: Path, about: dict[str, Any]) -> None:
    write_bytes_atomically(out / ABOUT_NAME, (json.dumps(about, indent=1) + "\n").encode())


def _sha256(path: Path) -> str:
    return file_sha256(path)

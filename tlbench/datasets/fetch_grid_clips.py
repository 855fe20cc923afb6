"""Fetch single clips of GRID: out of the public archives, by parts of them, about 400 kB for a clip."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from tlbench.datasets.fetch_grid import (
    ADDRESS,
    MOST_BYTES,
    SPEAKERS,
    check_speakers,
    open_archive,
    videos_in,
)
from tlbench.datasets.fetched_clips import fetched_clips, note_clips
from tlbench.datasets.grid_sample import SAMPLE
from tlbench.datasets.remote_file import RemoteFile
from tlbench.downloads import Progress, Wanted
from tlbench.errors import TlbenchError, listed, one_line, quoted
from tlbench.files import atomic_path, file_sha256, write_text_atomically
from tlbench.litter import remove_litter
from tlbench.owner import owned
from tlbench.zip_files import damage_as_bad_zip

MOST_CLIP_BYTES = 50 * 10**6  # of a video unpacked: GRID's have 0.5 MB, in high quality 5 MB
HEADER_BYTES = 2**10  # of a member, before its data: 30 bytes, its name and what is added to that (APPNOTE.TXT, 4.3.7)
# Speakers nobody trains on: LipNet's test speakers (Assael et al. 2016, section 4.1); the two for validation are ours.
TEST_SPEAKERS = ("s1", "s2", "s20", "s22")
VAL_SPEAKERS = ("s3", "s4")


def parse_clips(names: Sequence[str]) -> dict[str, list[str]]:
    """Clip names by speaker, of ids such as ``s1/bbaf2n``; ``sample`` stands for those of the data set grid-sample.

    Raises TlbenchError for another form or speaker.
    """
    found: dict[str, list[str]] = {}
    for name in itertools.chain.from_iterable(SAMPLE if given == "sample" else (given,) for given in names):
        speaker, _, clip = name.partition("/")
        if not clip.isalnum():
            raise TlbenchError(f"clip {quoted(name)} is no id of GRID, such as s1/bbaf2n (--clips)")
        check_speakers([speaker])
        found.setdefault(speaker, []).append(clip)
    return found


def fetch_grid_clips(
    root: Path,
    speaker: str,
    clips: Sequence[str] | int,
    progress: Progress | None = None,
    address: str = ADDRESS,
    *,
    take_over: bool = False,
) -> list[Path]:
    """Fetch some clips of a speaker to ``root/<speaker>/<clip>.mpg``.

    A clip that is there is kept if it has the hash that was noted when it was fetched, or was not fetched in this way.
    So an interrupted run is continued by the same call. If the speaker was fetched as a whole, nothing is done.

    Parameters
    ----------
    clips : sequence of str, or int
        Names such as ``bbaf2n``, or how many: those with the smallest hashes of their ids, so that they do not begin
        with the same words, and more clips are a superset of fewer.
    progress : (bytes, all bytes) -> None, optional
    address, take_over
        As in :func:`tlbench.datasets.fetch_grid.fetch_grid`.

    Returns
    -------
    list of Path
        Of all the clips, sorted.

    Raises
    ------
    TlbenchError
        A clip that the archive does not have; offline; a server that only sends whole files; an archive that is not
        what it should be; no room; another run fetches the speaker.
    """
    check_speakers([speaker])
    folder = root / speaker
    what = f"GRID's {speaker}"
    try:
        with owned(root, name=speaker, take_over=take_over):
            known = fetched_clips(root)
            if folder.is_dir() and speaker not in known:
                return sorted(folder.glob("*.mpg"))
            remove_litter(folder)
            if not isinstance(clips, int) and all(_kept(folder, name, known.get(speaker, {})) for name in clips):
                return sorted(folder / f"{name}.mpg" for name in clips)
            url = address.format(name=speaker)
            remote = RemoteFile(Wanted(what, url, root / f"{speaker}.zip", MOST_BYTES, checked=True))
            with damage_as_bad_zip(), open_archive(io.BufferedReader(remote)) as packed:
                there = videos_in(packed, speaker)
                chosen = _chosen(there, speaker, clips)
                _fetch(packed, remote, folder, chosen, dict(known.get(speaker, {})), url, progress)
            return sorted(folder / f"{name}.mpg" for name in chosen)
    except BadZipFile as error:
        raise TlbenchError(
            f"{what}: {address.format(name=speaker)} is no archive of it, or is damaged ({one_line(str(error)):.120}); "
            "fetch again"
        ) from error
    except OSError as error:
        raise TlbenchError(
            f"{what}: {root} can't be written ({error.strerror or error}); make room, or choose another folder"
        ) from error


def write_speaker_splits(root: Path) -> dict[str, int]:
    """Write ``split_train.txt``, ``split_val.txt`` and ``split_test.txt`` of the clips that are there, by speaker.

    Nobody in one of them is in another. Returns the number of clips of each. Raises TlbenchError if one of them would
    be empty, or has other lines already.
    """
    found: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for speaker in SPEAKERS:
        part = "test" if speaker in TEST_SPEAKERS else "val" if speaker in VAL_SPEAKERS else "train"
        videos = sorted(path for path in (root / speaker).glob("*") if path.suffix in (".mpg", ".mp4"))
        found[part] += [f"{speaker}/{path.stem}" for path in videos]
    for part, ids in found.items():
        path, text = root / f"split_{part}.txt", "\n".join(ids) + "\n"
        if not ids:
            others = tuple(speaker for speaker in SPEAKERS if speaker not in TEST_SPEAKERS + VAL_SPEAKERS)
            speakers = {"test": TEST_SPEAKERS, "val": VAL_SPEAKERS, "train": others}[part]
            raise TlbenchError(f"{root}: has no clips for {path.name}; fetch some of {', '.join(speakers)}")
        if path.is_file() and path.read_text("utf-8") != text:
            raise TlbenchError(f"{path}: has other lines; remove it if they are not needed")
        write_text_atomically(path, text)
    return {part: len(ids) for part, ids in found.items()}


def _chosen(there: dict[str, ZipInfo], speaker: str, clips: Sequence[str] | int) -> dict[str, ZipInfo]:
    if isinstance(clips, int):
        order = sorted(there, key=lambda name: hashlib.sha256(f"{speaker}/{name}".encode()).hexdigest())
        return {name: there[name] for name in sorted(order[:clips])}
    for name in clips:
        if name not in there:
            raise TlbenchError(f"GRID's {speaker}: has no clip {name}{listed(name, there)[:200]} (--clips)")
    return {name: there[name] for name in clips}


def _fetch(
    packed: ZipFile,
    remote: RemoteFile,
    folder: Path,
    chosen: dict[str, ZipInfo],
    noted: dict[str, str],
    url: str,
    progress: Progress | None,
) -> None:
    """Take the members out of the archive that are not there; the note is written after each, so none is lost."""
    total, done = sum(info.compress_size for info in chosen.values()), 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, info in chosen.items():
        if not _kept(folder, name, noted):
            if info.file_size > MOST_CLIP_BYTES:
                raise BadZipFile(f"{name} has {info.file_size / 1e6:,.0f} MB unpacked")
            remote.expect(info.compress_size + HEADER_BYTES)
            content = packed.read(info)  # its sum is checked
            with atomic_path(folder / f"{name}.mpg") as temporary:
                temporary.write_bytes(content)
            noted[name] = hashlib.sha256(content).hexdigest()
            note_clips(folder.parent, folder.name, noted, url)
        done += info.compress_size
        if progress is not None:
            progress(done, total)


def _kept(folder: Path, name: str, noted: dict[str, str]) -> bool:
    path = folder / f"{name}.mpg"
    return path.is_file() and (name not in noted or file_sha256(path) == noted[name])

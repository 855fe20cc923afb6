"""Any folder of videos, with or without real videos, transcripts and words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from os.path import abspath
from pathlib import Path
from unicodedata import category

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Dataset, Source
from tlbench.datasets.lists import check_clip_id, read_text
from tlbench.datasets.lrs2 import read_transcript
from tlbench.datasets.matching import ClipNames, find_files, match_files, without_previews
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted, shortened

PATH_COLUMNS = ("reference", "generated", "boxes", "source")
COLUMNS = ("id", "reference", "generated", "boxes", "transcript", "word", "speaker", "source")


class Folder(Dataset):
    """Clips from a manifest, else from the videos under the root, else from the generated videos (without references).

    The manifest is CSV (with a header) or JSON Lines with the columns ``id`` and any of ``reference``, ``generated``,
    ``transcript``, ``word``, ``speaker``, ``boxes``, ``source`` (the picture that a video was generated from). Its
    paths are relative to its own folder. They may lead out of it, and
    :attr:`tlbench.datasets.selection.Selection.notes` says how many do. A reference that the manifest does not name is
    searched under the root by the id.

    Without a manifest an id is the path below the root without extension. The transcript is the text file next to the
    video, ``<id>.txt``: all of it, or the first line if it begins with LRS2's ``Text:``.
    """

    name = "folder"
    anonymous = True
    title = "Folder"
    layout = "the reference videos"
    licence = "the user's own"
    cite = ""
    manifest = "CSV or JSON Lines with the columns " + ", ".join(COLUMNS)
    needs_root = False

    def splits(self, source: Source) -> tuple[str, ...]:
        return ("all",)

    def clips(self, source: Source, split: str) -> list[Clip]:
        if source.manifest is not None:
            return _with_references(read_manifest(source.manifest), source.root)
        files = find_files(source.root) if source.root is not None else source.generated
        if files is None:
            raise TlbenchError(
                "folder: nothing to load; pass references (--data-root), a manifest (--manifest) or a generated folder"
            )
        clips = []
        files, _ = without_previews(files)
        for first, second in pairwise(files):
            if first.name == second.name:
                raise TlbenchError(f"folder: {first.path} and {second.path} are both clip {first.name}; remove one")
        for file in files:
            reference = file.path if source.root is not None else None
            transcript = _transcript(file.path.with_suffix(".txt"))
            clips.append(Clip(file.name, reference=reference, transcript=transcript))
        return clips

    def notes(self, source: Source) -> tuple[str, ...]:
        if source.manifest is None:
            return ()
        home = Path(abspath(source.manifest)).parent
        outside = sum(
            not Path(abspath(path)).is_relative_to(home)
            for clip in read_manifest(source.manifest)
            for path in (clip.reference, clip.generated, clip.boxes, clip.source)
            if path is not None
        )
        return (f"{outside} paths of {source.manifest.name} lead out of its folder {home}",) if outside else ()


def read_manifest(path: Path) -> list[Clip]:
    """The clips of a ``.csv`` or ``.jsonl`` manifest, in its order. Empty cells are None.

    Raises
    ------
    TlbenchError
        With ``file:line``: no id, a repeated id, an unknown column, or a cell that is not text.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows}
    if path.suffix.lower() not in readers:
        raise TlbenchError(f"manifest {path}: its name must end in .csv or .jsonl; rename or convert it")
    clips: dict[str, Clip] = {}
    for line, row in readers[path.suffix.lower()](path, read_text(path, "manifest")):
        where = f"{path}:{line}"
        cells = {column: text.strip() for column, text in row.items() if text.strip()}
        clip_id = check_clip_id(cells.get("id", ""), where)
        _check_cells(cells, where)
        if clip_id in clips:
            raise TlbenchError(f"{where}: clip {shortened(clip_id)} is in the manifest twice; ids must differ")
        files = {column: path.parent / cells[column] for column in PATH_COLUMNS if column in cells}
        clips[clip_id] = Clip(
            clip_id,
            files.get("reference"),
            files.get("generated"),
            cells.get("transcript"),
            cells.get("word"),
            cells.get("speaker"),
            files.get("boxes"),
            source=files.get("source"),
        )
    return list(clips.values())


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_columns(header, f"{path}:{reader.line_num}")
            elif len(cells) != len(header):
                raise TlbenchError(
                    f"{path}:{reader.line_num}: {counted(len(cells), 'cell')} under "
                    f"{counted(len(header), 'column')}; quote cells with commas"
                )
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise TlbenchError(f"{path}:{reader.line_num}: not CSV ({error})") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, row_text in enumerate(text.split("\n"), start=1):
        if not row_text.strip():
            continue
        try:
            row = json.loads(row_text)
        except (ValueError, RecursionError) as error:
            raise TlbenchError(f"{path}:{line}: not JSON ({error}); each line is one object") from error
        if not isinstance(row, dict):
            raise TlbenchError(f'{path}:{line}: not an object; each line is one, like {{"id": "a"}}')
        _check_columns(list(row), f"{path}:{line}")
        for column, value in row.items():
            if not isinstance(value, str | None):
                raise TlbenchError(f"{path}:{line}: {column} is {quoted(value)}, not text; put it in quotes")
        yield line, {column: value or "" for column, value in row.items()}


def _check_columns(columns: list[str], where: str) -> None:
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise TlbenchError(f"{where}: unknown columns {', '.join(map(repr, unknown))}; there are {', '.join(COLUMNS)}")
    if len(set(columns)) != len(columns):
        raise TlbenchError(f"{where}: a column is there twice in {', '.join(columns)}")
    if "id" not in columns:
        raise TlbenchError(f"{where}: no column 'id'; every clip needs one")


def _check_cells(row: dict[str, str], where: str) -> None:
    """Refuse characters that JSON can express but a file name or a UTF-8 file can't hold."""
    for column, text in row.items():
        refused = ("Cc", "Cs") if column in PATH_COLUMNS else ("Cs",)
        if any(category(letter) in refused for letter in text):
            raise TlbenchError(
                f"{where}: {column} {quoted(text)} holds a control character or half a surrogate pair; remove it"
            )


def _with_references(clips: list[Clip], root: Path | None) -> list[Clip]:
    """Give clips without a reference the video under the root that is named after them, if there is one."""
    if root is None or all(clip.reference is not None for clip in clips):
        return clips
    found = match_files(ClipNames([clip.id for clip in clips], lambda _: ()), find_files(root)).files
    return [clip if clip.reference is not None else replace(clip, reference=found.get(clip.id)) for clip in clips]


def _transcript(path: Path) -> str | None:
    if not path.is_file():
        return None
    text = read_text(path, "transcript")
    return read_transcript(path) if text.startswith("Text:") else " ".join(text.split())

"""Adds results to leaderboards, builds the tables from the records, and checks that both agree.

The records are ``<board>/<data set>/<system>.json``. The ``README.md`` files are made from them.
"""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlbench.checkpoints.catalogue import known_cards
from tlbench.document import clean
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import BOARD_PAGE, BOARD_RECORD, read_outside, write_text_atomically
from tlbench.json_input import json_text
from tlbench.leaderboard.site.page import BOARDS, FRONT, MARK, site_pages
from tlbench.leaderboard.standings import Board, Entry, dataset_page, front_page, make_board
from tlbench.leaderboard.submission import Computed, Submission
from tlbench.leaderboard.submission_file import read_submission, submit, to_text
from tlbench.litter import remove_litter
from tlbench.owner import owned
from tlbench.scoring.breakdown import Breakdown, break_down, can_break_down
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result

PAGE = "README.md"


def add(
    result: Path,
    board: Path,
    *,
    name: str | None = None,
    paper: str | None = None,
    code: str | None = None,
    trained_with: Sequence[str] = (),
    replace: bool = False,
    take_over: bool = False,
) -> Path:
    """Add a result; further parameters as for :func:`tlbench.leaderboard.submission_file.submit`.

    Parameters
    ----------
    result : path
        ``result.json`` or its folder. ``records.jsonl`` in the same folder, if there, gives the counts of misread words
        and visemes.
    board : path
        The folder of leaderboards.
    replace : bool
        Replace a record of the same name.
    take_over : bool
        Take the board at once from another run that writes to it; see :func:`tlbench.owner.owned`.

    Returns
    -------
    path
        The path of the record.

    Raises
    ------
    TlbenchError
        If the result can't be added, the name is taken, or its clips differ from those of other records.
    """
    scored = load_result(result)
    made = submit(
        scored,
        known_cards(),
        name=name,
        paper=paper,
        code=code,
        trained_with=trained_with,
        breakdown=_breakdown(scored, (result if result.is_dir() else result.parent) / RECORDS_NAME),
    )
    file = board / made.dataset / f"{made.slug}.json"
    with owned(board, take_over=take_over):
        there = [] if not (board / made.dataset).is_dir() else read_dataset(board / made.dataset)
        others = [entry for entry in there if entry.file != file.name]
        text = to_text(made)
        if len(others) < len(there) and not replace and _read(file) != text:  # a killed run may have added it already
            raise TlbenchError(
                f"{file}: a record of that name exists; choose another name (--name), or --replace if it is yours"
            )
        _check_together([*others, Entry(file.name, made)], board / made.dataset)
        write_text_atomically(file, text)
    return file


def _breakdown(result: Result, records: Path) -> Breakdown | None:
    if not can_break_down(result) or not records.is_file():
        return None
    try:
        return break_down(read_records(records), result)
    except TlbenchError as error:
        line = str(error)
        named = line if line.startswith(str(records)) else f"{records}: {line}"
        raise TlbenchError(f"{named}; remove that file or replace it with the right one") from error


def build(board: Path, site: Path | None = None, *, take_over: bool = False) -> list[Path]:
    """Write the tables of all records, and the static site if a folder is given; ``take_over`` as for :func:`add`.

    Returns
    -------
    list of path
        The files that were written because they are new or changed, and those that were deleted.

    Raises
    ------
    TlbenchError
        On an invalid record, before anything is written; if ``site`` contains something other than a site.
    """
    if not board.is_dir():
        read_board(board)  # raises the error
    with owned(board, take_over=take_over):
        boards = _boards(board)
        made, strays = _tables(board, boards), _strays(board)
        if site is not None:
            drawn = {site / path: text for path, text in site_pages(boards).items()}
            drawn |= _records(board, boards, site)
            strays += _other_pages(site, drawn)
            made |= drawn
        changed = []
        for path, text in made.items():
            if _read(path) != text:
                write_text_atomically(path, text)
                changed.append(path)
        for path in strays:
            path.unlink()
            changed.append(path)
    return changed


def check(board: Path) -> list[Path]:
    """The files that a build would write or delete. Every record is checked too."""
    return [path for path, text in _tables(board, _boards(board)).items() if _read(path) != text] + _strays(board)


def _boards(board: Path) -> list[Board]:
    return [make_board(dataset, entries) for dataset, entries in read_board(board).items()]


def _tables(board: Path, boards: Sequence[Board]) -> dict[Path, str]:
    """The text of every page of tables by its path."""
    return {board / PAGE: front_page(boards)} | {board / one.dataset / PAGE: dataset_page(one) for one in boards}


def _records(board: Path, boards: Sequence[Board], site: Path) -> dict[Path, str]:
    """The records as they are, for download next to the pages of their systems."""
    places = [Path(one.dataset, entry.file) for one in boards for entry in one.entries]
    return {site / BOARDS / place: json_text(read_outside(board / place, BOARD_RECORD)) for place in places}


def _other_pages(site: Path, made: Mapping[Path, str]) -> list[Path]:
    """Pages of an older build that no longer exist. Raises TlbenchError if the folder has other files."""
    front = site / FRONT
    remove_litter(site)
    if not site.exists():
        return []
    if not site.is_dir() or (any(site.iterdir()) and MARK not in (_read(front) or "")):
        raise TlbenchError(f"--site {site}: is not a folder of an older site; name a new folder or an older site")
    pages = [
        path for path in sorted(site.glob(f"{BOARDS}/**/*.html")) if path not in made and MARK in (_read(path) or "")
    ]
    beside = [path.with_suffix(suffix) for path in pages for suffix in (".csv", ".json")]
    return pages + [path for path in beside if path.is_file() and path not in made]


def read_board(board: Path) -> Mapping[str, list[Entry]]:
    """Records by data set. Raises TlbenchError on the first invalid record, or if there is none."""
    if not board.is_dir():
        raise TlbenchError(f"{board}: no such folder; name the folder of leaderboards (--board)")
    folders = sorted(path for path in board.iterdir() if path.is_dir() and any(path.glob("*.json")))
    if not folders:
        raise TlbenchError(f"{board}: has no record; `tlbench leaderboard add` adds one")
    return {folder.name: read_dataset(folder) for folder in folders}


def read_dataset(folder: Path) -> list[Entry]:
    """The records of one data set, in the order of their files' names. Raises TlbenchError as :func:`read_board`."""
    cards = known_cards()
    entries = []
    for path in sorted(folder.glob("*.json")):
        submission = read_submission(path, cards)
        if submission.dataset != folder.name:
            raise TlbenchError(f"{path}: a record of data set {quoted(submission.dataset)}; move it to that folder")
        if path.stem != submission.slug:
            name = quoted(clean(submission.name))
            raise TlbenchError(f"{path}: the record of {name} must be in {submission.slug}.json")
        entries.append(Entry(path.name, submission))
    _check_together(entries, folder)
    return entries


def _check_together(entries: Sequence[Entry], folder: Path) -> None:
    """Raises TlbenchError if two names look equal, or one protocol was computed on different clips."""
    names: dict[tuple[type[Submission], str], str] = {}
    clips_of: dict[str, tuple[str, dict[str, str | None]]] = {}
    for entry in entries:
        submission = entry.submission
        key = type(submission), unicodedata.normalize("NFKC", submission.name).casefold()
        if key in names:
            raise TlbenchError(
                f"{folder / entry.file}: {folder / names[key]} has the name {quoted(clean(submission.name))} too; "
                "choose another (--name)"
            )
        names[key] = entry.file
        if not isinstance(submission, Computed):
            continue
        clips = {clip.id: clip.info.reference_sha256 for clip in submission.result.clips}
        for protocol in submission.result.protocols.values():
            file, theirs = clips_of.setdefault(protocol.id, (entry.file, clips))
            if clips != theirs:
                ids = sorted(clip for clip in {*clips, *theirs} if clips.get(clip) != theirs.get(clip))
                raise TlbenchError(
                    f"{folder / entry.file}: computed on other real videos than {folder / file}, such as clip "
                    f"{shortened(clean(ids[0]))}; score the data set as it was published"
                )


def _read(path: Path) -> str | None:
    """The text of a page; None if the file does not exist, is too large or is not UTF-8."""
    try:
        return read_outside(path, BOARD_PAGE).decode()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        if error.errno == errno.EFBIG:
            return None
        raise TlbenchError(f"{path}: can't be read ({error.strerror})") from error


def _strays(board: Path) -> list[Path]:
    """Pages of data sets without records."""
    return [path for path in sorted(board.glob(f"*/{PAGE}")) if not any(path.parent.glob("*.json"))]

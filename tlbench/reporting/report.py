"""Writes the page of a run or of two: reads results, records and videos, chooses clips, and writes the file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tlbench.arguments import AnyPath, AnyPaths, CountCallback, as_paths
from tlbench.comparison.compare import compare
from tlbench.document import counted
from tlbench.errors import ClipError, TlbenchError, quoted
from tlbench.files import JSON, read_outside, write_text_atomically
from tlbench.json_fields import entries_of
from tlbench.json_input import parse_json
from tlbench.preflight.check import SCHEMA as CHECK_SCHEMA
from tlbench.preflight.findings import Finding
from tlbench.reporting.contents import Opening, ReportRun, notable_clips, opening_clips, reading_metric
from tlbench.reporting.details import details_of
from tlbench.reporting.films import Film, draw_film
from tlbench.reporting.headline import CEILING, controls_near
from tlbench.reporting.page import render_page
from tlbench.reporting.pictures import Picture, RealVideos, Videos, draw
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.result_file import load_result

PAGE_NAME = "report.html"
PICTURES = 48  # clips with a strip: about 15 kB each
MOST_FINDINGS = 10**6  # of a check
LARGE_BYTES = 30 * 2**20  # above this size browsers are slow


def report(
    run: AnyPath,
    other: AnyPath | None = None,
    *,
    out: AnyPath | None = None,
    videos: AnyPaths = (),
    data_root: AnyPath | None = None,
    check: AnyPath | None = None,
    embed: bool = False,
    pictures: int = PICTURES,
    limit: int | None = None,
    progress: CountCallback | None = None,
) -> Path:
    """Write the page of a run, or of two runs side by side, and return its path. Needs no model.

    The page is about ``run``. If that is a control and ``other`` is a system, it is about ``other``: colours and signs
    say what is better or worse for the system.

    Parameters
    ----------
    run, other : path
        Run folders, or their ``result.json``. Texts and curves come from ``records.jsonl`` in the same folder. Without
        it the page has only numbers, and says so.
    out : path, optional
        ``report.html`` in the folder of the run if not given.
    videos : path, or sequence of path
        Folders of the scored videos of both runs. The folders of the runs, which contain controls, are searched too. A
        video is used only if its bytes are those that were scored. Real videos are also looked for here.
    data_root : path, optional
        The data set's folder, for the real videos of the clips that the page opens with; the folder set with
        ``tlbench data set`` if not given.
    check : path, optional
        A file with the output of ``tlbench check --json``; its findings are shown.
    embed : bool
        Include small previews of the videos of clips that have pictures.
    pictures : int
        Number of clips with pictures: the worst and best by each metric in turn; with ``other``, those that changed
        most.
    limit : int, optional
        Number of clips on the page, chosen in the same way; all if not given.
    progress : (done, total) -> None, optional
        Called after each video.

    Raises
    ------
    TlbenchError
        If a file is missing, was changed or has another schema version, or two runs have no clip in common.

    Warns
    -----
    UserWarning
        If the page is larger than 30 MB.
    """
    paths = [Path(run)] if other is None else [Path(run), Path(other)]
    results = [load_result(path) for path in paths]
    folders = [_folder(path) for path in paths]
    page = Path(out) if out is not None else folders[0] / PAGE_NAME
    _check_page(page)
    if [result.role for result in results] == ["control", "system"]:
        results, folders = results[::-1], folders[::-1]
    comparison = compare(*results) if len(results) == 2 else None
    findings = None if check is None else read_findings(Path(check))
    second = results[1] if len(results) == 2 else None
    shown = None if limit is None else notable_clips(results[0], second, limit)
    chosen = notable_clips(results[0], second, pictures)
    if shown is not None:
        chosen = [clip_id for clip_id in chosen if clip_id in set(shown)]
    reading = reading_metric(results[0])
    opening = {} if reading is None or not pictures else opening_clips(results[0], reading, shown or results[0].by_id)
    chosen = list(dict.fromkeys([*opening.values(), *chosen]))
    controls, unread = controls_near(folders[0], results[0])

    steps = _Steps(len(results) * len(chosen) + len(opening), progress)
    given = as_paths(videos)
    finders = [
        Videos([*given, folder], [clip.id for clip in result.clips])
        for result, folder in zip(results, folders, strict=True)
    ]
    sides = [
        _report_run(result, folder, finder, chosen, page.parent, embed, steps)
        for result, folder, finder in zip(results, folders, finders, strict=True)
    ]
    real = RealVideos(results[0], given, None if data_root is None else Path(data_root)) if opening else None
    films = {}
    for clip_id in opening.values():
        if real is not None:
            films[clip_id] = _film(clip_id, results, finders, real)
        steps.next()
    opened = None if reading is None else Opening(reading, opening, films, "" if real is None else real.missing)
    text = render_page(
        sides, comparison, opening=opened, controls=controls, unread=unread, shown=shown, findings=findings
    )
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LARGE_BYTES:
        warnings.warn(
            f"{page}: {size / 2**20:.0f} MB, which browsers open slowly; pass a smaller --limit or --pictures",
            stacklevel=2,
        )
    write_text_atomically(page, text)
    return page


class _Steps:
    """Counts the videos of all runs for the progress callback."""

    def __init__(self, total: int, progress: CountCallback | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0

    def next(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _report_run(
    result: Result,
    folder: Path,
    finder: Videos,
    chosen: Sequence[str],
    page_folder: Path,
    embed: bool,
    steps: _Steps,
) -> ReportRun:
    """One run for the page: the details of its records, if there are any, and pictures of the chosen clips."""
    missing: list[str] = []
    records = folder / RECORDS_NAME
    details = {}
    if records.is_file():
        try:
            details = details_of(read_records(records), result)
        except TlbenchError as error:
            raise TlbenchError(_naming(records, str(error))) from error
    else:
        missing.append(
            f"No texts and no curves: there is no {RECORDS_NAME} next to {FILE_NAME}. Copy it there from the folder of "
            "the run, or score again (the evidence is in the cache)"
        )
    drawn: dict[str, Picture] = {}
    for clip_id in chosen:
        if clip_id in result.by_id:
            drawn[clip_id] = _picture(finder, result, clip_id, page_folder, embed)
        steps.next()
    without = sum(not picture.strip for picture in drawn.values())
    if without:
        missing.append(
            f"No pictures of {without} of the {counted(len(drawn), 'clip')} that should have some; pass the "
            "folder of the "
            "videos that were scored with --videos"
        )
    return ReportRun(result, details, drawn, tuple(missing))


def _film(clip_id: str, results: Sequence[Result], finders: Sequence[Videos], real: RealVideos) -> Film | str:
    """The real video and those of the runs side by side; a line instead if there is no video of the first run."""
    found: list[tuple[str, Path]] = []
    reference = real.find(clip_id)
    if reference is not None:
        found.append(("real video", reference))
    for result, finder in zip(results, finders, strict=True):
        if clip_id not in result.by_id or (result.name == CEILING and reference is not None):
            continue
        try:
            found.append((result.name, finder.find(clip_id, result.by_id[clip_id].info.generated_sha256)))
        except ClipError as error:
            if result is results[0]:
                return error.message
    try:
        return draw_film([path for _, path in found], [name for name, _ in found])
    except ClipError as error:
        return error.message


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _check_page(page: Path) -> None:
    """Raises TlbenchError unless the page can be a new HTML file."""
    if page.is_dir():
        raise TlbenchError(f"--out {page} is a folder; name a file, such as {page / PAGE_NAME}")
    if page.suffix.lower() not in (".html", ".htm"):
        raise TlbenchError(f"--out {page}: a report is a web page; name it {page.stem or 'report'}.html")


def _naming(path: Path, line: str) -> str:
    """An error message that begins with the file."""
    return line if line.startswith(str(path)) else f"{path}: {line}"


def _picture(finder: Videos, result: Result, clip_id: str, page_folder: Path, embed: bool) -> Picture:
    try:
        path = finder.find(clip_id, result.by_id[clip_id].info.generated_sha256)
    except ClipError as error:
        return Picture(caption=error.message)
    return draw(path, _link(path, page_folder), embed=embed)


def _link(path: Path, page_folder: Path) -> str:
    """The relative address of a file from the page; "" if there is none, as on another drive."""
    try:
        relative = os.path.relpath(path.resolve(), page_folder.resolve())
    except ValueError:
        return ""
    return "./" + quote(relative.replace(os.sep, "/"))  # "./", so that a name with a colon is not taken for a scheme


def read_findings(path: Path) -> list[Finding]:
    """The findings in the output of ``tlbench check --json``. Raises TlbenchError if the file is something else."""
    try:
        data = parse_json(read_outside(path, JSON))
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror}); `tlbench check --json` prints it") from error
    except ValueError as error:
        raise TlbenchError(f"{path}: not a JSON file ({error}); `tlbench check --json` prints it") from error
    if not isinstance(data, dict) or data.get("schema") != CHECK_SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise TlbenchError(
            f"{path}: not a check of this tlbench (schema {quoted(found)}, not {CHECK_SCHEMA!r}); "
            "run `tlbench check --json`"
        )
    try:
        return [Finding.from_json(item) for item in entries_of(data["findings"], "findings", most=MOST_FINDINGS)]
    except (KeyError, TypeError, ValueError) as error:
        raise TlbenchError(f"{path}: a damaged check ({error}); run `tlbench check --json` again") from error

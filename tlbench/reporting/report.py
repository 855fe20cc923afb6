"""A run, or two, as a page: what is read, which clips are shown in pictures, and the file that is written."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tlbench.arguments import AnyPath, AnyPaths, CountCallback, as_paths
from tlbench.comparison.compare import compare
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import write_text_atomically
from tlbench.preflight.check import SCHEMA as CHECK_SCHEMA
from tlbench.preflight.findings import Finding
from tlbench.reporting.contents import ReportRun, notable_clips
from tlbench.reporting.details import details_of
from tlbench.reporting.page import render_page
from tlbench.reporting.pictures import Picture, Videos, draw
from tlbench.scoring.record import read_records
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.score import RECORDS_NAME

PAGE_NAME = "report.html"
PICTURES = 48  # clips with a strip: about 15 kB each
LARGE_BYTES = 30 * 2**20  # what a browser still opens without a thought


def report(
    run: AnyPath,
    other: AnyPath | None = None,
    *,
    out: AnyPath | None = None,
    videos: AnyPaths = (),
    check: AnyPath | None = None,
    embed: bool = False,
    pictures: int = PICTURES,
    limit: int | None = None,
    progress: CountCallback | None = None,
) -> Path:
    """Write the page of a run, or of two side by side, and return its path. No model is loaded.

    Parameters
    ----------
    run, other : path
        Run folders, or their ``result.json``. Texts and curves come from the ``records.jsonl`` beside it; without that
        the page has numbers alone, and says so.
    out : path, optional
        ``report.html`` in the run's folder if not given.
    videos : path, or sequence of path
        Folders of the videos that were scored, of both runs, and the run's own folder besides (controls lie there). A
        video is used only if its bytes are those that were scored.
    check : path, optional
        What ``tlbench check --json`` printed: its findings are shown.
    embed : bool
        Put small previews of the videos into the page, of the clips that have pictures.
    pictures : int
        How many clips are shown in pictures: the worst and best by each metric in turn, with ``other`` those that
        changed most.
    limit : int, optional
        How many clips the page holds at all, chosen in the same way; all of them if not given.
    progress : (done, total) -> None, optional
        Called after each video.

    Raises
    ------
    TlbenchError
        One line: no such file, another schema version, a file that was changed, two runs without a clip in common.

    Warns
    -----
    UserWarning
        If the page is larger than 30 MB.
    """
    paths = [Path(run)] if other is None else [Path(run), Path(other)]
    results = [load_result(path) for path in paths]
    comparison = compare(*results) if len(results) == 2 else None
    findings = None if check is None else read_findings(Path(check))
    beside = results[1] if len(results) == 2 else None
    shown = None if limit is None else notable_clips(results[0], beside, limit)
    chosen = notable_clips(results[0], beside, pictures)
    if shown is not None:
        chosen = [clip_id for clip_id in chosen if clip_id in set(shown)]
    folders = [_folder(path) for path in paths]
    page = Path(out) if out is not None else folders[0] / PAGE_NAME
    _check_page(page, paths)

    total, done = len(results) * len(chosen), 0
    sides = []
    for result, folder in zip(results, folders, strict=True):
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
                f"No texts and no curves: there is no {RECORDS_NAME} beside {FILE_NAME}. Copy it there from the run's "
                "folder, or score again (what was observed is in the cache)"
            )
        finder = Videos([*as_paths(videos), folder], [clip.id for clip in result.clips])
        drawn: dict[str, Picture] = {}
        for clip_id in chosen:
            if clip_id in result.by_id:
                drawn[clip_id] = _picture(finder, result, clip_id, page.parent, embed)
            done += 1
            if progress is not None:
                progress(done, total)
        without = sum(not picture.strip for picture in drawn.values())
        if without:
            missing.append(
                f"No pictures of {without} of the {len(drawn)} clips that should have some; pass the folder of the "
                "videos that were scored with --videos"
            )
        sides.append(ReportRun(result, details, drawn, tuple(missing)))
    text = render_page(sides, comparison, shown=shown, findings=findings)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LARGE_BYTES:
        warnings.warn(
            f"{page}: {size / 2**20:.0f} MB, which browsers open slowly; pass a smaller --limit or --pictures",
            stacklevel=2,
        )
    write_text_atomically(page, text)
    return page


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _check_page(page: Path, runs: Sequence[Path]) -> None:
    """Raises TlbenchError if writing the page would destroy what it is made of, or is a folder."""
    if page.is_dir():
        raise TlbenchError(f"--out {page} is a folder; name a file, such as {page / PAGE_NAME}")
    if page.suffix.lower() not in (".html", ".htm"):
        raise TlbenchError(f"--out {page}: a report is a web page; name it {page.stem or 'report'}.html")


def _naming(path: Path, line: str) -> str:
    """Errors of reading name file and line already; those of comparing do not."""
    return line if line.startswith(str(path)) else f"{path}: {line}"


def _picture(finder: Videos, result: Result, clip_id: str, beside: Path, embed: bool) -> Picture:
    try:
        path = finder.find(result.by_id[clip_id])
    except ClipError as error:
        return Picture(caption=error.message)
    return draw(path, _link(path, beside), embed=embed)


def _link(path: Path, beside: Path) -> str:
    """From the page to a file, as a relative address; "" where there is none (another drive)."""
    try:
        relative = os.path.relpath(path.resolve(), beside.resolve())
    except ValueError:
        return ""
    return "./" + quote(relative.replace(os.sep, "/"))  # "./": a name with a colon in it is no scheme


def read_findings(path: Path) -> list[Finding]:
    """The findings of ``tlbench check --json``. Raises TlbenchError if the file is something else."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror}); `tlbench check --json` prints it") from error
    except (ValueError, RecursionError) as error:
        raise TlbenchError(f"{path}: not a JSON file ({error}); `tlbench check --json` prints it") from error
    if not isinstance(data, dict) or data.get("schema") != CHECK_SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise TlbenchError(
            f"{path}: not a check of this tlbench (schema {found!r:.60}, not {CHECK_SCHEMA!r}); "
            "run `tlbench check --json`"
        )
    try:
        return [Finding.from_json(item) for item in data["findings"]]
    except (KeyError, TypeError, ValueError) as error:
        raise TlbenchError(f"{path}: a damaged check ({error}); run `tlbench check --json` again") from error

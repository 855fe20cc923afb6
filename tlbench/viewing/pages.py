"""The pages of runs and comparisons: made when they are asked for, and kept until the server ends."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.files import REPORT, read_outside
from tlbench.reporting.report import PAGE_NAME, report
from tlbench.scoring.result import FILE_NAME


class Pages:
    """Pages as texts.

    Parameters
    ----------
    folder : Path
        Where they are written; nothing is written to the folders of runs.
    videos : sequence of Path
        Folders of scored videos, for pictures.
    """

    def __init__(self, folder: Path, videos: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._videos = videos
        self._lock = threading.Lock()  # one page is made at a time

    def page(self, run: Path, other: Path | None = None) -> bytes:
        """The page of a run, or of two side by side.

        A page that `tlbench report` wrote to the run's folder after its result is taken as it is.

        Raises
        ------
        TlbenchError
            If it can't be made; one line.
        """
        if other is None:
            written = _written_page(run)
            if written is not None:
                return written
        of = [run] if other is None else [run, other]
        with self._lock:
            try:
                times = [(path / FILE_NAME).stat().st_mtime_ns for path in of]
            except OSError as error:
                raise TlbenchError(f"{run.name}: its result is gone ({error.strerror}); score it again") from error
            name = hashlib.sha256(repr((list(map(str, of)), times)).encode()).hexdigest()[:32]
            page = self._folder / f"{name}.html"
            if not page.exists():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # a page of more than 30 MB; the browser is near
                    report(run, other, out=page, videos=self._videos)
            return read_outside(page, REPORT)


def _written_page(run: Path) -> bytes | None:
    """The page that is in a run's folder, if it is newer than the result."""
    page = run / PAGE_NAME
    try:
        if page.is_symlink() or page.stat().st_mtime_ns < (run / FILE_NAME).stat().st_mtime_ns:
            return None
        return read_outside(page, REPORT)
    except OSError:
        return None

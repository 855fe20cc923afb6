"""Serves the pages of ``tlbench view`` on this machine alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tlbench.errors import TlbenchError
from tlbench.serving.listening import listening
from tlbench.viewing.pages import Pages
from tlbench.viewing.runs import Runs

HOST = "127.0.0.1"
PORT = 8010
THREADS = 4


def serve_runs(folder: Path, port: int = PORT, *, videos: Sequence[Path] = (), ready: Callable[[str], None]) -> None:
    """Serve the runs below a folder until a signal is raised, such as KeyboardInterrupt, which is passed on.

    Nothing is written to the folder.

    Parameters
    ----------
    folder : Path
        Of results, such as ``tlbench-results``.
    port : int
        0 takes a free one.
    videos : sequence of Path
        Folders of scored videos, for the pictures of reports.
    ready : str -> None
        Called with the address when the server listens.

    Raises
    ------
    TlbenchError
        If the folder does not exist, the extra ``view`` is not installed, or the port is in use.
    """
    try:
        from tlbench.serving.server import make_server
        from tlbench.viewing.site import make_site
    except ModuleNotFoundError as error:
        if error.name not in ("flask", "waitress"):
            raise
        raise TlbenchError(f"the page of runs needs {error.name}; install it: pip install 'tlbench[view]'") from error
    for place in (folder, *videos):
        if not place.is_dir():
            raise TlbenchError(f"{place}: there is no such folder; `tlbench score` writes tlbench-results")
    with TemporaryDirectory(prefix="tlbench-view-") as made, listening(HOST, port) as listener:
        site = make_site(Runs(folder.resolve()), Pages(Path(made), videos))
        server = make_server(site, listener, threads=THREADS)
        ready(f"http://{HOST}:{listener.getsockname()[1]}/")
        server.run()

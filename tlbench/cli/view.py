"""``tlbench view``: runs in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from tlbench.cli.lines import say
from tlbench.cli.options import PATH, WholeNumber
from tlbench.cli.signals import until_ctrl_c


@click.command()
@click.argument("results", type=PATH, default=Path("tlbench-results"))
@click.option(
    "--port", type=WholeNumber(0, 65535), default=8010, show_default=True, metavar="N", help="0 takes a free port."
)
@click.option(
    "--videos",
    type=PATH,
    multiple=True,
    metavar="FOLDER",
    help="Folder of scored videos, for the pictures of reports; may be given several times.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def command(results: Path, port: int, videos: tuple[Path, ...], open_page: bool) -> None:
    """Serve a page that lists the runs in RESULTS, until Ctrl-C.

    It shows the progress of those that run now, and opens reports and comparisons. Only this machine reaches it, and
    nothing is written to RESULTS. Needs the extra 'view'.
    """
    from tlbench.viewing.server import serve_runs

    def ready(address: str) -> None:
        say(f"the runs in {results} are at {address} (Ctrl-C stops it)")
        if open_page:
            webbrowser.open(address)

    with until_ctrl_c():
        serve_runs(results, port, videos=videos, ready=ready)

"""The pages of ``tlbench view`` as a WSGI application, for people at this machine.

* Only loopback host names are answered (DNS rebinding), and only reading is offered: nothing can be changed.
* A run is found by its id in the list of runs that were found; no path is made from a request.
* The list runs and loads nothing but its own style and script. A report, which may come from anybody, is shown in a
  sandbox: an origin of its own, without forms, other windows, and everything that it does not contain.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, SecurityError

from tlbench.errors import TlbenchError
from tlbench.html_pages import visible
from tlbench.viewing.pages import Pages
from tlbench.viewing.runs import Runs, RunState, moment

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
STATES = {
    "running": "running",
    "waiting": "waiting",
    "stopped": "stopped",
    "shards": "in shards",
    "complete": "complete",
    "incomplete": "not complete",
    "damaged": "can't be read",
}

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OF_REPORTS = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MESSAGES = {404: "There is no such page, or the run is gone.", 405: "There is no such page."}


def make_site(runs: Runs, pages: Pages) -> Flask:
    """The list of runs, their states as JSON, reports and comparisons."""
    site = Flask(__name__)
    site.config.update(TRUSTED_HOSTS=list(LOOPBACK), MAX_CONTENT_LENGTH=0, SEND_FILE_MAX_AGE_DEFAULT=0)
    site.jinja_options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "finalize": visible}

    @site.get("/")
    def listing() -> str:
        states = runs.states()
        return render_template(
            "runs.html",
            folder=str(runs.folder),
            systems=[_shown(run) for run in states if run.role == "system"],
            controls=[_shown(run) for run in states if run.role != "system"],
            comparable=_by_place(states),
        )

    @site.get("/runs.json")
    def states() -> Response:
        return jsonify([{"id": run.id, "state": run.state, "shown": _shown(run)} for run in runs.states()])

    @site.get("/report")
    def of_run() -> Response:
        path = runs.path_of(request.args.get("run", ""))
        return _page(pages.page(abort(404) if path is None else path))

    @site.get("/compare")
    def of_two() -> Response:
        a, b = (runs.path_of(request.args.get(side, "")) for side in ("a", "b"))
        if a is None or b is None:
            abort(404)
        if a == b:
            raise TlbenchError(f"{a.name} can't be compared with itself; choose two runs")
        return _page(pages.page(a, b))

    @site.after_request
    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @site.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int] | HTTPException:
        if isinstance(error, SecurityError):  # an unknown host name
            return "This address is not the page's.", 400
        status = error.code or 500
        if status < 400:
            return error
        return render_template("message.html", message=_MESSAGES.get(status, "Something went wrong.")), status

    @site.errorhandler(TlbenchError)
    def told(error: TlbenchError) -> tuple[str, int]:
        return render_template("message.html", message=str(error)), 422

    return site


def _page(content: bytes) -> Response:
    response = Response(content, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _OF_REPORTS
    return response


def _shown(run: RunState) -> dict[str, Any]:
    """What the list shows of a run; the script gets the same."""
    return {
        "id": run.id,
        "name": run.name,
        "place": run.place,
        "state": run.state,
        "label": STATES[run.state],
        "told": run.told,
        "done": run.done,
        "total": run.total,
        "active": run.state in ("running", "waiting", "shards"),
        "numbers": list(run.numbers),
        "changed": moment(run.changed),
        "has_page": run.has_page,
    }


def _by_place(states: list[RunState]) -> dict[str, list[RunState]]:
    """Runs that can be compared, by data set, if it has two or more."""
    found: dict[str, list[RunState]] = {}
    for run in sorted(states, key=lambda run: run.role != "system"):
        if run.has_page:
            found.setdefault(run.place, []).append(run)
    return {place: of for place, of in found.items() if len(of) > 1}

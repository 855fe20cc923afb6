"""The pages that participants see: plain forms, which also work without JavaScript. With it, keys give answers.

The browser of a participant gets random names of videos, the words to choose from and the participant's own answers,
but never the name of a method, clip or file.

Security:

* The code is the only login. It is kept in a cookie that scripts can't read and other sites can't send.
* Forms are accepted from the study's own pages only (Origin, Sec-Fetch-Site).
* On a loopback address only loopback host names are answered (DNS rebinding). Bodies are small.
* A video is found by its name in the participant's plan; no path is made from a request.
* Jinja escapes all text, and the content security policy lets pages run and load nothing of other sites.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, render_template, request, send_file, url_for
from werkzeug.exceptions import HTTPException, SecurityError

from tlbench.metrics.opinion import HIGHEST, LOWEST
from tlbench.study.new_study import VIDEOS
from tlbench.study.store import MAX_REPLY, RATED, Store, StudyStep

COOKIE = "participant"
COOKIE_SECONDS = 30 * 24 * 3600
MAX_BODY = 16 * 1024  # bytes; the longest answer takes a tenth
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

# The questions, and the names of the five grades from ITU-R BT.500.
GRADES = ("bad", "poor", "fair", "good", "excellent")
QUESTIONS = {
    "quality": ("Visual quality", "How sharp and clean is the picture, the mouth above all?"),
    "sync": ("Sync", "How well do the lips move together with the speech?"),
    "realness": ("Realness", "How much does it look like a real recording of a person speaking?"),
}
READABILITY = ("Readability", "Now that you know the words: how well can they be read from the lips?")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; media-src 'self'; "
    "img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send forms with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "X-Robots-Tag": "noindex",
}
_MESSAGES = {
    400: "That answer could not be understood. Please go back to the page you were on.",
    403: "That request did not come from a page of this study.",
    404: "There is no such page.",
    405: "There is no such page.",
    413: "That was too long.",
}


def make_site(store: Store, hosts: Sequence[str] | None = LOOPBACK) -> Flask:
    """The study as a WSGI application.

    Parameters
    ----------
    store : Store
    hosts : sequence of str, or None
        Host names that are answered, without the port; None for any.
    """
    site = Flask(__name__)
    site.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_PARTS=20,
        TRUSTED_HOSTS=None if hosts is None else list(hosts),
        SEND_FILE_MAX_AGE_DEFAULT=0,
    )
    site.jinja_options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}
    _add_guards(site, store)
    _add_error_pages(site)
    _add_login(site, store)
    _add_trials(site, store)
    return site


def _add_guards(site: Flask, store: Store) -> None:
    """Refuses forms of other sites, finds the participant of a request, and adds the security headers."""

    @site.before_request
    def find_participant() -> None:
        if request.method == "POST" and not _same_origin():
            abort(403)
        code = request.cookies.get(COOKIE)
        g.participant = store.participant(code) if code else None

    @site.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response


def _add_error_pages(site: Flask) -> None:
    @site.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int] | HTTPException:
        if isinstance(error, SecurityError):  # an unknown host name: the links of a page would contain it
            return "This address is not the study's.", 400
        status = error.code or 500
        if status < 400:
            return error
        return render_template("message.html", message=_MESSAGES.get(status, "Something went wrong.")), status

    @site.errorhandler(sqlite3.Error)
    def not_stored(error: sqlite3.Error) -> tuple[str, int]:
        site.logger.error("the database refused: %s", error)
        return render_template("message.html", message="Your answer could not be saved. Please try again."), 503


def _add_login(site: Flask, store: Store) -> None:
    """The welcome page, entering with a code, and leaving."""

    @site.get("/")
    def welcome() -> str:
        if g.participant is None:
            return render_template("enter.html", wrong=False)
        done, total = store.progress(g.participant)
        return render_template("welcome.html", done=done, total=total, grades=GRADES, reads=store.reads)

    @site.post("/enter")
    def enter() -> Response | str:
        code = "".join(request.form.get("code", "")[:100].upper().replace("-", "").split())
        if store.participant(code) is None:
            return render_template("enter.html", wrong=True)
        response = _go("welcome")
        response.set_cookie(COOKIE, code, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict", path="/")
        return response

    @site.post("/leave")
    def leave() -> Response:
        response = _go("welcome")
        response.delete_cookie(COOKIE, httponly=True, samesite="Strict", path="/")
        return response


def _add_trials(site: Flask, store: Store) -> None:
    """The page of a video, its answer, and the video itself."""

    @site.get("/next")
    def trial() -> str | Response:
        if g.participant is None:
            return _go("welcome")
        step = store.step(g.participant)
        if step is None:
            return render_template("finished.html")
        return _page(step)

    @site.post("/answer")
    def answer() -> Response:
        if g.participant is None:
            return _go("welcome")
        position = request.form.get("position", type=int)
        if position is None:
            abort(400)
        _store_answer(store, g.participant, position, request.form.get("ask", ""))
        return _go("trial")

    @site.get("/video/<name>")
    def video(name: str) -> Response:
        if g.participant is None or not store.may_see(g.participant, name):
            abort(404)
        path = store.folder / VIDEOS / f"{name}.mp4"  # safe: the name was found in the plan
        if not path.is_file():
            site.logger.error("the video %s of the study is missing", name)
            abort(404)
        return send_file(path.absolute(), mimetype="video/mp4", conditional=True, etag=name, last_modified=None)


def _go(endpoint: str) -> Response:
    """A redirect to a page by GET (303)."""
    response = redirect(url_for(endpoint), 303)
    assert isinstance(response, Response)
    return response


def _same_origin() -> bool:
    """Whether a page of the study sent a form. A client that sends neither header is no browser and has no cookie."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _page(step: StudyStep) -> str:
    grades = list(enumerate(GRADES, start=LOWEST))
    if step.ask == "read":
        return render_template("read.html", step=step, longest=MAX_REPLY)
    questions = QUESTIONS if step.ask == "rate" else {"readability": READABILITY}
    return render_template("rate.html", step=step, questions=questions, grades=grades)


def _store_answer(store: Store, participant: int, position: int, ask: str) -> None:
    """Store an answer. One that was given before (a second click, the back button) changes nothing."""
    if ask == "rate":
        store.rate(participant, position, {scale: _score(scale) for scale in RATED})
    elif ask == "readability":
        store.rate_readability(participant, position, _score("readability"))
    elif ask == "read":
        reply = "" if "nothing" in request.form else request.form.get("reply", "").strip()
        if len(reply) > MAX_REPLY or not (reply or "nothing" in request.form):
            abort(400)
        try:
            store.reply(participant, position, " ".join(reply.split()))
        except ValueError:
            abort(400)
    else:
        abort(400)


def _score(scale: str) -> int:
    score = request.form.get(scale, type=int)
    if score is None or not LOWEST <= score <= HIGHEST:
        abort(400)
    return score

"""The pages that participants see: plain forms, which also work without JavaScript. With it, keys give answers.

The browser of a participant gets random names of videos, the words to choose from and the participant's own answers,
but never the name of a method, clip or file.

Security:

* The code is the only login. It is kept in a cookie that scripts can't read and other sites can't send. A network that
  sends many wrong ones, in the form or the cookie, has to wait (``guesses.py``).
* Forms are accepted from the study's own pages only (Origin, Sec-Fetch-Site).
* On a loopback address only loopback host names are answered (DNS rebinding). Bodies are small.
* A video is found by its name in the participant's plan; no path is made from a request.
* A form has each of its fields once, in plain digits where they are numbers; another is refused.
* Jinja escapes all text, and the content security policy lets pages run and load nothing of other sites.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable, SecurityError

from tlbench.errors import TlbenchError
from tlbench.html_pages import visible
from tlbench.metrics.opinion import HIGHEST, LOWEST
from tlbench.serving.addresses import network
from tlbench.study.database import MAX_REPLY
from tlbench.study.file_part import send_part
from tlbench.study.guesses import Guesses
from tlbench.study.served_videos import ServedVideos
from tlbench.study.store import RATED, Store, StudyStep

COOKIE = "participant"
COOKIE_SECONDS = 30 * 24 * 3600
MAX_BODY = 16 * 1024  # bytes; the longest answer takes a tenth
MAX_CODE = 100  # characters, with what people type between its letters
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
    416: "The video has no such part.",
    429: "There were too many wrong codes from your network. Please wait a minute and try again.",
    503: "The study can't be reached at the moment. What you answered before is kept. Please try again in a minute.",
}


def make_site(store: Store, hosts: Sequence[str] | None = LOOPBACK) -> Flask:
    """The study as a WSGI application.

    Parameters
    ----------
    store : Store
    hosts : sequence of str, or None
        Host names that are answered, without the port; None for any.

    Raises
    ------
    TlbenchError
        If a video is missing or is not the one that was made.
    """
    videos = ServedVideos(store.folder, store.video_names())
    site = Flask(__name__)
    site.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_PARTS=20,
        TRUSTED_HOSTS=None if hosts is None else list(hosts),
        SEND_FILE_MAX_AGE_DEFAULT=0,
    )
    site.jinja_options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "finalize": visible}
    guesses = Guesses()
    _add_guards(site, store, guesses)
    _add_error_pages(site)
    _add_login(site, store, guesses)
    _add_trials(site, store)
    _add_videos(site, store, videos)
    return site


def _add_guards(site: Flask, store: Store, guesses: Guesses) -> None:
    """Refuses forms of other sites, finds the participant of a request, and adds the security headers."""

    @site.before_request
    def find_participant() -> None:
        if isinstance(request.routing_exception, SecurityError):  # an unknown host name has no code to guess
            raise request.routing_exception
        if request.method == "POST" and not _same_origin():
            abort(403)
        code = request.cookies.get(COOKIE)
        g.participant = _participant(store, guesses, code) if code else None

    @site.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response


def _add_error_pages(site: Flask) -> None:
    @site.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int] | tuple[str, int, dict[str, str]] | HTTPException:
        if isinstance(error, SecurityError):  # an unknown host name: the links of a page would contain it
            return "This address is not the study's.", 400
        status = error.code or 500
        if status < 400:
            return error
        page = render_template("message.html", message=_MESSAGES.get(status, "Something went wrong."))
        if isinstance(error, RequestedRangeNotSatisfiable):
            return page, status, {"Content-Range": f"bytes */{error.length}"}
        return page, status

    @site.errorhandler(TlbenchError)
    def not_stored(error: TlbenchError) -> tuple[str, int]:
        site.logger.error("%s", error)
        return render_template("message.html", message=_MESSAGES[503]), 503


def _add_login(site: Flask, store: Store, guesses: Guesses) -> None:
    """The welcome page, entering with a code, and leaving."""

    @site.get("/")
    def welcome() -> str:
        if g.participant is None:
            return render_template("enter.html", wrong=False)
        done, total = store.progress(g.participant)
        return render_template("welcome.html", done=done, total=total, grades=GRADES, reads=store.reads)

    @site.post("/enter")
    def enter() -> Response | str:
        code = "".join(_field("code").upper().replace("-", "").split())
        if _participant(store, guesses, code) is None:
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
        _store_answer(store, g.participant, _number("position"), _field("ask"))
        return _go("trial")


def _add_videos(site: Flask, store: Store, videos: ServedVideos) -> None:
    """The videos themselves. No path is made from a request: the name was found in the plan."""

    @site.get("/video/<name>")
    def video(name: str) -> Response:
        if g.participant is None or not store.may_see(g.participant, name):
            abort(404)
        file = videos.open(name)
        if file is None:
            site.logger.error("the video %s of the study is missing, or is not the one that was there", name)
            abort(404)
        return send_part(file, name, request.environ)


def _participant(store: Store, guesses: Guesses, code: str) -> int | None:
    """Whose code it is; None for a wrong one. Ends the request with 429 if there were too many of them."""
    if len(code) > MAX_CODE:
        return None
    whose = network(request.remote_addr or "")
    if not guesses.may_try(whose, code):
        abort(429)
    found = store.participant(code)
    guesses.count(whose, code, found is not None)
    return found


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
    return origin is None or origin.partition("://")[2] == request.host


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
        nothing = "nothing" in request.form
        reply = "" if nothing else " ".join(unicodedata.normalize("NFC", _field("reply")).split())
        if len(reply) > MAX_REPLY or not (reply or nothing) or any(unicodedata.category(c) == "Cc" for c in reply):
            abort(400)
        try:
            store.reply(participant, position, reply)
        except ValueError:
            abort(400)
    else:
        abort(400)


def _score(scale: str) -> int:
    score = _number(scale)
    if not LOWEST <= score <= HIGHEST:
        abort(400)
    return score


def _number(name: str) -> int:
    """A whole number from a form, in ASCII digits: ``int`` takes signs, underscores and other scripts too."""
    text = _field(name)
    if not re.fullmatch("[0-9]{1,6}", text):
        abort(400)
    return int(text)


def _field(name: str) -> str:
    """The field of a form. One that is missing or there twice has no meaning, and ends the request with 400."""
    values = request.form.getlist(name)
    if len(values) != 1:
        abort(400)
    return values[0]

"""Visits to a study: odd requests, crowds, kills, full disks, damaged studies; what became of each."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.trouble.media_cases import Verdict
from tests.trouble.served_study import Visitor, kept, make, served
from tests.trouble.visit_crowds import CROWDS, crowd, welcome
from tests.trouble.visit_damage import behind_a_proxy, flipped_studies, timeouts
from tests.trouble.visit_ends import damaged_studies, ends, troubled_disks
from tests.trouble.visit_people import cookies, forms, guesses, orders, replies
from tests.trouble.visit_requests import Scene, Visit, mutated, paths, ranges, raw_requests


def visits(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """All kinds of visit. Of requests with changed bytes there are ``cases``, of studies with flipped bits a tenth."""
    codes = make(folder)
    yield from served_visits(folder, codes, mutated(cases, seed))
    for which in CROWDS:
        copy = _copy(folder)
        with served(copy) as server, crowd(which, server, codes[0], seed):
            shown = [welcome(server, code) for code in codes[1:4]]
            why = next((found.fell_short for found in shown if found.fell_short), "")
        yield _verdict("visit: crowd", which.__name__.replace("_", " "), why)
    flipped = flipped_studies(codes, max(1, cases // 10), seed)
    waiting = (*behind_a_proxy(codes), *timeouts(codes[0]))
    for case in (*ends(codes, seed), *troubled_disks(codes), *damaged_studies(seed), *flipped, *waiting):
        yield _verdict(case.kind, case.name, case.try_it(_copy(folder)), case.end)


def served_visits(folder: Path, codes: tuple[str, ...], more: Iterable[Visit] = ()) -> Iterator[Verdict]:
    """The visits that one server can take one after another, in the study that ``made`` has written to ``folder``."""
    copy = _copy(folder)
    with served(copy) as server:
        visitor, other = Visitor(server, codes[0]), Visitor(server, codes[1])
        scene = Scene(copy, server, visitor, other, visitor.step()[1])
        tries = (raw_requests(), paths(), ranges(), forms(), cookies(), replies(), orders(), more, guesses())
        for visit in (visit for kind in tries for visit in kind):
            yield _verdict(visit.kind, visit.name, _fell_short(visit, scene))
        yield _verdict("visit: server", "said no traceback", _complaint(server.errors()))


def _fell_short(visit: Visit, scene: Scene) -> str:
    """Why a visit fell short: by itself, because something was kept, or because the next visitor is not served."""
    may_keep = visit.kind in ("visit: order", "visit: reply")
    before = kept(scene.folder)
    try:
        why = visit.ends(scene)
        if not why and not may_keep and kept(scene.folder) != before:
            why = "something was kept as an answer"
        if not why and scene.server.ask(b"GET /static/study.css HTTP/1.1\r\nHost: localhost\r\n\r\n").status not in (
            200,
            308,
        ):
            why = "the next visitor is not served"
    except TimeoutError:
        why = "hangs"
    except OSError as error:
        why = f"the connection: {error}"
    return why


def _complaint(errors: str) -> str:
    return next((line for line in errors.splitlines() if "Traceback" in line or "uncaptured" in line), "")


def _copy(folder: Path) -> Path:
    """A study of one's own; the one before is removed."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "study", copy)
    return copy


def _verdict(kind: str, name: str, why: str, end: str = "right") -> Verdict:
    return Verdict(kind, name, "fell short" if why else end, why)

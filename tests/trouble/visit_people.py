"""What people and programs do with the forms, the cookie and the order of the pages."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.trouble.served_study import Answer, Visitor, kept
from tests.trouble.visit_requests import Scene, Visit


def _refused(answer: Answer, *right: int) -> str:
    return "" if answer.status in right else f"status {answer.status} instead of one of {right}"


def forms() -> Iterator[Visit]:
    """Answers to the right page that are none; nothing of them may be kept."""
    changes: dict[str, Callable[[dict[str, str]], dict[str, str] | str]] = {
        "no fields": lambda good: "",
        "a score missing": lambda good: {k: v for k, v in good.items() if k != "sync"},
        "no position": lambda good: {k: v for k, v in good.items() if k != "position"},
        "no question": lambda good: {k: v for k, v in good.items() if k != "ask"},
        "every field twice": lambda good: urllib.parse.urlencode(good) + "&" + urllib.parse.urlencode(good),
        "a score twice": lambda good: urllib.parse.urlencode(good) + "&quality=5",
        "the position twice": lambda good: urllib.parse.urlencode(good) + "&position=1",
        "half an escape": lambda good: urllib.parse.urlencode(good).replace("quality=3", "quality=%3"),
        "bytes that are no text": lambda good: urllib.parse.urlencode(good).replace("quality=3", "quality=%ff%fe"),
        "another question": lambda good: {**good, "ask": "everything"},
        "JSON": lambda good: '{"quality": 3}',
        "1,000 other fields": lambda good: "&".join(f"a{i}=1" for i in range(1000)),
        "a body of 60 kB": lambda good: {**good, "quality": "3" * 60_000},
    }
    odd = ("0", "6", "-1", "+3", " 3", "3.0", "1_0", "٣", "３", "1e0", "0x3", "9" * 5000, "nan", "", "<b>3</b>", "3\0")
    changes |= {f"score {score[:9]!r}": lambda good, score=score: {**good, "quality": score} for score in odd}
    changes |= {
        f"position {position[:9]!r}": lambda good, position=position: {**good, "position": position}
        for position in ("-0", "x", "0.0", "٠", "9" * 5000, str(2**64))
    }
    for name, change in changes.items():

        def post(scene: Scene, change: Callable[[dict[str, str]], dict[str, str] | str] = change) -> str:
            return _refused(scene.visitor.post("/answer", change(scene.visitor.step()[0])), 400, 413)

        yield Visit("visit: form", name, post)
    for name, headers in (
        ("multipart without a boundary", {"Content_Type": "multipart/form-data"}),
        ("a type that is none", {"Content_Type": "\x7f/\xff; charset=\x00"}),
        ("another site", {"Origin": "http://evil.example"}),
        ("a frame of another site", {"Sec_Fetch_Site": "cross-site"}),
        ("an origin that is none", {"Origin": "http://[::1"}),
        ("an origin of 5,000 characters", {"Origin": "http://" + "a" * 5000}),
    ):

        def send(scene: Scene, headers: dict[str, str] = headers) -> str:
            return _refused(scene.visitor.post("/answer", scene.visitor.step()[0], **headers), 400, 403)

        yield Visit("visit: form", name, send)


def cookies() -> Iterator[Visit]:
    """Cookies that are no code: the visitor is asked for one, whatever they hold."""
    forged = {
        "no code": "participant=AAAAAAAA",
        "empty": "participant=",
        "SQL": "participant=' OR 1=1 --",
        "10 kB": "participant=" + "A" * 10_000,
        "a number": "participant=0",
        "quotes": 'participant="2345\\"6789"',
        "control characters": "participant=\x01\x02",
        "bytes that are no text": "participant=\xff\xfe\xed\xa0\x80",
        "1,000 cookies": "; ".join(f"c{i}=1" for i in range(1000)),
        "no name": "=;=;;,,",
    }
    for name, cookie in forged.items():

        def come(scene: Scene, cookie: str = cookie) -> str:
            stranger = Visitor(scene.server, "")
            stranger.cookie = cookie
            page = stranger.get("/")
            if page.status == 200 and "Your code" not in page.text:
                return "let in"
            return _refused(page, 200, 400) or _refused(stranger.get(scene.video), 404, 400)

        yield Visit("visit: cookie", name, come)


def replies() -> Iterator[Visit]:
    """Texts that people may type where a sentence is asked for; the rated videos are answered on the way."""
    texts = {
        "nothing at all": ("", 400),
        "spaces": (" \t\r\n ", 400),
        "400 characters": ("x" * 400, 400),
        "control characters": ("bin\x00blue\x1b[31m", 400),
        "16,000 characters": ("é" * 16_000, 413),
    }
    for name, (text, status) in texts.items():

        def type_it(scene: Scene, text: str = text, status: int = status) -> str:
            visitor = scene.other
            while visitor.step()[0].get("ask") == "rate":
                visitor.answer()
            return _refused(visitor.post("/answer", {**visitor.step()[0], "reply": text}), status)

        yield Visit("visit: reply", name, type_it)


def orders() -> Iterator[Visit]:
    """Pages in another order than they are asked in, once and in two windows."""

    def replay(scene: Scene) -> str:
        step = scene.visitor.step()[0]
        first = scene.visitor.post("/answer", step)
        before = kept(scene.folder)
        again = [scene.visitor.post("/answer", {**step, "quality": "1"}) for _ in range(3)]
        changed = "an old answer was changed" if kept(scene.folder) != before else ""
        return changed or _refused(first, 303) or next((why for a in again if (why := _refused(a, 303))), "")

    def two_windows(scene: Scene) -> str:
        step = scene.visitor.step()[0]
        before = len(kept(scene.folder))
        with ThreadPoolExecutor(8) as pool:
            said = list(
                pool.map(lambda s: scene.visitor.post("/answer", {**step, "sync": str(s)}), [1, 2, 3, 4, 5] * 3)
            )
        count = len(kept(scene.folder)) - before
        return next((why for a in said if (why := _refused(a, 303))), "") or (f"{count} scores" if count != 3 else "")

    def not_shown(scene: Scene) -> str:
        visitor = scene.visitor
        step = visitor.step()[0]
        visitor.post("/answer", step)
        before = kept(scene.folder)
        later = {**step, "position": str(int(step["position"]) + 1)}  # its page was not asked for
        said = visitor.post("/answer", later)
        return "an answer without a page was kept" if kept(scene.folder) != before else _refused(said, 303)

    def later_video(scene: Scene) -> str:
        others = [p.stem for p in (scene.folder / "videos").iterdir() if p.stem not in scene.visitor.step()[1]]
        seen = [name for name in others if scene.visitor.get(f"/video/{name}").status == 200]
        return "" if len(seen) < 8 else f"{len(seen)} videos can be seen"

    def stranger(scene: Scene) -> str:
        someone = Visitor(scene.server, "")
        said = [someone.get("/next"), someone.post("/answer", scene.visitor.step()[0])]
        return next((why for a in said if (why := _refused(a, 303))), "") or _refused(someone.get(scene.video), 404)

    def by_get(scene: Scene) -> str:
        query = urllib.parse.urlencode(scene.visitor.step()[0])
        return _refused(scene.visitor.get(f"/answer?{query}"), 405)

    def leave(scene: Scene) -> str:
        said = scene.visitor.post("/leave", "")
        return _refused(said, 303) or ("" if "participant=;" in said.headers.get("set-cookie", "") else "stays")

    for name, ends, keeps in (
        ("an old answer again", replay, True),
        ("two windows at once", two_windows, True),
        ("an answer to a page that was not shown", not_shown, True),
        ("videos of later and of others", later_video, False),
        ("an answer without a code", stranger, False),
        ("an answer by GET", by_get, False),
        ("leaving", leave, False),
    ):
        yield Visit("visit: order" if keeps else "visit: order, nothing kept", name, ends)


def guesses() -> Iterator[Visit]:
    """Many wrong codes. Afterwards this address has to wait, so these visits are the last of a server."""

    def guess(scene: Scene, cookie: bool) -> str:
        stranger = Visitor(scene.server, "")
        said = []
        for number in range(60):
            if cookie:
                stranger.cookie = f"participant=WRNG{number:04d}"
                said.append(stranger.get("/").status)
            else:
                said.append(stranger.post("/enter", {"code": f"WRNG{number:04d}"}).status)
        if said[-1] != 429:
            return f"60 wrong codes in a row are looked up: {said[-1]}"
        return "" if scene.visitor.get("/next").status == 200 else "a participant who is in was put out"

    yield Visit("visit: guesses", "codes in the form", lambda scene: guess(scene, False))
    yield Visit("visit: guesses", "codes in the cookie", lambda scene: guess(scene, True))

"""The study's pages over plain HTTP: what is asked, kept and refused, and that nothing gives a method away."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="serving a study needs the extra `study` (flask, waitress)")

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories.study_factory import METHODS, SENTENCES, make_study, make_videos
from tlbench.errors import TlbenchError
from tlbench.media.probe import probe
from tlbench.study.answers import Answers
from tlbench.study.new_study import NewStudy
from tlbench.study.results import evaluate
from tlbench.study.site import COOKIE, make_site
from tlbench.study.store import FILE_NAME, MAX_REPLY, Store


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def made(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> NewStudy:
    return make_study(tmp_path_factory.mktemp("made") / "study", manifest)


@pytest.fixture(scope="module")
def made_words(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> NewStudy:
    return make_study(tmp_path_factory.mktemp("made words") / "study", manifest.with_name("words.csv"))


class Running:
    """A study that is served, without a socket."""

    def __init__(self, folder: Path, codes: tuple[str, ...]) -> None:
        self.folder, self.codes = folder, codes
        self.store = Store(folder)
        self.site = make_site(self.store)

    def enter(self, number: int = 0) -> FlaskClient:
        """The browser of a participant."""
        client = self.site.test_client()
        assert client.post("/enter", data={"code": self.codes[number]}).status_code == 303
        return client

    def answers(self) -> Answers:
        """What is kept, read by another connection."""
        with Store(self.folder) as store:
            return store.answers()

    def query(self, sql: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self.folder / FILE_NAME)) as connection:
            return connection.execute(sql).fetchall()


@contextmanager
def running(made: NewStudy, folder: Path) -> Iterator[Running]:
    """A study of one's own: nobody has answered yet."""
    shutil.copytree(made.folder, folder)
    study = Running(folder, made.codes)
    with study.store:
        yield study


@pytest.fixture
def study(made: NewStudy, tmp_path: Path) -> Iterator[Running]:
    with running(made, tmp_path / "study") as study:
        yield study


@pytest.fixture
def word_study(made_words: NewStudy, tmp_path: Path) -> Iterator[Running]:
    with running(made_words, tmp_path / "study") as study:
        yield study


def get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    """Read to the end, so that files are closed."""
    return client.get(path, buffered=True, follow_redirects=path.startswith("/static"), headers=headers)


def to_reading(client: FlaskClient) -> TestResponse:
    """The first page that asks what is said."""
    page = client.get("/next")
    while fields(page)["ask"] == "rate":
        page = answer(client, page)
    return page


def fields(page: TestResponse) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))


def answer(client: FlaskClient, page: TestResponse, score: int = 3, reply: str = "bin blue") -> TestResponse:
    """Answer whatever the page asks; the next page."""
    asked = fields(page)
    scales = {"rate": ("quality", "sync", "realness"), "readability": ("readability",), "read": ()}[asked["ask"]]
    given = {**dict.fromkeys(scales, str(score)), "reply": reply}
    done = client.post("/answer", data={**asked, **given})
    assert done.status_code == 303
    return client.get(done.location)


def go_through(client: FlaskClient, score: int = 3) -> list[str]:
    """All pages to the last one; what was asked, in order."""
    page, asked = client.get("/next"), []
    while "Thank you" not in page.text:
        asked.append(fields(page)["ask"])
        page = answer(client, page, score)
    return asked


def test_a_participant_rates_then_reads_then_rates_what_was_read(study: Running) -> None:
    client = study.enter()
    assert go_through(client) == ["rate"] * 4 + ["read", "readability"] * 3
    assert "All done" in client.get("/").text
    kept = study.answers()
    assert kept.finished == {0}
    assert len(kept.scores) == 3 * 3 + 3
    assert {reading.reply for reading in kept.transcriptions} == {"bin blue"}
    assert {reading.transcript for reading in kept.transcriptions} <= set(SENTENCES)
    assert len(kept.checks) == 1
    assert kept.hasty == {0: 7}  # nobody watched anything here


def test_the_answers_make_the_table(study: Running) -> None:
    for number in range(3):
        go_through(study.enter(number), score=2 + number)
    found = evaluate(study.answers(), allowed_failed_checks=1)
    assert [m.key for m in found.measures] == ["quality", "sync", "realness", "readability", "word_errors"]
    cell = found.estimate(METHODS[0], "quality")
    assert cell is not None
    assert (cell.value, cell.answers) == (3.0, 3)


def test_words_are_chosen_among_those_offered_and_others_refused(word_study: Running) -> None:
    client = word_study.enter()
    page = to_reading(client)
    offered = re.findall(r'name="reply" value="([^"]*)"', page.text)
    assert len(offered) == len(set(offered)) == 6
    assert client.post("/answer", data={**fields(page), "reply": "elephant"}).status_code == 400
    assert client.post("/answer", data={**fields(page), "nothing": "1"}).status_code == 400
    assert "What was said" in answer(client, page, reply=offered[2]).text
    (reading,) = word_study.answers().transcriptions
    assert (reading.reply, reading.choices) == (offered[2], 6)
    assert reading.transcript in offered


def test_no_name_of_a_method_a_clip_or_a_file_is_ever_sent(study: Running, manifest: Path) -> None:
    client = study.enter()
    sent = [get(client, "/"), get(client, "/nowhere"), page := get(client, "/next")]
    while "Thank you" not in page.text:
        sent += [page, *(get(client, path) for path in re.findall(r'src="(/video/[^"]+)"', page.text))]
        page = answer(client, page)
    assert len(sent) > 12
    names = [*METHODS, "Zorro", "secretclip", "speaker", "ground-truth", "ground_truth", "method0", "real/"]
    for response in sent:
        everything = response.data + str(response.headers).encode()
        for name in (*names, str(manifest.parent)):
            assert name.encode() not in everything, f"{name} was sent by {response.request.path}"


def test_all_conditions_go_through_one_encoder_and_read_clips_have_no_sound(study: Running) -> None:
    rows = study.query("SELECT id, task FROM videos")
    assert {task for _, task in rows} == {"rate", "check", "read"}
    for name, task in rows:
        info = probe(study.folder / "videos" / f"{name}.mp4")
        assert info.codec == "h264"
        assert (info.audio is None) == (task == "read")


def test_a_participant_comes_back_to_where_they_stopped_in_another_browser(study: Running) -> None:
    first = study.enter(1)
    page = answer(first, answer(first, first.get("/next")))
    again, code = study.site.test_client(), study.codes[1].lower()
    again.post("/enter", data={"code": f"{code[:4]}-{code[4:]} "})  # as people type
    assert "2 of them are done" in again.get("/").text
    assert fields(again.get("/next")) == fields(page)


def test_a_second_click_and_the_back_button_change_nothing(study: Running) -> None:
    client = study.enter()
    page = client.get("/next")
    answer(client, page, score=4)
    answer(client, page, score=1)
    kept = study.answers()
    assert {s.score for s in kept.scores} <= {4}
    assert all(check.given == (4, 4, 4) for check in kept.checks)


def test_two_participants_at_once_do_not_mix(study: Running) -> None:
    clients = [study.enter(number) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda i: go_through(clients[i], score=i + 1), range(3)))
    kept = study.answers()
    assert kept.finished == {0, 1, 2}
    assert {(s.participant, s.score) for s in kept.scores} == {(0, 1), (1, 2), (2, 3)}


def test_an_answer_is_kept_before_the_next_page_whatever_happens_to_the_server(study: Running) -> None:
    client = study.enter()
    answer(client, client.get("/next"))
    assert len(study.answers().started) == 1  # read by another connection, as after a crash


def test_answers_off_the_scale_are_refused(study: Running) -> None:
    client = study.enter()
    page = client.get("/next")
    whole = {**fields(page), "quality": "3", "sync": "3", "realness": "3"}
    scores = [{"quality": score} for score in ("6", "0", "-1", "3.5", "<script>", "", "nan")]
    for change in (*scores, {"position": "x"}, {"position": ""}, {"ask": "everything"}, {"ask": ""}):
        assert client.post("/answer", data={**whole, **change}).status_code == 400, change
    assert client.post("/answer", data=fields(page)).status_code == 400
    assert client.post("/answer", data={**whole, "position": "9"}).status_code == 303  # not its turn: nothing is kept
    assert fields(client.get("/next")) == fields(page)
    assert not study.answers().started


def test_what_is_typed_is_text_whatever_it_looks_like(study: Running) -> None:
    client = study.enter()
    page = to_reading(client)
    nasty = "<script>alert(1)</script>'); DROP TABLE replies;--"
    page = answer(client, page, reply=nasty)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert study.answers().transcriptions[0].reply == nasty


def test_a_reply_is_neither_empty_by_accident_nor_a_book(study: Running) -> None:
    client = study.enter()
    page = to_reading(client)
    for reply in ("", "  ", "x" * (MAX_REPLY + 1)):
        assert client.post("/answer", data={**fields(page), "reply": reply}).status_code == 400
    assert client.post("/answer", data={**fields(page), "nothing": "1", "reply": ""}).status_code == 303
    assert "<dd>nothing</dd>" in client.get("/next").text


def test_a_body_that_is_too_large_is_not_read(study: Running) -> None:
    client = study.enter()
    assert client.post("/answer", data={"reply": "x" * 100_000}).status_code == 413


def test_an_unknown_code_opens_nothing(study: Running) -> None:
    client = study.site.test_client()
    for code in ("", "AAAAAAAA", "' OR 1=1 --", "x" * 5000, "<b>", "\0"):
        page = client.post("/enter", data={"code": code})
        assert "There is no such code" in page.text
        assert "Set-Cookie" not in page.headers
    assert client.get("/next").location == "/"
    assert client.post("/answer", data={"position": "0", "ask": "rate"}).location == "/"


def test_a_cookie_that_is_no_code_is_as_none(study: Running) -> None:
    client = study.site.test_client()
    client.set_cookie("participant", "AAAAAAAA")
    assert "Your code" in client.get("/").text


def test_a_form_of_another_site_is_refused(study: Running) -> None:
    client = study.enter()
    page = client.get("/next")
    data = {**fields(page), "quality": "1", "sync": "1", "realness": "1"}
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    ):
        assert client.post("/answer", data=data, headers=headers).status_code == 403
        assert client.post("/enter", data={"code": study.codes[1]}, headers=headers).status_code == 403
    good = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/answer", data=data, headers=good).status_code == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(study: Running) -> None:
    cookie = study.site.test_client().post("/enter", data={"code": study.codes[0]}).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_on_a_loopback_address_a_foreign_name_of_host_is_refused(study: Running) -> None:
    client = study.site.test_client()
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "127.0.0.1:8000"}).status_code == 200
    for hosts in (None, ("localhost", "lab.example")):
        elsewhere = make_site(study.store, hosts).test_client()
        assert elsewhere.get("/", headers={"Host": "lab.example"}).status_code == 200


def test_a_foreign_name_of_host_is_refused_whatever_its_cookie_says(study: Running) -> None:
    client = study.site.test_client()
    for number in range(50):  # more codes than anybody may guess
        client.set_cookie(COOKIE, f"CODE{number:02d}", domain="evil.example")
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_every_page_forbids_what_is_not_ours(study: Running) -> None:
    client = study.enter()
    for path in ("/", "/next", "/nowhere", "/static/study.js"):
        headers = get(client, path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.search(r"\son\w+=|style=|<style|javascript:", client.get("/next").text) is None


def test_a_video_is_sent_in_ranges_as_browsers_ask(study: Running) -> None:
    client = study.enter()
    path = re.findall(r'src="(/video/[^"]+)"', client.get("/next").text)[0]
    whole = get(client, path)
    part = get(client, path, Range="bytes=100-199")
    assert (part.status_code, part.data) == (206, whole.data[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.data)}"
    assert get(client, path, Range="bytes=-50").data == whole.data[-50:]
    assert get(client, path, Range="bytes=99999999-").status_code == 416
    assert whole.mimetype == "video/mp4"


def test_only_ones_own_videos_are_sent_and_only_when_their_turn_has_come(study: Running) -> None:
    client = study.enter()
    mine = re.findall(r'src="/video/([^"]+)"', client.get("/next").text)[0]
    assert get(client, f"/video/{mine}").status_code == 200
    later = study.query("SELECT video FROM trials WHERE participant = 0 AND position > 0")
    assert len(later) == 6
    for (name,) in later:
        assert get(client, f"/video/{name}").status_code == 404
    assert get(study.site.test_client(), f"/video/{mine}").status_code == 404


def test_a_video_that_is_gone_is_not_found_and_no_crash(study: Running) -> None:
    client = study.enter()
    path = re.findall(r'src="(/video/[^"]+)"', client.get("/next").text)[0]
    shutil.rmtree(study.folder / "videos")
    assert get(client, path).status_code == 404


def test_no_path_leads_out_of_the_study(study: Running) -> None:
    client = study.enter()
    for path in (
        "/video/../study.sqlite",
        "/video/..%2fstudy.sqlite",
        "/video/%2e%2e%2fcodes.txt",
        "/video/....//codes",
        "/static/../site.py",
        "/static/..%2fsite.py",
        "/static/%2fetc%2fpasswd",
        "/study.sqlite",
        "/codes.txt",
    ):
        assert get(client, path).status_code == 404, path


def test_answering_needs_a_post(study: Running) -> None:
    client = study.enter()
    assert client.get("/answer?position=0&ask=rate&quality=1&sync=1&realness=1").status_code == 405


def test_leaving_forgets_the_code_in_this_browser(study: Running) -> None:
    client = study.enter()
    client.post("/leave")
    assert "Your code" in client.get("/").text


def test_a_database_that_refuses_says_so_and_keeps_the_page(study: Running) -> None:
    client = study.enter()
    page = client.get("/next")
    study.query("CREATE TRIGGER full BEFORE INSERT ON scores BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    refused = client.post("/answer", data={**fields(page), "quality": "3", "sync": "3", "realness": "3"})
    assert refused.status_code == 503
    assert "try again" in refused.text
    assert fields(client.get("/next")) == fields(page)


def test_a_database_of_another_version_or_kind_is_refused_with_the_way_out(made: NewStudy, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(made.folder, folder)
    database = folder / FILE_NAME
    for change, way_out in (
        ("user_version = 2", "update tlbench"),
        ("user_version = 0", "finish it with the tlbench that made it"),
        ("application_id = 7", "not of a study"),
    ):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(f"PRAGMA {change}")
        with pytest.raises(TlbenchError, match=way_out):
            Store(folder)
    database.write_bytes(b"not a database at all, whatever its name says" * 40)
    with pytest.raises(TlbenchError, match="can't be read as a study"):
        Store(folder)
    with pytest.raises(TlbenchError, match="there is no study here"):
        Store(tmp_path)

"""Damaged databases are refused in one line or work; locked and full ones lose nothing."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.factories.study_factory import make_study, make_videos
from tlbench.errors import TlbenchError
from tlbench.study import database, store
from tlbench.study.database import FILE_NAME, PLAN_HASH
from tlbench.study.new_study import NewStudy
from tlbench.study.served_videos import HASHES, ServedVideos
from tlbench.study.store import Store, StudyStep

SCORES = dict.fromkeys(("quality", "sync", "realness"), 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> NewStudy:
    root = tmp_path_factory.mktemp("study")
    return make_study(root / "study", make_videos(root / "videos"), participants=6)


@pytest.fixture
def folder(made: NewStudy, tmp_path: Path) -> Path:
    shutil.copytree(made.folder, tmp_path / "study")
    return tmp_path / "study"


def use(folder: Path) -> None:
    """Read and write all that there is."""
    with Store(folder) as opened:
        for person in opened.participants():
            step = opened.step(person.number)
            if step is not None and step.ask == "rate":
                opened.rate(person.number, step.position, SCORES)
        opened.answers()


def answer(opened: Store, number: int, step: StudyStep) -> bool:
    if step.ask == "read":
        return opened.reply(number, step.position, "x" * 300)
    if step.ask == "readability":
        return opened.rate_readability(number, step.position, 3)
    return opened.rate(number, step.position, SCORES)


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bits_end_in_one_line_or_in_nothing(folder: Path, seed: int) -> None:
    generator = random.Random(seed)
    path = folder / FILE_NAME
    data = bytearray(path.read_bytes())
    for _ in range(generator.choice([1, 3, 30, 300])):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    path.write_bytes(data)
    said = f"{path}: the database of the study"
    try:
        use(folder)
    except TlbenchError as error:
        said = str(error)
    assert "\n" not in said
    assert str(path) in said or "the database of the study" in said


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_cut_database_is_refused(folder: Path, share: float) -> None:
    path = folder / FILE_NAME
    with open(path, "r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    with pytest.raises(TlbenchError, match=r"study\.sqlite: "):
        Store(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE replies",
        "ALTER TABLE scores ADD COLUMN more",
        "CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM scores; END",
        "CREATE VIEW v AS SELECT 1",
        "DELETE FROM study",
        "UPDATE study SET conditions = '['",
        "UPDATE study SET conditions = '[\"another\"]'",
        "UPDATE trials SET offered = '[1]'",
        "UPDATE trials SET position = position + 1 WHERE participant = 2 AND position = 6",
        "UPDATE trials SET shown_at = 'yesterday'",
        "UPDATE videos SET wanted = 'x' WHERE task = 'check'",
        "DELETE FROM videos WHERE rowid = 3",
    ],
)
def test_what_is_no_study_any_more_is_refused(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(TlbenchError, match=r"damaged \(.*\); restore it from a copy"):
        Store(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE study SET seed = seed + 1",
        "UPDATE videos SET wanted = wanted % 5 + 1 WHERE task = 'check'",
        "UPDATE trials SET video = CASE WHEN video = (SELECT max(id) FROM videos) THEN video - 1"
        " ELSE (SELECT max(id) FROM videos) END WHERE participant = 1 AND position = 1",
        "UPDATE participants SET code = 'AAAAAAAA' WHERE number = 3",
    ],
)
def test_a_plan_that_could_be_one_and_is_not_that_of_new_is_refused(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(TlbenchError, match=r"damaged \(not the plan that `study new` made.*restore it from a copy"):
        Store(folder)


def test_a_study_made_before_plans_had_a_hash_is_served(folder: Path) -> None:
    (folder / PLAN_HASH).unlink()
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE study SET seed = seed + 1")
    with Store(folder) as opened:
        assert opened.step(0) is not None


def test_every_answer_is_forced_to_disk_before_it_is_confirmed(folder: Path) -> None:
    with closing(database.open_database(folder / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_while_another_process_writes_pages_are_shown_and_answers_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.1)
    with Store(folder) as opened, closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as other:
        step = opened.step(0)
        assert step is not None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TlbenchError, match="can't be written now"):
            opened.rate(0, step.position, SCORES)
        assert opened.step(0) == step
        assert opened.progress(0) == (0, 7)
        other.execute("ROLLBACK")
        assert opened.rate(0, step.position, SCORES)
        assert opened.progress(0) == (1, 7)


def test_a_full_disk_refuses_the_answer_and_keeps_those_before(folder: Path) -> None:
    with Store(folder) as opened:
        assert opened.step(0) is not None
        pages = opened._writing.execute("PRAGMA page_count").fetchone()[0]
        opened._writing.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to be full
        taken = 0
        with pytest.raises(TlbenchError, match=r"can't be written now .*full"):  # noqa: PT012  # some answers fit
            for number in range(6):
                while (step := opened.step(number)) is not None:
                    taken += answer(opened, number, step)
        scored = opened._all("SELECT DISTINCT participant, position FROM scores")
        assert taken == len(scored) + len(opened._all("SELECT 1 FROM replies"))


def test_an_answer_to_a_page_that_was_not_shown_is_none(folder: Path) -> None:
    with Store(folder) as opened:
        assert not opened.rate(0, 0, SCORES)
        assert opened.step(0) is not None
        assert opened.rate(0, 0, SCORES)


def test_videos_are_those_that_were_made(folder: Path) -> None:
    names = [path.stem for path in (folder / "videos").iterdir()]
    videos = ServedVideos(folder, names)
    with videos.open(names[0]) as file:  # type: ignore[union-attr]
        assert file.read()
    changed = folder / "videos" / f"{names[0]}.mp4"
    whole = changed.read_bytes()
    changed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert videos.open(names[0]) is None
    with pytest.raises(TlbenchError, match="is not the video that `tlbench study new` made"):
        ServedVideos(folder, names)
    (folder / HASHES).unlink()  # as in studies of before
    ServedVideos(folder, names)
    changed.unlink()
    assert videos.open(names[0]) is None
    with pytest.raises(TlbenchError, match=rf"not there \(missing: 1 of {len(names)} videos"):
        ServedVideos(folder, names)

"""The SQLite file of a study: its schema, and opening it with all checks that can be made before anybody answers."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.files import TEXT, read_outside

FILE_NAME = "study.sqlite"
PLAN_HASH = "plan.sha256"  # next to it: SQLite has no checksums, and a changed trial is a valid one
APPLICATION_ID = 0x746C6273  # "tlbs": the field of SQLite files that names their application
VERSION = 1
BUSY_SECONDS = 2.0  # that a request waits for another process, such as a second server
MAX_REPLY = 300  # characters; the longest LRS2 sentences have half as many

SCHEMA = f"""
CREATE TABLE study (dataset TEXT NOT NULL, split TEXT NOT NULL, conditions TEXT NOT NULL, seed INTEGER NOT NULL);
CREATE TABLE videos (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL CHECK (task IN ('rate', 'check', 'read')),
    condition TEXT NOT NULL,
    clip TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    seconds REAL NOT NULL,
    truth TEXT,
    wanted INTEGER,
    UNIQUE (task, condition, clip)
);
CREATE TABLE participants (number INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);
CREATE TABLE trials (
    participant INTEGER NOT NULL REFERENCES participants,
    position INTEGER NOT NULL,
    video TEXT NOT NULL REFERENCES videos,
    offered TEXT NOT NULL,
    shown_at REAL,
    done_at REAL,
    PRIMARY KEY (participant, position)
);
CREATE TABLE scores (
    participant INTEGER NOT NULL,
    position INTEGER NOT NULL,
    scale TEXT NOT NULL,
    score INTEGER NOT NULL CHECK (score BETWEEN 1 AND 5),
    PRIMARY KEY (participant, position, scale),
    FOREIGN KEY (participant, position) REFERENCES trials
);
CREATE TABLE replies (
    participant INTEGER NOT NULL,
    position INTEGER NOT NULL,
    reply TEXT NOT NULL CHECK (length(reply) <= {MAX_REPLY}),
    PRIMARY KEY (participant, position),
    FOREIGN KEY (participant, position) REFERENCES trials
);
"""


# What `study new` writes and nothing changes
_PLAN = (
    "SELECT * FROM study",
    "SELECT * FROM videos ORDER BY id",
    "SELECT * FROM participants ORDER BY number",
    "SELECT participant, position, video, offered FROM trials ORDER BY participant, position",
)

# Rows that no study has, and what they mean
_WRONG = {
    "SELECT 1 FROM trials WHERE typeof(position) != 'integer' GROUP BY participant "
    "UNION SELECT 1 FROM trials GROUP BY participant HAVING min(position) != 0 OR max(position) != count(*) - 1": (
        "the trials of a participant are not numbered"
    ),
    "SELECT 1 FROM videos WHERE task = 'check' AND typeof(wanted) != 'integer' OR task = 'read' AND truth IS NULL": (
        "a video has nothing to compare answers with"
    ),
    "SELECT 1 FROM videos WHERE typeof(seconds) != 'real' OR typeof(clip) != 'text'": "a video has no length or clip",
    "SELECT 1 FROM trials WHERE typeof(shown_at) NOT IN ('null', 'real') OR typeof(done_at) NOT IN ('null', 'real')": (
        "a time is no number"
    ),
    "SELECT 1 FROM scores WHERE typeof(score) != 'integer'": "a score is no whole number",
}


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the database of a study, which any thread may use.

    Every commit is on disk before it returns (``synchronous = FULL``), so that neither a kill nor a power failure takes
    an answer that was given.

    Raises
    ------
    TlbenchError
        If there is no database, it is damaged, or it belongs to something else or to another version.
    """
    if not path.is_file():
        raise TlbenchError(f"{path.parent}: there is no study here (no {path.name}); `tlbench study new` makes one")
    connection = None
    try:
        connection = sqlite3.connect(
            path.absolute().as_uri() + "?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS,
            check_same_thread=False,
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        _check(connection, path)
    except sqlite3.OperationalError as error:
        _close(connection)
        raise TlbenchError(
            f"{path}: can't be opened now ({error}); close what else uses it, and see to space and permissions"
        ) from error
    except (sqlite3.Error, UnicodeError) as error:  # sqlite3 reads its own messages as UTF-8
        _close(connection)
        raise TlbenchError(f"{path}: can't be read as a study ({error}); is it another file?") from error
    except TlbenchError:
        _close(connection)
        raise
    return connection


def plan_sha256(connection: sqlite3.Connection) -> str:
    """Hex SHA-256 of a study but for its answers. Raises sqlite3.Error if it can't be read."""
    digest = hashlib.sha256()
    for query in _PLAN:
        for row in connection.execute(query):
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises TlbenchError or sqlite3.Error unless this is a whole study of this version."""
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if mark != APPLICATION_ID:
        raise TlbenchError(f"{path}: an SQLite file, but not of a study; pass the folder that `study new` made")
    if version != VERSION:
        remedy = "update tlbench" if version > VERSION else "finish it with the tlbench that made it"
        raise TlbenchError(f"{path}: a study of version {version}, this tlbench has version {VERSION}; {remedy}")
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    damage = "its last page is cut" if path.stat().st_size % page_bytes else _damage(connection)
    plan = path.with_name(PLAN_HASH)
    if not damage and plan.exists() and _first_line(plan) != plan_sha256(connection):
        damage = f"not the plan that `study new` made, says {PLAN_HASH}"
    if damage:
        raise TlbenchError(f"{path}: damaged ({damage:.120}); restore it from a copy")


def _first_line(path: Path) -> str:
    try:
        return (read_outside(path, TEXT).decode("ascii", "replace").splitlines() or [""])[0]
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror or error}); restore it from a copy") from error


def _damage(connection: sqlite3.Connection) -> str:
    """What is wrong with the content, all of which is read; an empty text if nothing is."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        return " ".join(str(found).split())
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(SCHEMA)
        if _columns(connection) != _columns(empty):
            return "it has not the tables of a study"
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        return "an answer belongs to no participant or a trial to no video"
    lists = connection.execute("SELECT conditions FROM study").fetchall()
    if len(lists) != 1:
        return f"it describes {len(lists)} studies"
    for (text,) in lists + connection.execute("SELECT DISTINCT offered FROM trials").fetchall():
        if not _is_list_of_texts(text):
            return f"{text!r:.60} is no list of texts"
    conditions = set(json.loads(lists[0][0]))
    for (condition,) in connection.execute("SELECT DISTINCT condition FROM videos"):
        if condition not in conditions:
            return f"{condition!r:.60} is none of its conditions"
    for query, what in _WRONG.items():
        if connection.execute(query).fetchone() is not None:
            return what
    return ""


def _columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The columns of each table and view, and the triggers, which a study has none of."""
    kinds = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type != 'index' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    ).fetchall()
    return {
        f"{kind} {name}": [str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))]
        for kind, name in kinds
    }


def _is_list_of_texts(text: object) -> bool:
    try:
        found = json.loads(str(text))
    except ValueError:
        return False
    return isinstance(found, list) and all(isinstance(item, str) for item in found)

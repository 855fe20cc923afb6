"""Odd surroundings end a command in its result or in one line; more of it in ``python -m benchmarks.trouble``."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.leaderboard_factory import filed_result
from tests.trouble.children import run
from tests.trouble.surroundings_cases import CALLS, STRANGE, SURROUNDINGS, leaf_commands, surroundings
from tlbench.cli import streams
from tlbench.cli.surroundings import LONGEST_WORD, check_words, refused, short_words
from tlbench.errors import TlbenchError
from tlbench.files import write_text_atomically

# The exit code of `table`, in surroundings that it has to notice or to overlook.
TABLE = {  # and the exit codes
    "stdout closed": 2,
    "all closed": 2,
    "stdout full": 2,
    "stderr full": 0,
    "stdout read for one line": 0,
    "a current folder that is gone": 2,
    "ASCII in all": 0,
    "COLUMNS=1": 0,
    "64 MB of memory": 2,
    "590 MB of memory": 2,
    "30 MB of address space": 2,
    "150 MB of address space": 2,
    "500 MB of address space": 2,
    "650 MB of address space": None,
    "1 GB of address space": None,  # enough with some builds of the matrix library
}


def test_every_command_is_tried() -> None:
    assert set(CALLS) == set(leaf_commands())


@pytest.mark.parametrize("name", TABLE)
def test_a_table_arrives_or_a_line_says_why_not(tmp_path: Path, name: str) -> None:
    (tmp_path / "one").mkdir()
    filed_result("one").write(tmp_path / "one" / "result.json")
    around = next(around for around in SURROUNDINGS if around.name == name)
    outcome = run(
        ["table", "one"],
        tmp_path,
        memory_bytes=None,
        shell=around.shell,
        prelude=around.prelude,
        environment=dict(around.environment),
    )
    expected = TABLE[name]
    assert outcome.code in ((0, 2) if expected is None else (expected,)), outcome.stderr
    assert not any(sign in outcome.stderr for sign in STRANGE)
    if outcome.code == 2 and "2>" not in around.shell:
        assert outcome.stderr.startswith("error: ")
        assert outcome.stderr.count("\n") == 1
    if outcome.code == 0:
        assert outcome.stdout.startswith("g")  # of grid, in one column too


@pytest.mark.slow  # minutes: each case is a command
def test_commands_in_odd_surroundings(tmp_path: Path) -> None:
    verdicts = list(surroundings(tmp_path, cases=40, seed=3))
    assert len(verdicts) == 40
    assert [verdict for verdict in verdicts if verdict.end == "fell short"] == []


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_of_the_system_is_one_line_with_a_way_out(number: int) -> None:
    line = refused(OSError(number, os.strerror(number), "some/file"))
    assert line is not None
    assert "\n" not in line
    assert "; " in line
    assert "some/file" in line or number in (errno.ENOMEM, errno.EAGAIN)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (RuntimeError("Symlink loop from '/a/b'"), "'/a/b'; remove the link that leads to itself"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("can't start new thread"), "no further process or thread"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no further process or thread"),
        (RuntimeError("Could not determine home directory."), "set HOME"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x']"), "set TMPDIR"),
        (UnicodeEncodeError("utf-8", "a\udce9", 1, 2, "surrogates not allowed"), "is not UTF-8"),
    ],
)
def test_what_libraries_say_of_it_is_understood(error: BaseException, said: str) -> None:
    assert said in (refused(error) or "")


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), ImportError("No module named 'x'"), KeyError("memory")])
def test_mistakes_of_ours_are_not_taken_for_surroundings(error: Exception) -> None:
    assert refused(error) is None


@given(st.lists(st.text(st.characters(exclude_characters=" "), max_size=5000), max_size=4).map(" ".join))
def test_a_line_has_no_endless_word(line: str) -> None:
    assert all(len(word) <= LONGEST_WORD + 3 for word in short_words(line).split(" "))
    assert short_words("as it is") == "as it is"


@given(st.binary(max_size=40).filter(lambda name: b"\0" not in name))
def test_a_name_is_written_as_it_is_or_refused(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    """As a locale of ASCII gives names: each byte that is no letter there as half of a surrogate pair."""
    path = tmp_path_factory.getbasetemp() / "name.txt"
    word = name.decode("ascii", "surrogateescape")
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        with pytest.raises(TlbenchError, match=r"not UTF-8, .*rename"):
            write_text_atomically(path, word)
        with pytest.raises(TlbenchError, match="not UTF-8"):
            check_words([word])
    else:
        write_text_atomically(path, word)
        assert path.read_bytes() == name
        check_words([word])


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="not UTF-8"):
        write_text_atomically(tmp_path / "x", "a\ud800b")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_in_memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.StringIO()
    monkeypatch.setattr("sys.stdout", own)
    monkeypatch.setattr("sys.stderr", own)
    streams.prepare()
    streams.flush()
    assert sys.stdout is own
